"""Keeps a queue state in step with the server: a snapshot, then its events, again after every interruption."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from enum import StrEnum

from core.errors import CountersignError, Forbidden, SetupError, Unauthenticated
from core.wire import Me, TraceEntry
from core.wire_approvals import ApprovalPage
from desk.client import DeskClient
from desk.store import QueueState, page_of

OFFLINE_S = 20.0
"""Seconds without the server after which the desk says offline; it goes on trying."""
SNAPSHOT_S = 1.0
"""Least time between two snapshots that a stale state asks for."""
ANEW_S = 60.0
"""A snapshot is taken this often anyway: ended leases send no event."""


class Link(StrEnum):
    CONNECTING = "connecting"
    LIVE = "live"
    RECONNECTING = "reconnecting"
    OFFLINE = "offline"
    REFUSED = "refused"  # the server said no, and asking again won't help


class Feed:
    """`run` is the only writer of `link`; `absorb` is called by whoever paints, at its own pace."""

    def __init__(
        self, client: DeskClient, clock: Callable[[], float], *, retry_s: float = 0.25, window: int = 200
    ) -> None:
        self.state = QueueState()
        self.link = Link.CONNECTING
        self.problem: CountersignError | None = None
        self.me: Me | None = None
        self.window = window
        self.ready = asyncio.Event()
        """Set once there was a first snapshot."""
        self._client = client
        self._clock = clock
        self._retry_s = retry_s
        self._pending: list[TraceEntry] = []
        self._wanted = asyncio.Event()
        self._lost_at: float | None = None

    async def run(self) -> None:
        """Until cancelled, or until the server refuses for good."""
        refresher = asyncio.create_task(self._refresh())
        wait = self._retry_s
        try:
            while self.link is not Link.REFUSED:
                try:
                    await self._snapshot()
                    async for entry in self._client.events(self.state.last_heard):
                        self._alive()
                        wait = self._retry_s
                        if entry is not None:
                            self._pending.append(entry)
                except (Unauthenticated, Forbidden, SetupError) as error:
                    self.problem, self.link = error, Link.REFUSED
                    return
                except CountersignError as error:
                    self._lost(error)
                else:
                    self._lost(None)  # the server ended the stream; it can be resumed at once
                await asyncio.sleep(wait)
                wait = min(wait * 2, 5.0)
        finally:
            refresher.cancel()

    def absorb(self) -> list[TraceEntry]:
        """Takes what arrived into the state; returns it."""
        batch, self._pending = self._pending, []
        if batch:
            self.state = self.state.with_events(batch)
        if self.state.stale:
            self._wanted.set()
        return batch

    def widen(self) -> None:
        """Somebody looks beyond the window: read more of the queue."""
        if not self.state.whole:
            self.window += 200
            self._wanted.set()

    def want_snapshot(self) -> None:
        self._wanted.set()

    def _alive(self) -> None:
        self.link, self.problem, self._lost_at = Link.LIVE, None, None

    def _lost(self, error: CountersignError | None) -> None:
        now = self._clock()
        self._lost_at = now if self._lost_at is None else self._lost_at
        self.problem = error
        self.link = Link.OFFLINE if now - self._lost_at > OFFLINE_S else Link.RECONNECTING

    async def _snapshot(self) -> None:
        self.me = self.me or await self._client.me()
        last_event = (await self._client.status()).last_event
        pages: list[ApprovalPage] = [await self._client.approvals()]
        while pages[-1].next and sum(len(page.items) for page in pages) < self.window:
            pages.append(await self._client.approvals(after=pages[-1].next))
        self.state = page_of(self.state, pages, last_event)
        self.ready.set()

    async def _refresh(self) -> None:
        """Takes the snapshots that are asked for, never two at a time, never faster than one a second."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), ANEW_S)
            self._wanted.clear()
            if self.link is Link.LIVE:
                try:
                    await self._snapshot()
                except CountersignError as error:
                    # The stream tells better whether the server is gone; the wish is kept for when it is back.
                    self.problem = error
                    self._wanted.set()
            await asyncio.sleep(SNAPSHOT_S)
