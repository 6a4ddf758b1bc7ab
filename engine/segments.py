"""A segment: the run of a case's graph from one event until it ends or waits again.

Nothing is parked in memory for a person. Each event of the inbox is worked off in order; what comes of
it is written in one transaction with the mark that it is processed, so a crash repeats it as a whole.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from weakref import WeakValueDictionary

from core.errors import CountersignError, ModelUnavailable, ProviderUnavailable
from core.ports import CaseView, Runner, SegmentResult
from core.states import FINISHED, CaseStatus, Desired, ReviewStatus
from engine import incidents
from engine.executor import CaseStopped
from engine.rates import RateCard
from engine.reviews import ReviewDesk
from engine.stream import Stream
from ledger.database import Database, Ledger
from ledger.tables import CaseRow, InboxRow

log = logging.getLogger("countersign.engine")

RETRY_AFTER = (timedelta(seconds=2), timedelta(seconds=15), timedelta(minutes=2))
"""When something outside is down: after these waits the case goes to people."""


class Segments:
    def __init__(
        self,
        database: Database,
        runner: Runner,
        desk: ReviewDesk,
        stream: Stream,
        rates: RateCard,
        *,
        attempts: int,
    ) -> None:
        self._database = database
        self._runner = runner
        self._desk = desk
        self._stream = stream
        self._rates = rates
        self._attempts = attempts
        self._running: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """A lock lives as long as somebody holds it or waits for it."""

    async def work(self, workspace: str, case_id: str) -> None:
        """Works off the inbox of a case. Safe to call at any time, for any case, any number of times."""
        lock = self._running.setdefault(case_id, asyncio.Lock())
        async with lock:
            await self._work(workspace, case_id)

    async def _work(self, workspace: str, case_id: str) -> None:
        while (begun := await self._begun(workspace, case_id)) is not None:
            case, event = begun
            try:
                result = await self._runner.advance(case, answered=str(event.payload.get("interrupt_id", "")))
            except CaseStopped:
                await self._database.write(workspace, lambda ledger: self._stopped(ledger, case_id))
                break
            except (ModelUnavailable, ProviderUnavailable) as down:
                await self._end(case, event, later=down)
                break
            except CountersignError as wrong:
                await self._end(case, event, failed=wrong.detail)
                break
            except Exception as unexpected:  # a defect must leave the case whole and in people's sight
                log.exception("segment of %s failed", case_id)
                await self._end(case, event, failed=f"{type(unexpected).__name__}: {unexpected}"[:500])
                break
            await self._end(case, event, result=result)
        self._stream.publish()

    async def _begun(self, workspace: str, case_id: str) -> tuple[CaseView, InboxRow] | None:
        return await self._database.write(workspace, lambda ledger: self._begin(ledger, case_id), durable=False)

    def _begin(self, ledger: Ledger, case_id: str) -> tuple[CaseView, InboxRow] | None:
        case = ledger.cases.get(case_id, lock=True)
        if case.status in FINISHED:
            for event in ledger.cases.unprocessed(case_id):
                ledger.cases.processed(event, f"the case is {case.status}")
            return None
        if self._stop(ledger, case):
            return None
        events = [each for each in ledger.cases.unprocessed(case_id) if not self._too_early(ledger, each)]
        if not events or case.status == CaseStatus.FAILED:
            return None
        event = events[0]
        if case.crashes >= self._attempts:
            self._give_up(ledger, case, event, f"its segment died {case.crashes} times")
            return None
        refused = next((why for each in events if (why := self._refused_to_recover(ledger, each))), "")
        if refused:
            self._cancel(ledger, case, refused)
            return None
        case.crashes += 1
        ledger.cases.move(case, CaseStatus.RUNNING)
        view = CaseView(
            id=case.id, workspace=case.workspace, kind=case.kind, subject=case.subject, payload=case.payload
        )
        return view, event

    async def _end(
        self,
        case: CaseView,
        event: InboxRow,
        *,
        result: SegmentResult | None = None,
        later: CountersignError | None = None,
        failed: str = "",
    ) -> None:
        def close(ledger: Ledger) -> None:
            row = ledger.cases.get(case.id, lock=True)
            now = next(each for each in ledger.cases.unprocessed(case.id) if each.seq == event.seq)
            row.crashes = 0
            if result is not None:
                self._settle(ledger, row, now, result)
            elif later is not None:
                self._wait_for_the_world(ledger, row, now, later)
            else:
                self._give_up(ledger, row, now, failed)

        await self._database.write(case.workspace, close, durable=False)

    def _settle(self, ledger: Ledger, case: CaseRow, event: InboxRow, result: SegmentResult) -> None:
        ledger.cases.processed(event, "had nothing to answer" if result.skipped else "")
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
        waiting = ledger.reviews.of_case(event.case_id, only_open=True) if claimed else []
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
        case.crashes = 0
        self._stop(ledger, case)

    def _cancel(self, ledger: Ledger, case: CaseRow, why: str) -> None:
        self._desk.withdraw(ledger, case.id)
        for event in ledger.cases.unprocessed(case.id):
            ledger.cases.processed(event, why)
        ledger.cases.move(case, CaseStatus.CANCELLED)
        case.closed_at, case.outcome, case.summary = ledger.now, "cancelled", why
        ledger.audit.append("case.cancelled", {"reason": why}, case_id=case.id)
        ledger.trace.add(case.id, "case.cancelled", {"reason": why})
