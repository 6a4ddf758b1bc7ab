"""A segment: the run of a case's graph from one event until it ends or waits again.

Nothing is parked in memory for a person. Each event of the inbox is worked off in order; what comes of
it is written in one transaction with the mark that it is processed, so a crash repeats it as a whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from core.errors import CountersignError, ModelUnavailable, ProviderUnavailable
from core.personal import texts
from core.ports import CaseView, Runner, SegmentResult
from core.redaction import knowing
from core.states import FINISHED, CaseStatus, Desired, ReviewStatus
from engine import fence, incidents, reversal, superseding
from engine.executor import CaseStopped
from engine.fence import Fence, SegmentLost
from engine.journal import Journal, Note
from engine.rates import RateCard
from engine.reviews import ReviewDesk
from engine.stream import Stream
from engine.undo_window import waits
from ledger.database import Database, Ledger
from ledger.tables import CaseRow, InboxRow
from ledger.trouble import RECORDS_AWAY

log = logging.getLogger("countersign.engine")

RETRY_AFTER = (timedelta(seconds=2), timedelta(seconds=15), timedelta(minutes=2))
"""When something outside is down: after these waits the case goes to people."""


class Segments:
    def __init__(
        self,
        database: Database,
        runner: Runner,
        desk: ReviewDesk,
        journal: Journal,
        stream: Stream,
        rates: RateCard,
        *,
        worker: str,
        attempts: int,
        release: str = "",
        made_with: Callable[[str, datetime], dict[str, Any]] = lambda _kind, _now: {},
        by_hand: Callable[[CaseView, InboxRow], Awaitable[None]] | None = None,
    ) -> None:
        """`worker` is this process's name, `release` what it runs; `made_with` tells the digests of a kind's parts.

        `by_hand` carries out what somebody proposed beside the case's agent (`engine/by_hand.py`).
        """
        self._database = database
        self._runner = runner
        self._desk = desk
        self._journal = journal
        self._stream = stream
        self._rates = rates
        self._worker = worker
        self._release = release
        self._made_with = made_with
        self._by_hand = by_hand
        self._attempts = attempts
        self._running: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """A lock lives as long as somebody holds it or waits for it."""
        self._cut_off: set[str] = set()
        """Cases whose last segment the database cut off: that is no crash of theirs."""

    async def work(self, workspace: str, case_id: str) -> None:
        """Works off the inbox of a case. Safe to call at any time, for any case, any number of times."""
        lock = self._running.setdefault(case_id, asyncio.Lock())
        async with lock:
            try:
                await self._work(workspace, case_id)
            except RECORDS_AWAY as away:  # as if this worker had died: the sweeper rings, and the case goes on
                self._cut_off.add(case_id)
                log.warning("a segment of %s was cut off: %s", case_id, away)

    def in_hand(self) -> set[str]:
        """Cases that a segment of this process has at work."""
        return {case_id for case_id, lock in self._running.items() if lock.locked()}

    def forgive(self, case_id: str) -> bool:
        """Whether the database cut off the case's last segment; asked once."""
        cut_off = case_id in self._cut_off
        self._cut_off.discard(case_id)
        return cut_off

    async def _work(self, workspace: str, case_id: str) -> None:
        while (begun := await self._begun(workspace, case_id)) is not None:
            self._cut_off.discard(case_id)
            case, event, mine = begun
            try:
                with fence.inside(mine), knowing(partial(texts, case.payload)):
                    goes_on = await self._segment(case, event)
            except SegmentLost as lost:
                log.warning("%s: nothing more of it is written here", lost)
                break
            except asyncio.CancelledError:
                await self._hand_over(mine)
                raise
            if not goes_on:
                break
        self._stream.publish()

    async def _segment(self, case: CaseView, event: InboxRow) -> bool:
        """Works off one event. Whether the next one may follow at once."""
        try:
            if self._by_hand is not None:
                await self._by_hand(case, event)
            result = await self._runner.advance(case, answered=str(event.payload.get("interrupt_id", "")))
        except CaseStopped:
            await self._database.write(case.workspace, lambda ledger: self._stopped(ledger, case.id))
            return False
        except (ModelUnavailable, ProviderUnavailable) as down:
            await self._end(case, event, later=down)
            return False
        except RECORDS_AWAY:
            raise
        except CountersignError as wrong:
            await self._end(case, event, failed=wrong.detail)
            return False
        except Exception as unexpected:  # a defect must leave the case whole and in people's sight
            log.exception("segment of %s failed", case.id)
            await self._end(case, event, failed=f"{type(unexpected).__name__}: {unexpected}"[:500])
            return False
        return await self._end(case, event, result=result)

    async def _hand_over(self, mine: Fence) -> None:
        """This process ends: the event stays in the inbox, and another one goes on where the graph stands."""

        def hand_over(ledger: Ledger) -> None:
            case = ledger.cases.get(mine.case_id, lock=True)
            if case.status == CaseStatus.RUNNING and case.epoch == mine.epoch:
                fence.free(ledger, case, died=False)
                ledger.trace.add(case.id, "case.handed_over", {"worker": self._worker})
                ledger.audit.append("case.handed_over", {"worker": self._worker}, case_id=case.id)

        mine.fallen = True
        try:
            await self._database.write(mine.workspace, hand_over)
        except RECORDS_AWAY as away:
            log.warning("%s is left for others to take back: %s", mine.case_id, away)

    async def _begun(self, workspace: str, case_id: str) -> tuple[CaseView, InboxRow, Fence] | None:
        # A fence that a server forgot would be given out twice.
        apart = self._database.apart
        return await self._database.write(workspace, lambda ledger: self._begin(ledger, case_id), durable=apart)

    def _begin(self, ledger: Ledger, case_id: str) -> tuple[CaseView, InboxRow, Fence] | None:
        case = ledger.cases.get(case_id, lock=True)
        if case.status in FINISHED:
            for event in ledger.cases.unprocessed(case_id):
                ledger.cases.processed(event, f"the case is {case.status}")
            return None
        if case.status == CaseStatus.RUNNING and case.worker not in ("", self._worker):
            return None  # it is in another one's hands until it is handed over or taken back (`engine/workers.py`)
        if self._stop(ledger, case) or self._not_for_us(case):
            return None
        events = [each for each in ledger.cases.unprocessed(case_id) if not self._too_early(ledger, each)]
        if not events or case.status == CaseStatus.FAILED:
            return None
        event = events[0]
        if case_id in self._cut_off:
            case.crashes = max(0, case.crashes - 1)
        if case.crashes >= self._attempts:
            self._give_up(ledger, case, event, f"its segment died {case.crashes} times")
            return None
        refused = next((why for each in events if (why := self._refused_to_recover(ledger, each))), "")
        if refused:
            self._cancel(ledger, case, refused)
            return None
        superseding.taken_up(ledger, case, event)
        case.crashes += 1
        case.worker, case.epoch = self._worker, case.epoch + 1
        case.made_with = self._made_with(case.kind, ledger.now)
        ledger.cases.move(case, CaseStatus.RUNNING)
        view = CaseView(
            id=case.id, workspace=case.workspace, kind=case.kind, subject=case.subject, payload=case.payload
        )
        return view, event, Fence(workspace=case.workspace, case_id=case.id, epoch=case.epoch)

    def _not_for_us(self, case: CaseRow) -> bool:
        """Operators hold it, or want it ended by the release that it ran with (`engine/releases.py`)."""
        return bool(case.held) or case.release not in ("", self._release)

    async def _end(
        self,
        case: CaseView,
        event: InboxRow,
        *,
        result: SegmentResult | None = None,
        later: CountersignError | None = None,
        failed: str = "",
    ) -> bool:
        """Whether there is more for the case to take up."""

        def close(ledger: Ledger) -> bool:
            row = ledger.cases.get(case.id, lock=True)
            fence.hold(row)
            now = next((each for each in ledger.cases.unprocessed(case.id) if each.seq == event.seq), None)
            if now is None:
                raise SegmentLost(f"event {event.seq} of {case.id} was worked off by another segment")
            row.crashes = 0
            if result is not None:
                self._settle(ledger, row, now, result)
            elif later is not None:
                self._wait_for_the_world(ledger, row, now, later)
            else:
                self._give_up(ledger, row, now, failed)
            return bool(ledger.cases.unprocessed(case.id))

        return await self._database.write(case.workspace, close, durable=False)

    def _settle(self, ledger: Ledger, case: CaseRow, event: InboxRow, result: SegmentResult) -> None:
        ledger.cases.processed(event, "had nothing to answer" if result.skipped else "")
        self._journal.write(ledger, case.id, [Note.model_validate(note) for note in result.notes])
        for question in result.waiting:
            self._desk.park(ledger, case, question)
        if result.finished:
            self._close(ledger, case, result)
        elif result.waiting:
            ledger.cases.move(case, CaseStatus.WAITING)
        else:
            ledger.cases.move(case, CaseStatus.OPEN)

    def _close(self, ledger: Ledger, case: CaseRow, result: SegmentResult) -> None:
        self._desk.withdraw(ledger, case.id)
        ledger.cases.move(case, CaseStatus.CLOSED)
        case.closed_at, case.outcome, case.summary = ledger.now, result.outcome, result.summary
        ledger.costs.post(
            key=f"{case.id}:platform", case_id=case.id, component="platform", amount=self._rates.platform()
        )
        body = {"outcome": result.outcome, "summary": result.summary}
        ledger.audit.append("case.closed", body, case_id=case.id)
        ledger.trace.add(case.id, "case.closed", body)
        ledger.outbox.tell(case, "case.closed", {"status": str(case.status), "outcome": case.outcome})

    def _wait_for_the_world(self, ledger: Ledger, case: CaseRow, event: InboxRow, down: CountersignError) -> None:
        """A model or a provider is down: the event stays, a timer brings it back, people if it lasts."""
        tried = int(event.payload.get("tried", 0))
        if tried >= len(RETRY_AFTER):
            self._give_up(ledger, case, event, down.detail)
            return
        event.payload = {**event.payload, "tried": tried + 1}
        ledger.session.add(event)
        case.problem = down.detail
        ledger.cases.move(case, CaseStatus.PAUSED)
        ledger.timers.set(case_id=case.id, purpose="case.retry", due_at=ledger.now + RETRY_AFTER[tried])
        ledger.trace.add(case.id, "case.delayed", {"reason": down.detail, "tried": tried + 1})

    def _give_up(self, ledger: Ledger, case: CaseRow, event: InboxRow, problem: str) -> None:
        """The case stays whole and goes to people, who try again or cancel it."""
        case.problem, case.crashes = problem, 0
        if event.payload.get("tried"):
            event.payload = {**event.payload, "tried": 0}
            ledger.session.add(event)
        ledger.cases.move(case, CaseStatus.FAILED)
        described = f"The case can't go on: {problem}. Try again?"
        incidents.ask(ledger, case, incidents.RECOVER, {"problem": problem}, described)
        ledger.audit.append("case.failed", {"problem": problem}, case_id=case.id)
        ledger.trace.add(case.id, "case.failed", {"problem": problem})

    def _too_early(self, ledger: Ledger, event: InboxRow) -> bool:
        """An event that claims an answer to a question which people have not answered: it wakes up nobody."""
        claimed = event.payload.get("interrupt_id")
        asked = ledger.reviews.of_case(event.case_id) if claimed else []
        waiting = [row for row in asked if row.status == ReviewStatus.OPEN or waits(ledger, row)]
        if not any(review.interrupt_id == claimed for review in waiting):
            return False
        ledger.cases.processed(event, "its question is still open")
        return True

    def _refused_to_recover(self, ledger: Ledger, event: InboxRow) -> str:
        """People were asked whether to try a failed case again, and said no."""
        review_id = event.payload.get("review_id")
        if not review_id or event.payload.get("interrupt_id"):
            return ""
        review = ledger.reviews.get(str(review_id))
        if ledger.effects.action(review.action_id).tool != incidents.RECOVER:
            return ""
        return "" if review.status == ReviewStatus.APPROVED else "people gave it up"

    # stop and go

    def _stop(self, ledger: Ledger, case: CaseRow) -> bool:
        if case.desired == Desired.CANCEL:
            self._cancel(ledger, case, "people cancelled it")
            return True
        if case.desired == Desired.PAUSE:
            if case.status not in (CaseStatus.PAUSED, CaseStatus.FAILED):
                ledger.cases.move(case, CaseStatus.PAUSED)
                ledger.trace.add(case.id, "case.paused", {})
            return True
        return case.status == CaseStatus.PAUSED

    def _stopped(self, ledger: Ledger, case_id: str) -> None:
        """Stopped between two effects: the event stays in the inbox for when it goes on."""
        case = ledger.cases.get(case_id, lock=True)
        fence.hold(case)
        case.crashes = 0
        self._stop(ledger, case)

    def _cancel(self, ledger: Ledger, case: CaseRow, why: str) -> None:
        self._desk.withdraw(ledger, case.id)
        for event in ledger.cases.unprocessed(case.id):
            ledger.cases.processed(event, why)
        ledger.cases.move(case, CaseStatus.CANCELLED)
        case.closed_at, case.outcome, case.summary = ledger.now, "cancelled", why
        ledger.audit.append("case.cancelled", {"reason": why}, case_id=case.id)
        reversal.ended_by_people(ledger, case)
        ledger.trace.add(case.id, "case.cancelled", {"reason": why})
        ledger.outbox.tell(case, "case.closed", {"status": str(case.status), "outcome": case.outcome})
