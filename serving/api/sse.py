"""Server-sent events from the durable event log: replay from `Last-Event-ID`, then follow, woken by push."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Protocol

from sse_starlette import EventSourceResponse, ServerSentEvent

from core.errors import InvalidInput
from ledger.database import Ledger
from ledger.tables import TraceRow
from serving.api.views import trace_entry
from serving.house import House

PING_S = 15


class Read(Protocol):
    def __call__(self, ledger: Ledger, after: int) -> list[TraceRow]: ...


def follow(
    house: House, workspace: str, read: Read, last_event_id: str | None, ends: frozenset[str]
) -> EventSourceResponse:
    """`read` gives rows after a sequence; the stream ends after an entry whose type is in `ends`."""
    if last_event_id is not None and not last_event_id.isdigit():
        raise InvalidInput("Last-Event-ID is the number of an event.", field="Last-Event-ID")
    return EventSourceResponse(
        _events(house, workspace, read, int(last_event_id or 0), ends), ping=PING_S, send_timeout=30
    )


async def _events(
    house: House, workspace: str, read: Read, after: int, ends: frozenset[str]
) -> AsyncIterator[ServerSentEvent]:
    replayed = False
    while True:
        ticket = house.stream.ticket()
        rows = await house.database.read(workspace, partial(read, after=after))
        for row in rows:
            entry = trace_entry(row)
            after = entry.seq
            yield ServerSentEvent(entry.model_dump_json(), event=entry.type, id=str(entry.seq))
            if entry.type in ends:
                yield ServerSentEvent("", event="end", id=str(entry.seq))
                return
        if not rows:
            if not replayed:
                replayed = True
                yield ServerSentEvent("", event="replayed", id=str(after))
            await _news(ticket)


async def _news(ticket: asyncio.Event) -> None:
    await ticket.wait()
