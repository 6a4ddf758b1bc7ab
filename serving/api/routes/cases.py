"""Cases: submit, look, follow, stop and go."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from sse_starlette import EventSourceResponse

from core.errors import CountersignError
from core.ids import digest
from core.people import Permission, Person, may, require
from core.states import CaseStatus, Desired
from core.wire import (
    Batch,
    BatchDone,
    BatchItem,
    CaseDetail,
    CaseSummary,
    CheckpointDetail,
    Checkpoints,
    Fork,
    Page,
    Problem,
    SubmitCase,
    TraceEntry,
)
from engine.housekeeping import since_when
from ledger.database import Ledger
from serving.api.deps import Caller, LastEventId, RequestKey, Rooms, admitted
from serving.api.etags import UNCHANGED, IfMatch, IfNoneMatch, tagged, versions
from serving.api.keyed import KeyedRoute
from serving.api.pages import After, AfterId, Limit, following
from serving.api.sse import STREAM, TRACE, Following, follow, of_case, position, streams_of
from serving.api.views import case_detail, case_summary, readable, trace_entry
from serving.house import House

router = APIRouter(prefix="/api/v1/cases", tags=["cases"], route_class=KeyedRoute)

_ENDS = frozenset({"case.closed", "case.cancelled"})


@router.post(
    "",
    status_code=201,
    responses={
        200: {"description": "The same key had opened it.", "model": CaseDetail},
        202: {"description": "It has not settled within the time.", "model": CaseDetail},
    },
)
async def submit(
    house: Rooms,
    person: Caller,
    body: SubmitCase,
    response: Response,
    key: RequestKey = None,
    prefer: Annotated[str | None, Header()] = None,
) -> CaseDetail:
    """Opens a case. With `Prefer: wait=N` it answers when the case has settled, or after N seconds."""
    case, new = await house.submit(person, body.kind, body.payload, key, body.priority)
    if not new:
        response.status_code = 200
    wait = re.search(r"\bwait=(\d{1,3})\b", prefer or "")
    if wait:
        try:
            async with asyncio.timeout(min(int(wait[1]), 120)):
                await house.settled(person.workspace, {case.id})
        except TimeoutError:
            response.status_code = 202
    response.headers["Location"] = f"/api/v1/cases/{case.id}"
    return await house.database.read(
        person.workspace, lambda ledger: case_detail(house, ledger, ledger.cases.get(case.id))
    )


@router.post("/batch")
async def batch(house: Rooms, person: Caller, body: Batch, key: RequestKey = None) -> BatchDone:
    """Opens up to 100 cases, each for itself: one that is refused holds up no other. The same key again opens none."""
    items = [await _open(house, person, one, _key_of(key, number)) for number, one in enumerate(body.cases)]
    return BatchDone(items=items, refused=sum(item.problem is not None for item in items))


async def _open(house: House, person: Person, one: SubmitCase, key: str | None) -> BatchItem:
    try:
        case, new = await house.submit(person, one.kind, one.payload, key, one.priority)
    except CountersignError as error:
        return BatchItem(status=error.status, problem=Problem.model_validate(error.problem()))
    return BatchItem(status=201 if new else 200, case=await _summary(house, person, case.id))


def _key_of(key: str | None, number: int) -> str | None:
    return None if key is None else f"batch:{digest(key)[:40]}:{number}"


@router.get("")
async def listing(
    house: Rooms,
    person: Caller,
    status: Annotated[list[CaseStatus] | None, Query()] = None,
    kind: Annotated[str, Query(max_length=64)] = "",
    subject: Annotated[str, Query(max_length=200, description="Who the case is about.")] = "",
    after: AfterId = "",
    limit: Limit = 50,
) -> Page[CaseSummary]:
    """Newest first. Whoever may not read all sees those that they opened."""

    def read(ledger: Ledger) -> Page[CaseSummary]:
        opened_by = "" if may(person, Permission.READ) else person.id
        rows = ledger.cases.find(
            status=[str(each) for each in status or ()],
            kind=kind,
            subject=subject,
            before=after,
            opened_by=opened_by,
            limit=limit,
        )
        items = [case_summary(ledger, row) for row in rows]
        return Page[CaseSummary](items=items, next=following(rows[-1].id if rows else "", len(rows), limit))

    return await house.database.read(person.workspace, read)


@router.get("/{case_id}", response_model=CaseDetail, responses=UNCHANGED)
async def one(house: Rooms, person: Caller, case_id: str, if_none_match: IfNoneMatch = None) -> Response:
    """With its plan, actions, approvals and costs."""

    def read(ledger: Ledger) -> tuple[CaseDetail, int]:
        case = readable(ledger, person, case_id)
        return case_detail(house, ledger, case), case.version

    return tagged(*await house.database.read(person.workspace, read), if_none_match)


@router.get("/{case_id}/trace")
async def trace(
    house: Rooms,
    person: Caller,
    case_id: str,
    after: After = 0,
    limit: Limit = 200,
) -> Page[TraceEntry]:
    """The case's event log, oldest first."""

    def read(ledger: Ledger) -> Page[TraceEntry]:
        readable(ledger, person, case_id)
        rows = ledger.trace.of_case(case_id, after, limit)
        items = [trace_entry(row) for row in rows]
        return Page[TraceEntry](items=items, next=following(items[-1].seq if items else "", len(rows), limit))

    return await house.database.read(person.workspace, read)


@router.get("/{case_id}/events", response_class=EventSourceResponse, responses=STREAM)
async def events(
    house: Rooms, person: Caller, request: Request, case_id: str, last_event_id: LastEventId = None
) -> EventSourceResponse:
    """The case's event log as server-sent events, followed until the case ends."""

    async def still_may() -> object:
        again = await admitted(request)
        return await house.database.read(again.workspace, lambda ledger: readable(ledger, again, case_id))

    after, streams = position(last_event_id), streams_of(request)
    await house.database.read(person.workspace, lambda ledger: readable(ledger, person, case_id))
    found = follow(
        streams,
        house.database,
        person.workspace,
        "trace",
        TRACE,
        after,
        key=case_id,
        read=of_case(case_id),
        ends=_ENDS,
        still_may=still_may,
    )
    return Following(streams, person, found)


@router.get("/{case_id}/checkpoints")
async def checkpoints(house: Rooms, person: Caller, case_id: str) -> Checkpoints:
    """The steps of the case that are kept, the oldest first, with what was known at each. Those of a finished case are
    pruned after some days."""
    require(person, Permission.READ)
    kind, cut_at = await house.database.read(
        person.workspace, lambda ledger: (ledger.cases.get(case_id).kind, since_when(ledger, case_id))
    )
    return Checkpoints(items=await house.rewind.steps(kind, case_id), cut_at=cut_at)


@router.get("/{case_id}/checkpoints/{checkpoint}")
async def checkpoint(house: Rooms, person: Caller, case_id: str, checkpoint: str) -> CheckpointDetail:
    """One of them, with the conversation up to there."""
    require(person, Permission.READ)
    case = await house.database.read(person.workspace, lambda ledger: ledger.cases.get(case_id))
    return await house.rewind.step(case.kind, case_id, checkpoint)


@router.post("/{case_id}/fork", status_code=201)
async def fork(house: Rooms, person: Caller, case_id: str, body: Fork, response: Response) -> CaseSummary:
    """A copy that goes on from a step of this case. Its effects are simulated, its approvals approve nothing else."""
    copy = await house.forks.fork(person, case_id, body.checkpoint)
    response.headers["Location"] = f"/api/v1/cases/{copy.id}"
    return await _summary(house, person, copy.id)


@router.post("/{case_id}/retry")
async def retry(house: Rooms, person: Caller, case_id: str, if_match: IfMatch = None) -> CaseSummary:
    """Tries a case again that failed, or that waits for something outside."""
    case = await house.intake.retry(person, case_id, versions(if_match))
    return await _summary(house, person, case.id)


@router.post("/{case_id}/pause")
async def pause(house: Rooms, person: Caller, case_id: str, if_match: IfMatch = None) -> CaseSummary:
    """Stops it before its next effect, at the latest."""
    return await _want(house, person, case_id, Desired.PAUSE, if_match)


@router.post("/{case_id}/resume")
async def resume(house: Rooms, person: Caller, case_id: str, if_match: IfMatch = None) -> CaseSummary:
    """Lets a case go on that was paused."""
    return await _want(house, person, case_id, Desired.RUN, if_match)


@router.post("/{case_id}/cancel")
async def cancel(house: Rooms, person: Caller, case_id: str, if_match: IfMatch = None) -> CaseSummary:
    """Ends it before its next effect, at the latest. What it did stays done, until it is taken back."""
    return await _want(house, person, case_id, Desired.CANCEL, if_match)


async def _want(house: Rooms, person: Caller, case_id: str, desired: Desired, if_match: str | None) -> CaseSummary:
    case = await house.intake.want(person, case_id, desired, versions(if_match))
    return await _summary(house, person, case.id)


async def _summary(house: Rooms, person: Caller, case_id: str) -> CaseSummary:
    return await house.database.read(person.workspace, lambda ledger: case_summary(ledger, ledger.cases.get(case_id)))
