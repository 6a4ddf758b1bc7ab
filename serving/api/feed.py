"""The end of a log in memory, read once for all who follow it, however many they are.

Whoever follows reads from the log until it is level with the feed, and from then on takes from memory what is its own.
A case's news wakes those who follow this case, and those who follow all. Nothing is kept for anybody: who is slower
than the memory is long finds out by itself, and comes back by the number that it had.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from core.errors import DatabaseUnavailable
from engine.stream import Stream
from ledger.database import Database, Ledger
from ledger.trouble import RECORDS_AWAY

log = logging.getLogger("countersign.api")

_PAGE = 500
_TOGETHER_S = 0.01
"""What comes within it is read in one go."""
_AGAIN_S = 1.0

ALL = ""
"""The key of those who follow the whole log."""


class Event(NamedTuple):
    """An entry of a log as it is sent, to be shared by all streams."""

    seq: int
    key: str
    """The case."""
    type: str
    text: bytes


@dataclass(frozen=True)
class Log:
    """How a log is read: entries after a number, in order, and the number up to which all is there."""

    read: Callable[[Ledger, int, int], Sequence[Event]]
    last: Callable[[Ledger], int]
    look_s: float | None = None
    """How often to look without news, where others write of whom none are heard."""


@dataclass
class _Ear:
    many: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Feed:
    """One log of one workspace."""

    def __init__(
        self, database: Database, stream: Stream, workspace: str, log: Log, keep: int, keep_bytes: int
    ) -> None:
        self._database = database
        self._stream = stream
        self._workspace = workspace
        self._log = log
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._held = 0
        self._events: deque[Event] = deque()
        self._by_key: dict[str, deque[Event]] = defaultdict(deque)
        self._ears: dict[str, _Ear] = defaultdict(_Ear)
        self.first = 0
        """What comes after it, up to `last`, is in memory."""
        self.last = 0
        self._pump: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self.first = self.last = await self._database.read(self._workspace, self._log.last)
        self._pump = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            with suppress(asyncio.CancelledError):
                await self._pump

    def after(self, seq: int, key: str) -> list[Event] | None:
        """What is new for a key; None where that is not in memory any more."""
        if seq < self.first:
            return None
        kept = self._events if key == ALL else self._by_key.get(key, ())
        found: list[Event] = []
        for event in reversed(kept):
            if event.seq <= seq:
                break
            found.append(event)
        return found[::-1]

    async def news(self, seq: int, key: str, within_s: float) -> None:
        """Returns when there may be something after `seq`, or after so long. Raises `DatabaseUnavailable`."""
        if self._pump is None or self._pump.done():
            raise DatabaseUnavailable("The event log is not read any more.", hint="Come back in a moment.")
        ear = self._ears[key]
        ear.many += 1
        try:
            if not self.after(seq, key):
                with suppress(TimeoutError):
                    await asyncio.wait_for(ear.news.wait(), within_s)
        finally:
            ear.many -= 1
            if not ear.many and self._ears.get(key) is ear:
                del self._ears[key]

    async def _run(self) -> None:
        while True:
            ticket = self._stream.ticket()
            try:
                found = await self._database.read(
                    self._workspace, lambda ledger: self._log.read(ledger, self.last, _PAGE)
                )
            except RECORDS_AWAY as away:
                log.warning("the event log can't be read: %s", away)
                await asyncio.sleep(_AGAIN_S)
                continue
            self._take(found)
            if len(found) < _PAGE:
                with suppress(TimeoutError):
                    await asyncio.wait_for(ticket.wait(), self._log.look_s)
            await asyncio.sleep(_TOGETHER_S)

    def _take(self, found: Sequence[Event]) -> None:
        if not found:
            return
        for event in found:
            self._events.append(event)
            self._by_key[event.key].append(event)
            self._held += len(event.text)
        self.last = found[-1].seq
        while self._events and (len(self._events) > self._keep or self._held > self._keep_bytes):
            self._forget()
        for key in {ALL, *(event.key for event in found)}:
            ear = self._ears.pop(key, None)
            if ear is not None:
                ear.news.set()

    def _forget(self) -> None:
        oldest = self._events.popleft()
        self._held -= len(oldest.text)
        of_key = self._by_key[oldest.key]
        of_key.popleft()
        if not of_key:
            del self._by_key[oldest.key]
        self.first = oldest.seq


class Feeds:
    """The feeds that somebody follows: each begins with the first who does, and ends with the last."""

    def __init__(self, database: Database, stream: Stream, *, keep: int, keep_bytes: int) -> None:
        self._database = database
        self._stream = stream
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._open: dict[tuple[str, str], tuple[Feed, asyncio.Task[None]]] = {}
        self._followers: dict[tuple[str, str], int] = defaultdict(int)

    @asynccontextmanager
    async def following(self, workspace: str, name: str, log: Log) -> AsyncIterator[Feed]:
        at = (workspace, name)
        self._followers[at] += 1
        try:
            if at not in self._open:
                feed = Feed(self._database, self._stream, workspace, log, self._keep, self._keep_bytes)
                self._open[at] = feed, asyncio.create_task(feed.open())
            feed, opening = self._open[at]
            await asyncio.shield(opening)
            yield feed
        except BaseException:
            if at in self._open and self._open[at][1].done() and self._open[at][1].exception() is not None:
                del self._open[at]  # it could not be opened: who comes next tries again
            raise
        finally:
            self._followers[at] -= 1
            if not self._followers[at]:
                del self._followers[at]
                if at in self._open:
                    feed, opening = self._open.pop(at)
                    opening.cancel()
                    await feed.close()
