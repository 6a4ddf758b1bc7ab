"""The sweeper: timers that are due, events that nobody rang for, effects whose worker is gone.

It is what makes every doorbell a mere hint: whatever was lost with a process is found again here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from core.errors import NotAllowed
from core.states import CaseStatus, Desired
from engine import undo_window
from engine.executing import Executing
from engine.reversal import UNDO_TIMER, fired
from engine.review_log import EXPIRY_TIMER
from engine.reviews import ReviewDesk
from engine.rulings import unreconciled
from engine.stream import Stream
from ledger.database import Database, Ledger
from ledger.tables import SYSTEM, TimerRow

_LATE = EXPIRY_TIMER
_OF_REVIEWS = frozenset({EXPIRY_TIMER, undo_window.UNDO_TIMER})
"""What people did, or did not do in time: it goes on wherever people are served."""
_GRACE = timedelta(minutes=1)
"""How long a segment has to find out by itself what came of an effect whose lease is over."""

log = logging.getLogger("countersign.engine")


class Sweeper:
    def __init__(
        self,
        database: Database,
        desk: ReviewDesk,
        executor: Executing,
        stream: Stream,
        ring: Callable[[str, str], Awaitable[None]],
        *,
        every_s: float,
        whole: bool = True,
        undo: Callable[[str, str], None] = lambda _workspace, _case_id: None,
        chores: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        """With `whole` off, where no segments run, it does its chores and ends what people are late for."""
        self._whole = whole
        self._database = database
        self._desk = desk
        self._executor = executor
        self._stream = stream
        self._ring = ring
        self._every_s = every_s
        self._undo = undo
        """Goes on with taking back what a case did."""
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
            if self._whole or timer.purpose in _OF_REVIEWS:
                await self._look_after(timer)
        if self._whole:
            await self._go_on()
        if due:
            self._stream.publish()
        return len(due)

    async def _look_after(self, timer: TimerRow) -> None:
        try:
            await self._fire(timer)
        except NotAllowed as other:  # by the logins that `countersign roles` made, it is the API's
            log.debug("the timer %s of %s is another process's: %s", timer.purpose, timer.case_id, other)
        except Exception as error:  # noqa: BLE001 - one that can't be fired holds up no other
            log.error("the timer %s of %s can't be fired: %s", timer.purpose, timer.case_id, error)

    async def _go_on(self) -> None:
        """With what nobody rang for, and with what nobody waits for any more."""
        for run in await self._database.read(SYSTEM, unreconciled):
            try:
                await self._executor.recall(run.workspace, run.action_id)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one holds up no other
                log.warning("what people said of %s can't be written down yet: %s", run.tool, error)
        for workspace, case_id in await self._database.read(SYSTEM, _silent):
            await self._ring(workspace, case_id)
        for run in await self._database.read(SYSTEM, lambda ledger: ledger.effects.adrift(_GRACE)):
            try:
                await self._executor.settle(run.workspace, run.action_id)
            except Exception as error:  # noqa: BLE001 - a tool that is gone, a provider that is down: others go on
                log.warning("what came of %s can't be found out yet: %s", run.tool, error)

    async def _fire(self, timer: TimerRow) -> None:
        def fire(ledger: Ledger) -> str:
            if timer.purpose in _OF_REVIEWS:  # whoever decides has the review first too, and its timer then
                ledger.reviews.get(timer.review_id, lock=True)
            row = next((each for each in ledger.timers.pending(timer.case_id) if each.id == timer.id), None)
            if row is None or not ledger.timers.fire(row):
                return ""
            if timer.purpose == _LATE:
                return self._desk.expire(ledger, timer.review_id)
            if timer.purpose == undo_window.UNDO_TIMER:
                return undo_window.over(ledger, timer.review_id)
            case = ledger.cases.get(timer.case_id, lock=True)
            if timer.purpose == UNDO_TIMER:
                return case.id if fired(ledger, case) else ""
            if case.status == CaseStatus.PAUSED and case.desired == Desired.RUN:
                ledger.cases.move(case, CaseStatus.OPEN)
            return case.id

        case_id = await self._database.write(timer.workspace, fire)
        if case_id and timer.purpose == UNDO_TIMER:
            self._undo(timer.workspace, case_id)
        elif case_id:
            await self._ring(timer.workspace, case_id)


def _silent(ledger: Ledger) -> list[tuple[str, str]]:
    return ledger.cases.unrung()
