"""Events by CloudEvents 1.0: what others tell us, and what we tell them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel
from sse_starlette import EventSourceResponse, ServerSentEvent

from core.actions import JSON
from core.errors import CountersignError, InvalidInput
from core.events import BATCH, STRUCTURED, read_message
from core.people import Permission, Person, may, require
from core.wire import Page
from engine.bus.publisher import event_of
from engine.in_turn import Receipt
from ledger.process_tables import OutboxRow
from serving.api.deps import Caller, Rooms
from serving.api.sse import PING_S
from serving.house import House

router = APIRouter(prefix="/api/v1/events", tags=["events"])

_LOOK_S = 1.0
_BODY = {"schema": {"type": "object"}}


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
    openapi_extra={"requestBody": {"content": {STRUCTURED: _BODY, BATCH: _BODY, "application/json": _BODY}}},
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


@router.get("/published", response_model=Page[dict[str, JSON]])
async def published(
    house: Rooms,
    person: Caller,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
    accept: Annotated[str, Header()] = "",
    last_event_id: Annotated[str | None, Header()] = None,
) -> Any:
    """What we tell others, in order, after a position; followed, if `text/event-stream` is asked for.

    `next` is the position to go on from. Who may not read all sees the events of the cases that they opened.
    """
    if "text/event-stream" in accept:
        if last_event_id is not None and not last_event_id.isdigit():
            raise InvalidInput("Last-Event-ID is the position of an event.", field="Last-Event-ID")
        return EventSourceResponse(_follow(house, person, int(last_event_id or after)), ping=PING_S, send_timeout=30)
    rows = await _rows(house, person, after, limit)
    items = [event_of(row).structured() for row in rows]
    return Page[dict[str, JSON]](items=items, next=str(rows[-1].position) if rows else str(after))


async def _rows(house: House, person: Person, after: int, limit: int) -> list[OutboxRow]:
    opened_by = "" if may(person, Permission.READ) else person.id
    require(person, Permission.SUBMIT if opened_by else Permission.READ)
    return await house.database.read(person.workspace, lambda ledger: ledger.outbox.published(after, limit, opened_by))


async def _follow(house: House, person: Person, after: int) -> AsyncIterator[ServerSentEvent]:
    while True:
        ticket = house.stream.ticket()
        for row in (rows := await _rows(house, person, after, 200)):
            after = row.position or after
            event = event_of(row).structured()
            yield ServerSentEvent(json.dumps(event), event=str(event["type"]), id=str(after))
        if not rows:
            with suppress(TimeoutError):  # another process may publish, whose news is not heard here
                await asyncio.wait_for(ticket.wait(), _LOOK_S)
