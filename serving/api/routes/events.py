"""Events by CloudEvents 1.0: what others tell us, and what we tell them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sse_starlette import ServerSentEvent

from core.actions import JSON
from core.errors import CountersignError
from core.events import BATCH, STRUCTURED, read_message
from core.people import Permission, Person, may, require
from core.wire import Page
from engine.bus.publisher import event_of
from engine.in_turn import Receipt
from ledger.database import Ledger
from ledger.process_tables import OutboxRow
from serving.api.deps import Caller, LastEventId, Rooms, admitted
from serving.api.feed import Event, Log
from serving.api.pages import After, Limit
from serving.api.sse import STREAM, Following, follow, position, streams_of
from serving.house import House

router = APIRouter(prefix="/api/v1/events", tags=["events"])

_LOOK_S = 1.0
"""Another process may publish, whose news is not heard here."""
_TOGETHER_S = 0.1
_TEXT = {"type": "string", "minLength": 1}
_OBJECT = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {"specversion": {"const": "1.0"}, "id": _TEXT, "source": _TEXT, "type": _TEXT},
}
_BATCH: dict[str, Any] = {"type": "array", "items": {}}
"""Each item is an event, or is answered with what is wrong with it."""
_BODIES = {STRUCTURED: {"schema": _OBJECT}, BATCH: {"schema": _BATCH}}


def _event(row: OutboxRow) -> Event:
    event = event_of(row).structured()
    sent = ServerSentEvent(json.dumps(event), event=str(event["type"]), id=str(row.position))
    return Event(int(row.position or 0), row.case_id, str(event["type"]), sent.encode())


PUBLISHED = Log(
    read=lambda ledger, after, limit: [_event(row) for row in ledger.outbox.published(after, limit)],
    last=lambda ledger: ledger.outbox.last(),
    look_s=_LOOK_S,
)


class Answer(BaseModel):
    """What became of one event."""

    id: str
    source: str
    case: str
    state: str
    new: bool
    note: str = ""

    @classmethod
    def of(cls, receipt: Receipt) -> Answer:
        return cls(**receipt.model_dump(), new=receipt.new)


class Answers(BaseModel):
    """One item for each event of a batch, in order: what became of it, or the problem."""

    items: list[Answer | dict[str, Any]]
    refused: int


@router.post(
    "",
    status_code=202,
    openapi_extra={"requestBody": {"required": True, "content": _BODIES}},
)
async def take(house: Rooms, person: Caller, request: Request, response: Response) -> Answer | Answers:
    """Takes an event, or a batch of them: structured, or with `ce-` headers. The same event again changes nothing."""
    require(person, Permission.SUBMIT)
    headers = {name.lower(): value for name, value in request.headers.items()}
    events, batch = read_message(headers.get("content-type", ""), headers, await request.body())
    told = await house.mail.arrivals.take(person, events)
    if batch:
        items = [each.problem() if isinstance(each, CountersignError) else Answer.of(each) for each in told]
        return Answers(items=items, refused=sum(isinstance(each, dict) for each in items))
    answer = told[0]
    if isinstance(answer, CountersignError):
        raise answer
    response.headers["Location"] = f"/api/v1/cases/{answer.case}"
    return Answer.of(answer)


@router.get("/published", response_model=Page[dict[str, JSON]], responses={200: {"content": STREAM[200]["content"]}})
async def published(
    house: Rooms,
    person: Caller,
    request: Request,
    after: After = 0,
    limit: Limit = 200,
    last_event_id: LastEventId = None,
) -> Any:
    """What we tell others, in order, after a position; followed, if `text/event-stream` is asked for.

    `next` is the position to go on from. Who may not read all sees the events of the cases that they opened.
    """
    opened_by = "" if may(person, Permission.READ) else person.id
    require(person, Permission.SUBMIT if opened_by else Permission.READ)
    if "text/event-stream" in request.headers.get("accept", ""):
        streams, since = streams_of(request), position(last_event_id) or after
        if opened_by:
            return Following(streams, person, _own(house, person, since, request))

        async def still_may() -> None:
            require(await admitted(request), Permission.READ)

        found = follow(streams, house.database, person.workspace, "outbox", PUBLISHED, since, still_may=still_may)
        return Following(streams, person, found)
    rows = await house.database.read(person.workspace, lambda ledger: ledger.outbox.published(after, limit, opened_by))
    items = [event_of(row).structured() for row in rows]
    return Page[dict[str, JSON]](items=items, next=str(rows[-1].position) if rows else str(after))


async def _own(house: House, person: Person, after: int, request: Request) -> AsyncIterator[bytes]:
    """Of the cases that one person opened."""
    while True:
        ticket = house.stream.ticket()
        await admitted(request)

        def read(ledger: Ledger, after: int = after) -> list[Event]:
            return [_event(row) for row in ledger.outbox.published(after, 200, person.id)]

        found = await house.database.read(person.workspace, read)
        for event in found:
            after = event.seq
            yield event.text
        if not found:
            with suppress(TimeoutError):
                await asyncio.wait_for(ticket.wait(), _LOOK_S)
            await asyncio.sleep(_TOGETHER_S)
