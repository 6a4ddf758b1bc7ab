"""Cases: submit, look, follow, stop and go."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response
from sse_starlette import EventSourceResponse

from core.errors import NotFound
from core.people import Permission, Person, may, require
from core.states import Desired
from core.wire import CaseDetail, CaseSummary, CheckpointDetail, Checkpoints, Fork, Page, SubmitCase, TraceEntry
from engine.housekeeping import since_when
from ledger.database import Ledger
from ledger.tables import CaseRow
from serving.api.deps import Caller, RequestKey, Rooms
from serving.api.keyed import KeyedRoute
from serving.api.sse import follow
from serving.api.views import case_detail, case_summary, trace_entry

router = APIRouter(prefix="/api/v1/cases", tags=["cases"], route_class=KeyedRoute)

_ENDS = frozenset({"case.closed", "case.cancelled"})


def _readable(ledger: Ledger, person: Person, case_id: str) -> CaseRow:
    """The case, for whoever may read all or opened this one. Raises `NotFound`, which tells a stranger nothing."""
    case = ledger.cases.get(case_id)
    if not may(person, Permission.READ) and case.opened_by != person.id:
        raise NotFound(f"There is no case '{case_id[:60]}' of yours.")
    return case


_WANTS = {"pause": Desired.PAUSE, "resume": Desired.RUN, "cancel": Desired.CANCEL}


@router.post("", status_code=201)
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


@router.get("")
async def listing(
    house: Rooms,
    person: Caller,
    status: Annotated[list[str] | None, Query()] = None,
    kind: str = "",
    before: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Page[CaseSummary]:
    """Newest first."""

    def read(ledger: Ledger) -> Page[CaseSummary]:
        opened_by = "" if may(person, Permission.READ) else person.id
        rows = ledger.cases.find(status=status or (), kind=kind, before=before, opened_by=opened_by, limit=limit)
        items = [case_summary(ledger, row) for row in rows]
        return Page[CaseSummary](items=items, next=rows[-1].id if len(rows) == limit else "")

    return await house.database.read(person.workspace, read)


@router.get("/{case_id}")
async def one(house: Rooms, person: Caller, case_id: str) -> CaseDetail:
    return await house.database.read(
        person.workspace, lambda ledger: case_detail(house, ledger, _readable(ledger, person, case_id))
    )


@router.get("/{case_id}/trace")
async def trace(
    house: Rooms,
    person: Caller,
    case_id: str,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Page[TraceEntry]:
    """The case's event log, oldest first."""

    def read(ledger: Ledger) -> Page[TraceEntry]:
        _readable(ledger, person, case_id)
        rows = ledger.trace.of_case(case_id, after, limit)
        last = str(rows[-1].seq) if len(rows) == limit else ""
        return Page[TraceEntry](items=[trace_entry(row) for row in rows], next=last)

    return await house.database.read(person.workspace, read)


@router.get("/{case_id}/events")
async def events(
    house: Rooms, person: Caller, case_id: str, last_event_id: Annotated[str | None, Header()] = None
) -> EventSourceResponse:
    """The same as server-sent events, followed until the case ends."""
    await house.database.read(person.workspace, lambda ledger: _readable(ledger, person, case_id))
    return follow(
        house, person.workspace, lambda ledger, after: ledger.trace.of_case(case_id, after), last_event_id, _ENDS
    )


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
    return await house.database.read(person.workspace, lambda ledger: case_summary(ledger, ledger.cases.get(copy.id)))


@router.post("/{case_id}/retry")
async def retry(house: Rooms, person: Caller, case_id: str) -> CaseSummary:
    """Tries a case again that failed, or that waits for something outside."""
    case = await house.intake.retry(person, case_id)
    return await house.database.read(person.workspace, lambda ledger: case_summary(ledger, ledger.cases.get(case.id)))


@router.post("/{case_id}/{what}")
async def want(house: Rooms, person: Caller, case_id: str, what: Literal["pause", "resume", "cancel"]) -> CaseSummary:
    """Takes hold before the next effect, at the latest."""
    require(person, Permission.OPERATE)
    case = await house.intake.want(person, case_id, _WANTS[what])
    return await house.database.read(person.workspace, lambda ledger: case_summary(ledger, ledger.cases.get(case.id)))
