"""Taking back what was decided, as long as nothing followed from it.

Settings may say that for some seconds after a decision its effect waits (`desk.undo_s`). The graph is woken by a timer
when they are over, and not before; the executor and the database's own guard look too. Until then whoever decided may
take that back. The question is asked once more, with no vote on it, and with the time that was left for it. Between
taking back and going on the timer decides: one of them fires it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.actions import ProposedAction
from core.errors import AlreadyDecided, Forbidden
from core.people import Person
from core.states import FINISHED, ReviewStatus
from core.verdicts import ReviewerSet
from engine.review_log import EXPIRY_TIMER, log_step, put_question, wake_up
from engine.votes import APPROVE, satisfied, valid_voters
from ledger.database import Ledger
from ledger.desk_tables import EscalationRow
from ledger.tables import CaseRow, ReviewRow, VoteRow

UNDO_TIMER = "review.undo"
WAITS = frozenset({ReviewStatus.APPROVED, ReviewStatus.REJECTED, ReviewStatus.RESPONDED})
"""What a review may become that is followed by something. An edit is another action: it is refused, not taken back."""

_OVER = "Its effect has begun, or may begin at any moment."


@dataclass(frozen=True)
class UndoTerms:
    """For how many seconds a decision may be taken back, by tool; 0 where its effect begins at once."""

    seconds: float = 0.0
    of_tools: Mapping[str, float] = field(default_factory=dict)

    def of(self, tool: str) -> timedelta:
        return timedelta(seconds=self.of_tools.get(tool, self.seconds))


AT_ONCE = UndoTerms()
"""Nothing waits, and nothing can be taken back."""


def window(ledger: Ledger, case: CaseRow, tool: str, terms: UndoTerms) -> datetime | None:
    """Until when a decision made now waits; None where it does not."""
    lasts = terms.of(tool)
    return ledger.now + lasts if lasts and case.status not in FINISHED else None


def begin(ledger: Ledger, review: ReviewRow, until: datetime) -> None:
    review.undo_until = until
    ledger.session.add(review)
    ledger.timers.set(case_id=review.case_id, purpose=UNDO_TIMER, due_at=until, review_id=review.id)


def waits(ledger: Ledger, review: ReviewRow) -> bool:
    """Whether what was decided may still be taken back: nothing may follow from it."""
    return review.status in WAITS and review.undo_until is not None and review.undo_until > ledger.now


def over(ledger: Ledger, review_id: str) -> str:
    """The timer was fired: what was decided goes on. Returns the case to ring, or nothing."""
    review = ledger.reviews.get(review_id, lock=True)
    case = ledger.cases.get(review.case_id, lock=True)
    if review.status not in WAITS or case.status in FINISHED:
        return ""
    wake_up(ledger, case, review)
    return case.id


def take_back(ledger: Ledger, person: Person, review_id: str, terms: UndoTerms) -> ReviewRow:
    """The open question in the place of what this person decided. Raises `Forbidden` and `AlreadyDecided`."""
    review = ledger.reviews.get(review_id, lock=True)
    case = ledger.cases.get(review.case_id, lock=True)  # as the executor does before it reserves
    action = ledger.effects.proposed(ledger.effects.action(review.action_id))
    votes = ledger.reviews.votes(review.id)
    mine = next((vote for vote in votes if vote.person == person.id), None)
    passed = [row for row in ledger.desk_work.escalations(review.id) if row.person == person.id and not row.undone_at]
    if mine is None and not passed:
        raise Forbidden("You decided nothing here.", hint="Only your own decision can be taken back.")
    if case.status in FINISHED:
        raise AlreadyDecided("The case is over.", hint="Nothing is left to take back.", present=str(case.status))
    lasts = terms.of(action.tool)
    if mine is None:
        return _call_back(ledger, review, passed[-1], lasts)
    if review.status == ReviewStatus.OPEN:
        if mine.at + lasts <= ledger.now:
            raise AlreadyDecided("The time to take it back is over.", hint="Others may still reject it.")
    else:
        _nothing_followed(ledger, review, mine, votes)
    return _ask_again(ledger, case, review, action, mine)


def _nothing_followed(ledger: Ledger, review: ReviewRow, mine: VoteRow, votes: list[VoteRow]) -> None:
    """Stops the timer that would go on with it; from here on nothing does."""
    present = str(review.status)
    if review.status not in WAITS:
        raise AlreadyDecided(f"It is {present}, which can't be taken back.", hint="Look again.", present=present)
    if mine.choice == APPROVE and review.status != ReviewStatus.APPROVED:
        raise AlreadyDecided(f"It is {present}, by {votes[-1].person}.", hint="Ask them.", present=present)
    began = ledger.effects.run(review.action_id) is not None
    if began or not waits(ledger, review) or not ledger.timers.stop(review_id=review.id, purpose=UNDO_TIMER):
        raise AlreadyDecided(_OVER, hint="What was done may be taken back with its case.", present=present)


def _ask_again(ledger: Ledger, case: CaseRow, review: ReviewRow, action: ProposedAction, mine: VoteRow) -> ReviewRow:
    stood_still = _stood_still(ledger, review, action)
    ledger.timers.cancel(review_id=review.id)
    ledger.reviews.settle(review, ReviewStatus.SUPERSEDED)
    again = ledger.reviews.ask_again(review, stood_still)
    log_step(ledger, review, "review.undone", by=mine.person, choice=mine.choice, again=again.id)
    log_step(ledger, review, "review.superseded", by=mine.person, again=again.id)
    ledger.outbox.tell(case, "review.decided", {"review": review.id, "status": str(review.status)})
    put_question(ledger, case, again)
    return again


def _stood_still(ledger: Ledger, review: ReviewRow, action: ProposedAction) -> list[timedelta]:
    """For how long each set had nothing to do: its seats were filled, or all was decided. That time is given back."""
    closed = ledger.now - review.decided_at if review.decided_at is not None else timedelta()
    voters, asked = valid_voters(ledger, action, review), ledger.reviews.asked(review)
    votes = ledger.reviews.votes(review.id)
    return [max(closed, _filled_for(ledger, each, voters, votes)) for each in asked]


def _filled_for(
    ledger: Ledger, asked: ReviewerSet, voters: dict[str, frozenset[str]], votes: list[VoteRow]
) -> timedelta:
    if not satisfied([asked], voters):
        return timedelta()
    sat = [vote.at for vote in votes if asked.role in voters.get(vote.person, frozenset())]
    return ledger.now - max(sat)


def _call_back(ledger: Ledger, review: ReviewRow, passed: EscalationRow, lasts: timedelta) -> ReviewRow:
    """Who was asked before is asked again, if nobody has taken it up since."""
    if review.status != ReviewStatus.OPEN or review.version != passed.version:
        raise AlreadyDecided("Others have taken it up.", hint="Leave it to them.", present=str(review.status))
    if passed.at + lasts <= ledger.now:
        raise AlreadyDecided("The time to take it back is over.", hint="Leave it to the others.")
    ledger.desk_work.taken_back(passed)
    ledger.reviews.ask_others(review, list(passed.before["reviewers"]))
    review.reason = review.reason.removeprefix(preface(passed))
    due_again(ledger, review)
    log_step(ledger, review, "review.undone", by=passed.person, choice="escalate", groups=groups_of(review))
    log_step(ledger, review, "review.prolonged", due_at=review.due_at.isoformat(), groups=groups_of(review))
    return review


def due_again(ledger: Ledger, review: ReviewRow) -> None:
    """Others are asked now: the timer is set to when the first of those is late whose seats are empty."""
    action = ledger.effects.proposed(ledger.effects.action(review.action_id))
    voters = valid_voters(ledger, action, review)
    asked, dues = ledger.reviews.asked(review), ledger.reviews.dues(review)
    empty = [due for each, due in zip(asked, dues, strict=True) if not satisfied([each], voters)]
    review.due_at = min(empty or dues)
    ledger.timers.cancel(review_id=review.id)
    ledger.timers.set(case_id=review.case_id, purpose=EXPIRY_TIMER, due_at=review.due_at, review_id=review.id)
    ledger.session.add(review)


def preface(passed: EscalationRow) -> str:
    """What those who are asked now read first."""
    return f"Passed on by {passed.person} of {passed.from_group}: {passed.note.strip()} "


def groups_of(review: ReviewRow) -> list[str]:
    return [str(each["group"]) for each in review.reviewers]
