"""The event log of a run: written in batches by the one process that carries the run out, followed by every stream.

What is written is also kept at hand for a while, so that streams in the same process need not ask the database; whoever
is too slow for that reads the rows, at its own pace. Nothing is gathered for a reader.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from weakref import WeakValueDictionary

from pydantic_core import to_json

from core.actions import JSON
from ledger.database import Database, Ledger
from ledger.trouble import RECORDS_AWAY

log = logging.getLogger("countersign.threads")

Event = tuple[int, str, str]
"""Its number within the run, from 1 on; its name; its data as JSON."""

END = "end"
TOGETHER_S = 0.02
"""What comes within it is written in one transaction, where somebody may read it as it comes."""
UNREAD_S = 0.25
"""The same where nobody does."""
_BATCH_BYTES = 256_000
_AT_HAND = 512
_AT_HAND_BYTES = 1_000_000
_PAGE = 200
_LOOK_S = 3.0
"""A run that is not carried out here: news of it that was lost is found after so long."""


class RunLost(BaseException):
    """Another process goes on with the run. No `except Exception` on the way may swallow it."""


def encoded(data: object) -> str:
    """JSON of whatever a graph brings: messages and other models as their fields, what is unknown as its text."""
    return to_json(data, inf_nan_mode="null", fallback=str, serialize_unknown=True).decode()


class Feed:
    """The last events of a run, and the bell for those who follow it."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._from: int | None = None
        """The number from which on all that there is is at hand; None where the run is not carried out here."""
        self._news = asyncio.Event()
        self.readers = 0
        """How many here want each event as it comes, and not just the end."""

    @property
    def here(self) -> bool:
        return self._from is not None

    def begin(self, last: int) -> None:
        """From now on everything after `last` is written here."""
        self._events.clear()
        self._bytes, self._from = 0, last + 1

    def leave(self) -> None:
        self._from = None

    def add(self, events: Sequence[Event]) -> None:
        self._events.extend(events)
        self._bytes += sum(len(each[2]) for each in events)
        while self._from is not None and (len(self._events) > _AT_HAND or self._bytes > _AT_HAND_BYTES):
            gone = self._events.popleft()
            self._bytes -= len(gone[2])
            self._from = gone[0] + 1
        self.ring()

    def ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def ticket(self) -> asyncio.Event:
        """Take it before looking, wait on it afterwards."""
        return self._news

    def after(self, seq: int) -> list[Event] | None:
        """What came after it, if all of that is at hand."""
        if self._from is None or self._from > seq + 1:
            return None
        return [each for each in self._events if each[0] > seq]


class Feeds:
    """Of all runs that somebody here follows or carries out."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._feeds: WeakValueDictionary[str, Feed] = WeakValueDictionary()
        self._closed = False

    def of(self, run_id: str) -> Feed:
        return self._feeds.setdefault(run_id, Feed())

    def close(self) -> None:
        """Every stream ends where it is: its reader comes back to another process, or to the next one here."""
        self._closed = True
        for feed in list(self._feeds.values()):
            feed.ring()

    def ring_others(self) -> None:
        """Another process has news: of any run that is not carried out here."""
        for feed in list(self._feeds.values()):
            if not feed.here:
                feed.ring()

    async def follow(
        self, workspace: str, run_id: str, after: int = 0, beat_s: float = _LOOK_S, *, eager: bool = False
    ) -> AsyncIterator[Sequence[Event]]:
        """Events after a number as they come, in batches, up to `end`; an empty batch where nothing came for a while.

        Without an `end` it stops for a run that is no more, and when this process is about to end. With `eager` each
        event is wanted at once.
        """
        feed = self.of(run_id)
        feed.readers += eager
        try:
            async for batch in self._follow(feed, workspace, run_id, after, beat_s):
                yield batch
        finally:
            feed.readers -= eager

    async def _follow(
        self, feed: Feed, workspace: str, run_id: str, after: int, beat_s: float
    ) -> AsyncIterator[Sequence[Event]]:
        while not self._closed:
            ticket = feed.ticket()
            batch = feed.after(after)
            if batch is None:
                batch = await self._read(workspace, run_id, after)
            if batch:
                after = batch[-1][0]
                yield batch
                if batch[-1][1] == END:
                    return
                continue
            if not feed.here and await self._over(workspace, run_id):
                return
            try:
                async with asyncio.timeout(beat_s if feed.here else min(beat_s, _LOOK_S)):
                    await ticket.wait()
            except TimeoutError:
                yield ()

    async def _read(self, workspace: str, run_id: str, after: int) -> list[Event]:
        found = await self._database.read(workspace, lambda ledger: ledger.threads.events(run_id, after, _PAGE))
        return [(seq, event, data) for seq, event, data in found]

    async def _over(self, workspace: str, run_id: str) -> bool:
        """Deleted, or its events were."""

        def look(ledger: Ledger) -> bool:
            run = ledger.threads.run(run_id)
            return run is None or run.log_gone_at is not None

        return await self._database.read(workspace, look)


class RunLog:
    """What one process writes of one run. Events are numbered as they come, and become visible in that order."""

    def __init__(
        self,
        database: Database,
        feed: Feed,
        *,
        workspace: str,
        run_id: str,
        attempt: int,
        last: int,
        alone: bool,
        tell: Callable[[], None],
    ) -> None:
        """`last` is the number of the last event that is there; `alone` says that nobody can take the run over;
        `tell` tells other processes that there is news."""
        self._database = database
        self._feed = feed
        self._workspace = workspace
        self._run_id = run_id
        self._attempt = attempt
        self._before = self._last = last
        self._alone = alone
        self._tell = tell
        self._waiting: list[Event] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing = asyncio.Lock()
        self._late: asyncio.Task[None] | None = None
        self._writes: set[asyncio.Task[None]] = set()
        self.closed = False

    def begun(self) -> None:
        """The run is this process's, and so is its log: what waits was written with that."""
        self._feed.begin(self._before)
        self.written(self.waiting)

    @property
    def waiting(self) -> list[Event]:
        """What is not written yet."""
        return list(self._waiting)

    async def emit(self, event: str, data: JSON) -> None:
        """Raises `RunLost`, `DatabaseUnavailable`."""
        self.put(event, encoded(data))
        if self._bytes > _BATCH_BYTES:
            await self.flush()
        elif self._timer is None:
            read = self._feed.readers or not self._alone
            self._timer = asyncio.get_running_loop().call_later(TOGETHER_S if read else UNREAD_S, self._ring)

    def put(self, event: str, data: str) -> None:
        self._last += 1
        self._waiting.append((self._last, event, data))
        self._bytes += len(data)

    def _ring(self) -> None:
        self._timer = None
        if self._late is None or self._late.done():
            self._late = asyncio.ensure_future(self._flush_late())

    async def _flush_late(self) -> None:
        try:
            await self.flush()
        except (*RECORDS_AWAY, RunLost) as away:  # what could not be written is kept: who ends the run tries again
            log.warning("events of run %s wait: %s", self._run_id, away)

    async def flush(self) -> None:
        """Writes what waits. Whoever is cancelled meanwhile leaves it to be done: `close` waits for it."""
        write = asyncio.ensure_future(self._write())
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        await asyncio.shield(write)

    async def _write(self) -> None:
        async with self._writing:
            if self._waiting:
                batch = await self._database.write(self._workspace, self.write, durable=False)
                self.written(batch)

    def write(self, ledger: Ledger, *, mine: bool = False) -> list[Event]:
        """Within a transaction; `mine` says that it holds the run itself. Raises `RunLost`."""
        if not self._alone and not mine and not ledger.threads.held(self._run_id, self._attempt):
            raise RunLost(self._run_id)
        batch = list(self._waiting)
        ledger.threads.quick.log(self._run_id, batch)
        return batch

    def written(self, batch: Sequence[Event]) -> None:
        """After its commit."""
        del self._waiting[: len(batch)]
        self._bytes = sum(len(each[2]) for each in self._waiting)
        self._feed.add(batch)
        self._tell()

    async def close(self) -> None:
        """No more is written by itself; what waits is left for the transaction that ends the run."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._late is not None and not self._late.done():
            await self._late
        # A write that is under way can't be called off: what it brings in is not to be written twice.
        await asyncio.gather(*self._writes, return_exceptions=True)
