"""Segments as tasks of this process, for suites that open a house for seconds. Nothing of it survives the process."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections import deque
from datetime import datetime

from engine.doorbell import LAST_WORDS_S, Errands, Hands, Limits, Work, errand
from ledger.database import Database

log = logging.getLogger("countersign.engine")


class TaskBell:
    """The most urgent first; of equally urgent ones, who rang first."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._most = min(limits.at_once, limits.in_all) if limits.in_all else limits.at_once
        self._per_s = limits.per_s
        self._begun: deque[float] = deque()
        """When the segments of the last second began."""
        self._hands: Hands | None = None
        self._queue: list[tuple[int, int, str, str]] = []
        self._queued: set[str] = set()
        self._number = itertools.count()
        self._tasks: set[asyncio.Task[bool]] = set()
        self._later: asyncio.TimerHandle | None = None

    async def start(self, work: Work) -> None:
        self._hands = Hands(work)
        self._begin()

    async def ring(self, workspace: str, case_id: str) -> None:
        if case_id in self._queued or (self._hands is not None and self._hands.again(workspace, case_id)):
            return
        what = await self._database.read(workspace, lambda ledger: errand(ledger, case_id))
        if what is None or case_id in self._queued:
            return
        self._queued.add(case_id)
        heapq.heappush(self._queue, (-what.priority, next(self._number), workspace, case_id))
        self._begin()

    async def take(self, workspace: str, case_id: str) -> None:
        await self.ring(workspace, case_id)

    def _begin(self) -> None:
        """Begins as many segments as the limits let."""
        while self._hands is not None and self._queue and len(self._tasks) < self._most:
            if (pause := self._pause()) > 0:
                if self._later is None:
                    self._later = asyncio.get_running_loop().call_later(pause, self._after_pause)
                return
            *_, workspace, case_id = heapq.heappop(self._queue)
            self._queued.discard(case_id)
            task = asyncio.create_task(self._hands.attend(workspace, case_id))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _after_pause(self) -> None:
        self._later = None
        self._begin()

    def _pause(self) -> float:
        """Seconds until another segment may begin."""
        if not self._per_s:
            return 0.0
        now = time.monotonic()
        while self._begun and now - self._begun[0] >= 1:
            self._begun.popleft()
        if len(self._begun) >= self._per_s:
            return 1 - (now - self._begun[0])
        self._begun.append(now)
        return 0.0

    def _ended(self, task: asyncio.Task[bool]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (died := task.exception()) is not None:
            log.error("a segment died, and is rung for again later: %r", died)
        self._begin()

    async def drain(self, within_s: float) -> Errands:
        hands, self._hands = self._hands, None  # who has not begun does not begin any more
        if self._later is not None:
            self._later.cancel()
        return await hands.let_go(within_s) if hands is not None else frozenset()

    async def reclaim(self, worker: str) -> int:
        return 0  # what others rang for went with them

    async def prune(self, before: datetime) -> int:
        return 0

    async def stop(self) -> None:
        await self.drain(LAST_WORDS_S)
        await asyncio.gather(*self._tasks, return_exceptions=True)
