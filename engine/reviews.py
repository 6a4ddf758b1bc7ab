"""The review desk: parks what waits for people, takes their votes, and knows what was decided.

A vote is a row, written here for an authenticated person under policy's conditions. Nothing that a
client or a graph sends can stand in for one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from core.actions import ProposedAction
from core.errors import InvalidInput
from core.people import Permission, Person, require
from core.ports import Interrupt, Tools
from core.states import FINISHED, CaseStatus, ReviewStatus
from core.verdicts import Deny, Review
from engine import incidents, reversal, undo_window
from engine.ballots import as_it_is, earlier, still_ones_own, voted_on, whole
from engine.decisions import Choice, Decided, Decision
from engine.gate import Gate
from engine.hand_on import hand_on
from engine.lateness import lapse
from engine.rates import RateCard
from engine.review_log import log_step, put_question, wake_up
from engine.stream import Stream
from engine.undo_window import AT_ONCE, UndoTerms
from engine.votes import missing, outgrown, satisfied, valid_voters
from ledger.database import Database, Ledger
from ledger.tables import CaseRow, ReviewRow, VoteRow

T = TypeVar("T")

CLAIM_LEASE = timedelta(minutes=5)


class ReviewDesk:
    def __init__(
        self,
        database: Database,
        tools: Tools,
        gate: Gate,
        stream: Stream,
        rates: RateCard,
        ring: Callable[[str, str], Awaitable[None]],
        undo: UndoTerms = AT_ONCE,
    ) -> None:
        """`undo` says how long a decision may be taken back, and its effect waits."""
        self._database = database
        self._tools = tools
        self._gate = gate
        self._stream = stream
        self._rates = rates
        self._ring = ring
        self._undo = undo

    # parking

    def park(self, ledger: Ledger, case: CaseRow, question: Interrupt) -> None:
        """Opens the review of an open interrupt, once; called in the segment's closing transaction."""
        for review in ledger.reviews.of_case(case.id):
            if review.interrupt_id == question.id:
                return
        action_id = str(question.value["action_id"])
        if question.value.get("unknown"):
            incidents.ask_what_happened(ledger, case, question)
            return
        if not question.value.get("again") and self._adopt(ledger, case, action_id, question.id):
            return
        verdict = Review.model_validate(ledger.effects.decisions(action_id)[-1].body)
        if question.value.get("again"):
            why = str(question.value["reason"])
            verdict = verdict.model_copy(update={"reason": f"{why[:1].upper()}{why[1:]}. {verdict.reason}"})
        self.open(ledger, case, action_id, question.id, verdict)

    def _adopt(self, ledger: Ledger, case: CaseRow, action_id: str, interrupt_id: str) -> bool:
        """After a power cut a graph comes to a question again, under another name: people are not asked twice.

        Unless it is a permit, and policy has come to ask for more than they gave: then the question is a new one.
        """
        asked: list[ReviewRow] = []
        while found := ledger.reviews.of_action(action_id):
            asked.append(found[-1])
            action_id = found[-1].edited_to or ""
        if not asked or asked[-1].status == ReviewStatus.SUPERSEDED or outgrown(ledger, asked[-1]):
            return False
        for review in asked:
            review.interrupt_id, review.version = interrupt_id, review.version + 1
            ledger.session.add(review)
        if asked[-1].status != ReviewStatus.OPEN and not undo_window.waits(ledger, asked[-1]):
            wake_up(ledger, case, asked[-1])
        return True

    def open(self, ledger: Ledger, case: CaseRow, action_id: str, interrupt_id: str, verdict: Review) -> ReviewRow:
        for review in ledger.reviews.of_action(action_id):
            if review.status == ReviewStatus.OPEN:  # somebody took back what they had decided: it is asked already
                review.interrupt_id, review.version = interrupt_id, review.version + 1
                ledger.session.add(review)
                return review
        verdict = verdict.model_copy(update={"reason": incidents.in_sight(case, verdict.reason)})
        asked = ledger.effects.action(action_id)
        spec = self._tools.specs().get(asked.tool)
        review = ledger.reviews.open(
            case_id=case.id,
            action_id=action_id,
            interrupt_id=interrupt_id,
            verdict=verdict,
            money=spec.spends(spec.parse(asked.args)) if spec else None,
        )
        put_question(ledger, case, review)
        return review

    # people

    async def claim(self, person: Person, review_id: str, token: str = "") -> ReviewRow:
        """Takes the review for five minutes, or renews, and never beyond the time that is left for it.

        With the token of a claim only that one is renewed. Who may not vote on it may not keep others from it.
        Raises `LeaseLost`, `AlreadyDecided`, `Forbidden`.
        """
        require(person, Permission.CLAIM)

        def take(ledger: Ledger) -> ReviewRow:
            review = ledger.reviews.get(review_id, lock=True)
            voted_on(ledger, person, review)
            if token:
                still_ones_own(review, person, token)
            ledger.reviews.claim(review, person.id, min(CLAIM_LEASE, review.due_at - ledger.now))
            ledger.trace.add(review.case_id, "review.claimed", {"review": review.id, "by": person.id})
            return review

        return await self._told(self._database.write(person.workspace, take))

    async def release(self, person: Person, review_id: str) -> ReviewRow:
        require(person, Permission.CLAIM)

        def give(ledger: Ledger) -> ReviewRow:
            review = ledger.reviews.get(review_id, lock=True)
            ledger.reviews.release(review, person.id)
            ledger.trace.add(review.case_id, "review.released", {"review": review.id, "by": person.id})
            return review

        return await self._told(self._database.write(person.workspace, give))

    async def decide(
        self, person: Person, review_id: str, decision: Decision, request_key: str | None = None
    ) -> Decided:
        """Writes a vote, and decides the review once the votes suffice. First come, first served.

        The same request key again casts no second vote, and tells what came of the first.
        """
        require(person, Permission.DECIDE)
        if request_key:
            specs, key = self._tools.specs(), request_key
            sent = lambda ledger: earlier(ledger, specs, person, review_id, decision, key)  # noqa: E731
            if (answered := await self._database.read(person.workspace, sent)) is not None:
                return answered
        vote = await self.voting(person, review_id, decision, request_key)
        decided = await self._told(self._database.write(person.workspace, vote))
        if decided.status != ReviewStatus.OPEN:
            review = await self._database.read(person.workspace, lambda ledger: ledger.reviews.get(review_id))
            await self._ring(person.workspace, review.case_id)
        return decided

    async def voting(
        self, person: Person, review_id: str, decision: Decision, request_key: str | None = None
    ) -> Callable[[Ledger], Decided]:
        """The vote as work of a transaction, for who writes more in it and then rings for the case."""
        require(person, Permission.DECIDE)
        edited, facts = None, {}
        if decision.choice is Choice.EDIT:
            edited, payload = await self._database.read(
                person.workspace, lambda ledger: self._edited(ledger, person, review_id, decision)
            )
            facts = await self._gate.gather(edited, payload)

        def vote(ledger: Ledger) -> Decided:
            review = ledger.reviews.get(review_id, lock=True)
            action = self._may_vote(ledger, person, review, decision)
            if decision.choice is Choice.ESCALATE:
                known = self._gate.groups(action.kind, ledger.now)
                hand_on(ledger, person, review, action, decision, known, request_key or "")
                return _still_open(ledger, review)
            row = VoteRow(
                review_id=review.id,
                action_id=action.id,
                person=person.id,
                roles=sorted(person.roles),
                choice=decision.choice,
                reason_code=decision.reason_code,
                note=decision.note,
                seen=decision.seen,
                dwell_s=decision.dwell_s,
                request_key=request_key or "",
            )
            ledger.reviews.vote(row)
            self._bill(ledger, review, row)
            match decision.choice:
                case Choice.REJECT:
                    return self._settle(ledger, review, ReviewStatus.REJECTED, row)
                case Choice.RESPOND:
                    return self._settle(ledger, review, ReviewStatus.RESPONDED, row)
                case Choice.EDIT:
                    assert edited is not None
                    return self._edit(ledger, review, row, edited, facts)
                case Choice.APPROVE:
                    return self._approve(ledger, review, row, action)

        return vote

    async def voted(self, workspace: str, case_id: str) -> None:
        """After a transaction that had votes in it."""
        self._stream.publish()
        await self._ring(workspace, case_id)

    async def undo(self, person: Person, review_id: str) -> Decided:
        """Takes back what this person decided, while its effect waits: the question is open again, without a vote.

        Raises `AlreadyDecided` where the effect may have begun, `Forbidden` for what others decided.
        """
        require(person, Permission.DECIDE)

        def take_back(ledger: Ledger) -> Decided:
            return _still_open(ledger, undo_window.take_back(ledger, person, review_id, self._undo))

        return await self._told(self._database.write(person.workspace, take_back))

    def _may_vote(self, ledger: Ledger, person: Person, review: ReviewRow, decision: Decision) -> ProposedAction:
        action = voted_on(ledger, person, review)
        as_it_is(ledger, person, review, action, decision)
        whole(decision, action)
        return action

    def _approve(self, ledger: Ledger, review: ReviewRow, vote: VoteRow, action: ProposedAction) -> Decided:
        voters = valid_voters(ledger, action, review)
        asked = ledger.reviews.asked(review)
        if satisfied(asked, voters):
            return self._settle(ledger, review, ReviewStatus.APPROVED, vote)
        review.claimed_by, review.claim_token, review.claimed_until = "", "", None
        review.version += 1
        ledger.session.add(review)
        decided = _still_open(ledger, review)
        log_step(ledger, review, "vote.cast", vote, waiting_for=decided.waiting_for)
        return decided

    def _edited(
        self, ledger: Ledger, person: Person, review_id: str, decision: Decision
    ) -> tuple[ProposedAction, dict[str, Any]]:
        review = ledger.reviews.get(review_id)
        action = self._may_vote(ledger, person, review, decision)
        spec = self._tools.specs()[action.tool]
        args = spec.parse(decision.args or {}).model_dump(mode="json")
        if args == action.args:
            raise InvalidInput("Nothing was changed.", field="args", hint="Approve it as it is.")
        edited = action.model_copy(update={"args": args, "proposer": person.id})
        return ProposedAction.model_validate(edited.model_dump()), ledger.cases.get(review.case_id).payload

    def _edit(
        self, ledger: Ledger, review: ReviewRow, vote: VoteRow, edited: ProposedAction, facts: dict[str, Any]
    ) -> Decided:
        """Other arguments are another action: policy judges it anew, and its editor may not approve it."""
        case = ledger.cases.get(review.case_id)
        spec = self._tools.specs()[edited.tool]
        labels = self._gate.labels.after_edit(ledger, vote.action_id, edited)
        verdict = self._gate.decide(ledger, edited, case.subject, facts, labels)
        if isinstance(verdict, Deny):
            raise InvalidInput(
                f"Policy does not allow it like this: {verdict.reason}.", field="args", hint="Change it or reject it."
            )
        ledger.effects.propose(
            edited, effect=spec.effect, described=spec.describe(spec.parse(edited.args)), edited_from=review.action_id
        )
        ledger.effects.decided(edited.id, "edit", verdict)
        review.edited_to = edited.id
        if isinstance(verdict, Review):
            self._settle(ledger, review, ReviewStatus.EDITED, vote, wake=False)
            following = self.open(ledger, case, edited.id, review.interrupt_id, verdict)
            return Decided(
                review_id=following.id,
                status=ReviewStatus.OPEN,
                action_id=edited.id,
                waiting_for=[each.role for each in verdict.reviewers],
            )
        decided = self._settle(ledger, review, ReviewStatus.EDITED, vote)
        return decided.model_copy(update={"action_id": edited.id})

    def _settle(
        self, ledger: Ledger, review: ReviewRow, to: ReviewStatus, vote: VoteRow | None, *, wake: bool = True
    ) -> Decided:
        ledger.reviews.settle(review, to)
        ledger.timers.cancel(review_id=review.id)
        case = ledger.cases.get(review.case_id, lock=True)
        asked = ledger.effects.action(review.action_id)
        until = None
        if wake and to in undo_window.WAITS and asked.tool in self._tools.specs():
            until = undo_window.window(ledger, case, asked.tool, self._undo)
        more = {"undo_until": until.isoformat()} if until else {}
        log_step(ledger, review, f"review.{to}", vote, edited_to=review.edited_to, **more)
        ledger.outbox.tell(case, "review.decided", {"review": review.id, "status": str(to)})
        if case.status in FINISHED:
            reversal.answered(ledger, case, asked)
        if until is not None:
            undo_window.begin(ledger, review, until)
        elif wake and case.status not in FINISHED:
            wake_up(ledger, case, review)
            if case.status == CaseStatus.FAILED and asked.tool == incidents.RECOVER:
                ledger.cases.move(case, CaseStatus.OPEN)
        return Decided(review_id=review.id, status=to, action_id=review.action_id)

    def _bill(self, ledger: Ledger, review: ReviewRow, vote: VoteRow) -> None:
        ledger.costs.post(
            key=f"{review.id}:{vote.person}",
            case_id=review.case_id,
            component="reviewer",
            amount=self._rates.review(vote.dwell_s),
            quantity=max(vote.dwell_s, self._rates.reviewer_least_s),
            unit="second",
        )

    # clock and case

    def expire(self, ledger: Ledger, review_id: str) -> str:
        """Time is over: denied, unless a vote came first or others take over. Returns the case to ring, or nothing."""
        review = ledger.reviews.get(review_id, lock=True)
        if review.status != ReviewStatus.OPEN or (to := lapse(ledger, review)) is ReviewStatus.OPEN:
            return ""
        self._settle(ledger, review, to, None)
        return review.case_id

    def withdraw(self, ledger: Ledger, case_id: str) -> None:
        """The case ended without them: what still waits is superseded, but for what happened at a provider."""
        for review in ledger.reviews.of_case(case_id, only_open=True):
            if ledger.effects.action(review.action_id).tool == incidents.RECONCILE:
                continue
            self._settle(ledger, review, ReviewStatus.SUPERSEDED, None, wake=False)

    async def _told(self, work: Awaitable[T]) -> T:
        result = await work
        self._stream.publish()
        return result


def _still_open(ledger: Ledger, review: ReviewRow) -> Decided:
    action = ledger.effects.proposed(ledger.effects.action(review.action_id))
    waiting = missing(ledger.reviews.asked(review), valid_voters(ledger, action, review))
    return Decided(review_id=review.id, status=ReviewStatus.OPEN, action_id=action.id, waiting_for=waiting)
