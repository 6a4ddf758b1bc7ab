"""The sweeper: timers that are due, events that nobody rang for, effects whose worker is gone.

It is what makes every doorbell a mere hint: whatever was lost with a process is found again here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from core.errors import CountersignError
from core.states import CaseStatus, Desired
from engine.executor import Executor
from engine.reviews import ReviewDesk
from engine.stream import Stream
from ledger.database import Database, Ledger
from ledger.tables import SYSTEM, TimerRow

_GRACE = timedelta(minutes=1)
"""How long a segment has to find out by itself what came of an effect whose lease is over."""

log = logging.getLogger("countersign.engine")


class Sweeper:
    def __init__(
        self,
        database: Database,
        desk: ReviewDesk,
        executor: Executor,
        stream: Stream,
        ring: Callable[[str, str], Awaitable[None]],
        *,
        every_s: float,
        chores: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        self._database = database
        self._desk = desk
        self._executor = executor
        self._stream = stream
        self._ring = ring
        self._every_s = every_s
        self._chores = chores
        """What else has to be done now and then."""

    async def run(self) -> None:
        while True:
            try:
                await self.sweep()
            except Exception:  # the next sweep does what this one could not
                log.exception("sweep failed")
            await asyncio.sleep(self._every_s)

    async def sweep(self) -> int:
        """One round. Returns how many timers fired."""
        for chore in self._chores:
            try:
                await chore()
            except Exception:  # timers and effects are looked after whatever else fails
                log.exception("a chore failed")
        due = await self._database.read(SYSTEM, lambda ledger: ledger.timers.due())
        for timer in due:
            try:
                await self._fire(timer)
            except CountersignError as error:  # one that can't be fired holds up no other
                log.error("the timer %s of %s can't be fired: %s", timer.purpose, timer.case_id, error)
        for workspace, case_id in await self._database.read(SYSTEM, _silent):
            await self._ring(workspace, case_id)
        for run in await self._database.read(SYSTEM, lambda ledger: ledger.effects.adrift(_GRACE)):
            try:
                await self._executor.settle(run.workspace, run.action_id)
            except (CountersignError, KeyError) as error:  # a tool that is gone, a provider that is down: others go on
                log.warning("what came of %s can't be found out yet: %s", run.tool, error)
        if due:
            self._stream.publish()
        return len(due)

    async def _fire(self, timer: TimerRow) -> None:
        def fire(ledger: Ledger) -> str:
            row = next((each for each in ledger.timers.pending(timer.case_id) if each.id == timer.id), None)
            if row is None:
                return ""
            ledger.timers.fire(row)
            if timer.purpose == "review.expiry":
                return self._desk.expire(ledger, timer.review_id)
            case = ledger.cases.get(timer.case_id, lock=True)
            if case.status == CaseStatus.PAUSED and case.desired == Desired.RUN:
                ledger.cases.move(case, CaseStatus.OPEN)
            return case.id

        if case_id := await self._database.write(timer.workspace, fire):
            await self._ring(timer.workspace, case_id)


def _silent(ledger: Ledger) -> list[tuple[str, str]]:
    return ledger.cases.unrung()
