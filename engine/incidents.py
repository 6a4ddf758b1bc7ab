"""Questions that the house itself puts to people: a case that can't go on, an outcome nobody knows.

They sit in the same queue as every other approval, and are decided in the same way.
"""

from __future__ import annotations

from core.actions import ProposedAction
from core.ids import digest
from core.ports import Interrupt
from core.states import ReviewStatus
from core.verdicts import BookRef, Review, ReviewerSet
from ledger.database import Ledger
from ledger.tables import CaseRow, ReviewRow

RECOVER = "case.recover"
"""Approve: try the case again. Reject: cancel it."""
RECONCILE = "effect.reconcile"
"""Approve: it did happen at the provider. Reject: it did not."""
QUESTIONS = frozenset({RECOVER, RECONCILE})
"""Whoever opened the case may answer these too: they are about the house, not about what the case asks for."""

HOUSE = "house"
_OPERATORS = ReviewerSet(group="operators", role="operator", people=1, within_s=30 * 24 * 3600)
_BOOK = BookRef(policy=HOUSE, version="1", digest=digest({"reviewers": _OPERATORS.model_dump(mode="json")}))


def ask(
    ledger: Ledger, case: CaseRow, tool: str, args: dict[str, str], described: str, *, interrupt_id: str = ""
) -> ReviewRow:
    """Opens a review of the house's own; the same question is asked once."""
    action = ProposedAction(
        workspace=case.workspace,
        case_id=case.id,
        kind=case.kind,
        tool=tool,
        schema_version=1,
        args=args,
        proposer=HOUSE,
        step_key=f"{tool}:{case.version}",
    )
    ledger.effects.propose(action, effect="reversible", described=described)
    for review in ledger.reviews.of_action(action.id):
        return review
    verdict = Review(reason=described, book=_BOOK, reviewers=(_OPERATORS,))
    review = ledger.reviews.open(case_id=case.id, action_id=action.id, interrupt_id=interrupt_id, verdict=verdict)
    ledger.timers.set(case_id=case.id, purpose="review.expiry", due_at=review.due_at, review_id=review.id)
    ledger.audit.append("review.opened", {"review": review.id, "action": action.id, "tool": tool}, case_id=case.id)
    ledger.trace.add(case.id, "review.opened", {"review": review.id, "tool": tool, "reason": described})
    return review


def ask_what_happened(ledger: Ledger, case: CaseRow, question: Interrupt) -> None:
    """The outcome of an action at its provider is not known: people look there."""
    action = ledger.effects.action(str(question.value["action_id"]))
    problem = str(question.value.get("reason", ""))[:500]
    args = {"action_id": action.id, "tool": action.tool, "problem": problem}
    ask(ledger, case, RECONCILE, args, f"Did it happen? {action.described}", interrupt_id=question.id)


def withdraw_recovery(ledger: Ledger, case: CaseRow) -> None:
    """Somebody set a failed case going again: the question whether to is answered."""
    for review in ledger.reviews.of_case(case.id, only_open=True):
        if ledger.effects.action(review.action_id).tool == RECOVER:
            ledger.reviews.settle(review, ReviewStatus.SUPERSEDED)
            ledger.timers.cancel(review_id=review.id)
            ledger.audit.append("review.superseded", {"review": review.id}, case_id=case.id)
            ledger.trace.add(case.id, "review.superseded", {"review": review.id})
