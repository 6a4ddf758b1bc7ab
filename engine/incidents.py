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
UNDO = "effect.undo"
"""An effect could not be taken back. Approve: try again. Reject: leave it as it is."""
QUESTIONS = frozenset({RECOVER, RECONCILE, UNDO})
"""Whoever opened the case may answer these too: they are about the house, not about what the case asks for."""

_ANSWERS = {
    RECOVER: "Approve: the case is tried again. Reject: it is cancelled, and what it did is taken back.",
    RECONCILE: "Look at the provider by the key of the effect. Approve: it did happen. Reject: it did not.",
    UNDO: "Approve: it is tried again. Reject: it is left as it is.",
}

HOUSE = "house"
_OPERATORS = ReviewerSet(group="operators", role="operator", people=1, within_s=30 * 24 * 3600)
BOOK = BookRef(policy=HOUSE, version="1", digest=digest({"reviewers": _OPERATORS.model_dump(mode="json")}))


def in_sight(case: CaseRow, reason: str) -> str:
    """A question of a copy begins by saying so: who answers it approves nothing that happens."""
    return f"Simulation, a copy of {case.forked_from}: {reason}" if case.simulated else reason


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
    described = in_sight(case, described)
    ledger.effects.propose(action, effect="reversible", described=described)
    for review in ledger.reviews.of_action(action.id):
        return review
    verdict = Review(reason=f"{described} {_ANSWERS[tool]}", book=BOOK, reviewers=(_OPERATORS,))
    review = ledger.reviews.open(case_id=case.id, action_id=action.id, interrupt_id=interrupt_id, verdict=verdict)
    ledger.timers.set(case_id=case.id, purpose="review.expiry", due_at=review.due_at, review_id=review.id)
    ledger.audit.append("review.opened", {"review": review.id, "action": action.id, "tool": tool}, case_id=case.id)
    ledger.trace.add(case.id, "review.opened", {"review": review.id, "tool": tool, "reason": described})
    asked = {"action": action.id, "groups": [_OPERATORS.group], "due_at": review.due_at.isoformat()}
    ledger.outbox.tell(case, "review.requested", {"review": review.id, **asked})
    return review


def ask_what_happened(ledger: Ledger, case: CaseRow, question: Interrupt) -> None:
    """The outcome of an action at its provider is not known: people look there."""
    asked = str(question.value["action_id"])
    ask_of_effect(ledger, case, RECONCILE, asked, str(question.value.get("reason", "")), interrupt_id=question.id)


_ASKS = {RECONCILE: "Did it happen? {}", UNDO: "This could not be taken back: {}. Try again?"}


def ask_of_effect(
    ledger: Ledger, case: CaseRow, tool: str, action_id: str, problem: str, *, interrupt_id: str = ""
) -> ReviewRow:
    action = ledger.effects.action(action_id)
    args = {"action_id": action.id, "tool": action.tool, "problem": problem[:500]}
    return ask(ledger, case, tool, args, _ASKS[tool].format(action.described), interrupt_id=interrupt_id)


def withdraw_recovery(ledger: Ledger, case: CaseRow) -> None:
    """Somebody set a failed case going again: the question whether to is answered."""
    for review in ledger.reviews.of_case(case.id, only_open=True):
        if ledger.effects.action(review.action_id).tool == RECOVER:
            ledger.reviews.settle(review, ReviewStatus.SUPERSEDED)
            ledger.timers.cancel(review_id=review.id)
            ledger.audit.append("review.superseded", {"review": review.id}, case_id=case.id)
            ledger.trace.add(case.id, "review.superseded", {"review": review.id})
