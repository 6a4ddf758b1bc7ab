"""The house itself: who I am, what it can do, how it stands, and its event log."""

from __future__ import annotations

import asyncio
import hashlib
from importlib.metadata import version

from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse

from core import attachments
from core.errors import Busy
from core.people import Permission, require
from core.wire import Kind, Me, Status
from ledger.database import Ledger
from serving.api.deps import Caller, LastEventId, Reader, Rooms, admitted
from serving.api.keyed import KeyedRoute
from serving.api.sse import STREAM, TRACE, Following, follow, position, streams_of
from serving.auth.rates import Rates

router = APIRouter(tags=["house"], route_class=KeyedRoute)


@router.get("/ok", include_in_schema=False)
async def ok() -> dict[str, bool]:
    return {"ok": True}


@router.get("/api/v1/me")
async def me(person: Caller) -> Me:
    return Me(
        id=person.id,
        workspace=person.workspace,
        roles=sorted(person.roles),
        permissions=sorted(person.permissions),
    )


@router.get("/api/v1/kinds")
async def kinds(house: Rooms, _person: Caller) -> list[Kind]:
    """The kinds of business task, with the schemas that forms and action cards are drawn from."""
    specs = house.tools.specs()
    return [
        Kind(
            name=kind.name,
            title=kind.title,
            intake=kind.intake.model_json_schema(),
            tools={
                name: spec.args.model_json_schema() for name, spec in specs.items() if name in house.tools_of[kind.name]
            },
        )
        for kind in house.kinds.values()
    ]


@router.get("/api/v1/status")
async def status(house: Rooms, person: Reader) -> Status:
    def read(ledger: Ledger) -> Status:
        return Status(
            version=version("countersign-desk"),
            cases=ledger.cases.by_status(),
            waiting=ledger.reviews.waiting(),
            backlog=ledger.cases.backlog(),
            last_event=ledger.trace.last(),
            alarms=house.office.alarms(ledger.now),
        )

    return await house.database.read(person.workspace, read)


@router.get("/api/v1/events", response_class=EventSourceResponse, responses=STREAM)
async def events(
    house: Rooms, person: Reader, request: Request, last_event_id: LastEventId = None
) -> EventSourceResponse:
    """The workspace's event log as server-sent events; without `Last-Event-ID`, from now on."""

    async def still_may() -> None:
        require(await admitted(request), Permission.READ)

    after, streams = position(last_event_id), streams_of(request)
    if last_event_id is None:
        after = await house.database.read(person.workspace, lambda ledger: ledger.trace.last())
    found = follow(streams, house.database, person.workspace, "trace", TRACE, after, still_may=still_may)
    return Following(streams, person, found)


@router.post(
    "/api/v1/attachments",
    status_code=201,
    openapi_extra={
        "requestBody": {"required": True, "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def attach(house: Rooms, person: Caller, request: Request) -> dict[str, str]:
    """Keeps the body, a photo, under its content's hash; the answer's `ref` goes into a case's payload."""
    require(person, Permission.SUBMIT)
    content = await request.body()
    ref = (await asyncio.to_thread(hashlib.sha256, content)).hexdigest()[:40]
    path = house.attachments / ref
    if path.exists():
        path.touch()  # housekeeping leaves alone what came lately
        return {"ref": ref}
    allowance: Rates = request.app.state.attached
    if seconds := allowance.wait(f"{person.workspace}/{person.id}", len(content)):
        raise Busy(f"{person.id} sent too much today.", retry_after=seconds, hint="Send it again later.")
    await asyncio.to_thread(attachments.write, path, content)
    return {"ref": ref}
