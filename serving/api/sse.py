"""Server-sent events from durable logs: replay from `Last-Event-ID`, then follow, woken by push.

A stream is one loop over a log and a feed, with nothing kept for its reader: it sends, and then looks where it is. So a
slow reader costs no memory but its socket's; it is let go with an event `closed`, whose id is the one to come back
with, or cut off where it takes nothing at all. A reader that is gone ends its loop at once.
"""

from __future__ import annotations

import json
import logging
import resource
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from fastapi import Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from core.errors import Busy, CountersignError, InvalidInput
from core.people import Person
from core.settings import StreamSettings
from ledger.database import Database, Ledger
from ledger.tables import TraceRow
from ledger.trouble import RECORDS_AWAY
from serving.api.feed import ALL, Event, Feeds, Log
from serving.api.views import trace_entry
from serving.house import House

log = logging.getLogger("countersign.api")

PING_S = 15
_LET_IN_S = 60.0
"""How long a stream goes on before it is asked again whether its reader may still read."""
_REPLAYED = 200
"""Entries of one read."""
_FILES_LEFT = 256
"""Of those that the process may have open, so many are for other things than streams."""

STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events. Each has an `id` to come back with in `Last-Event-ID`. `replayed` says that what was "
        "before is told, `closed` that the stream ends and is to be opened again, `end` that nothing more comes.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
"""For the `responses` of a route that answers with a stream."""

Read = Callable[[Ledger, int, int], Sequence[Event]]
StillMay = Callable[[], Awaitable[object]]


class Streams:
    """The open streams of this process: how many there may be, and the feeds that they follow."""

    def __init__(self, house: House) -> None:
        self.settings: StreamSettings = house.settings.streams
        keep = self.settings
        self.feeds = Feeds(house.database, house.stream, keep=keep.keep, keep_bytes=keep.keep_bytes)
        self.open = 0
        self._of: dict[str, int] = defaultdict(int)

    def enter(self, person: Person) -> str:
        """Takes a place. Raises `Busy`. Whoever got one gives it back with `leave`."""
        if self.open >= min(self.settings.open, _files() - _FILES_LEFT):
            raise Busy("Too many streams are open here.", retry_after=10, hint="Come back, or read the pages instead.")
        name = f"{person.workspace}/{person.id}"
        if self._of[name] >= self.settings.of_person:
            raise Busy(
                f"{person.id} has {self.settings.of_person} streams open.",
                retry_after=10,
                hint="Close some, or follow '/api/v1/events', which has all cases.",
            )
        self.open += 1
        self._of[name] += 1
        return name

    def leave(self, name: str) -> None:
        self.open -= 1
        self._of[name] -= 1
        if not self._of[name]:
            del self._of[name]


def _files() -> int:
    """How many this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else soft


class Following(EventSourceResponse):
    """A stream that has a place among those that are open."""

    def __init__(
        self,
        streams: Streams,
        person: Person,
        events: AsyncIterator[bytes | ServerSentEvent],
        headers: dict[str, str] | None = None,
    ) -> None:
        self._streams = streams
        self._place = streams.enter(person)
        super().__init__(events, ping=PING_S, send_timeout=streams.settings.send_s, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("a reader took nothing for %s s: its stream is cut off", self._streams.settings.send_s)
        finally:
            self._streams.leave(self._place)


def streams_of(request: Request) -> Streams:
    found: Streams = request.app.state.streams
    return found


def position(last_event_id: str | None) -> int:
    """Raises `InvalidInput`."""
    if last_event_id is None:
        return 0
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 17):
        raise InvalidInput("Last-Event-ID is the number of an event.", field="Last-Event-ID")
    return int(last_event_id)


def trace_event(row: TraceRow) -> Event:
    entry = trace_entry(row)
    sent = ServerSentEvent(entry.model_dump_json(), event=entry.type, id=str(entry.seq))
    return Event(entry.seq, entry.case_id, entry.type, sent.encode())


TRACE = Log(
    read=lambda ledger, after, limit: [trace_event(row) for row in ledger.trace.since(after, limit)],
    last=lambda ledger: ledger.trace.last(),
)


def of_case(case_id: str) -> Read:
    """The log of one case, by its own index."""
    return lambda ledger, after, limit: [trace_event(row) for row in ledger.trace.of_case(case_id, after, limit)]


async def follow(
    streams: Streams,
    database: Database,
    workspace: str,
    log_name: str,
    followed: Log,
    after: int,
    *,
    key: str = ALL,
    read: Read | None = None,
    ends: frozenset[str] = frozenset(),
    still_may: StillMay | None = None,
) -> AsyncIterator[bytes | ServerSentEvent]:
    """What is in the log after a number, then what comes; until an event whose type is in `ends`.

    `key` is the case whose events are wanted, and `read` reads these alone. `still_may` raises what bars the reader.
    """
    may = _Leave(still_may)
    try:
        async with streams.feeds.following(workspace, log_name, followed) as feed:
            level, more = feed.last, True
            while more:
                level = feed.last
                found = await database.read(workspace, _reading(read or followed.read, after))
                more = len(found) == _REPLAYED
                for event in found:
                    after = event.seq
                    yield event.text
                    if event.type in ends:
                        yield _said("end", after)
                        return
            yield _said("replayed", after)
            seen = max(after, level)
            while True:
                fresh = feed.after(seen, key)
                if fresh is None:
                    yield _said("closed", after, "too slow")
                    return
                for event in fresh:
                    after = seen = event.seq
                    yield event.text
                    if event.type in ends:
                        yield _said("end", after)
                        return
                if not fresh:
                    seen = max(seen, feed.last)
                    await feed.news(seen, key, _LET_IN_S)
                if await may.ended():
                    yield _said("closed", after, "not allowed any more")
                    return
    except RECORDS_AWAY:
        yield _said("closed", after, "the records are away")


class _Leave:
    """A reader's leave to go on, asked for again now and then."""

    def __init__(self, still_may: StillMay | None) -> None:
        self._still_may = still_may
        self._asked = time.monotonic()

    async def ended(self) -> bool:
        if self._still_may is None or time.monotonic() - self._asked < _LET_IN_S:
            return False
        self._asked = time.monotonic()
        try:
            await self._still_may()
        except RECORDS_AWAY:
            return False
        except CountersignError as barred:
            log.info("a stream ends: %s", barred)
            return True
        return False


def _reading(read: Read, after: int) -> Callable[[Ledger], Sequence[Event]]:
    return lambda ledger: read(ledger, after, _REPLAYED)


def _said(what: str, seq: int, why: str = "") -> ServerSentEvent:
    return ServerSentEvent(json.dumps({"why": why}) if why else "", event=what, id=str(seq))
