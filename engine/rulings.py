"""What people decided of a question, read from the votes: whatever woke the graph up carries no authority."""

from __future__ import annotations

from pydantic import BaseModel

from core.actions import OutcomeStatus, ProposedAction, ToolOutcome
from core.errors import StaleState
from core.states import ReviewStatus, RunStatus
from engine import incidents
from engine.outcomes import outcome_of
from ledger.database import Ledger


class Ruled(BaseModel):
    """How a question of the graph was answered: an action to run, or an outcome."""

    action_id: str = ""
    note: str = ""
    """What the people who approved it wrote, for the agent to read."""
    outcome: ToolOutcome | None = None


def ruling(ledger: Ledger, action_id: str) -> Ruled:
    """The answer to the question whether this action may run; edits are followed to the action they became."""
    action = ledger.effects.proposed(ledger.effects.action(action_id))
    run = ledger.effects.run(action_id)
    if run is not None and run.status == RunStatus.UNKNOWN:
        return reconciled(ledger, action)
    reviews = ledger.reviews.of_action(action_id)
    if not reviews:
        return Ruled(action_id=action_id)  # an edit that policy allows
    review = reviews[-1]
    votes = ledger.reviews.votes(review.id)
    match ReviewStatus(review.status):
        case ReviewStatus.APPROVED:
            return Ruled(action_id=action_id, note="; ".join(vote.note for vote in votes if vote.note))
        case ReviewStatus.EDITED:
            edited = ruling(ledger, str(review.edited_to))
            return edited.model_copy(update={"note": edited.note or votes[-1].note})
        case ReviewStatus.REJECTED:
            refusal = votes[-1]
            reason = f"{refusal.reason_code}: {refusal.note}".rstrip(": ")
            return Ruled(outcome=_no(action, f"rejected by {refusal.person}: {reason}"))
        case ReviewStatus.EXPIRED:
            return Ruled(outcome=_no(action, "nobody approved it in time"))
        case ReviewStatus.SUPERSEDED:
            return Ruled(outcome=_no(action, "the question was withdrawn"))
        case ReviewStatus.OPEN:
            raise StaleState("It still waits for people.", present="open")


def reconciled(ledger: Ledger, action: ProposedAction) -> Ruled:
    """People told what happened at the provider: the run is closed as they say."""
    for row in ledger.effects.actions(action.case_id):
        if row.tool == incidents.RECONCILE and row.args.get("action_id") == action.id:
            review = ledger.reviews.of_action(row.id)[-1]
            run = ledger.effects.run(action.id)
            assert run is not None
            votes = ledger.reviews.votes(review.id)
            happened = review.status == ReviewStatus.APPROVED
            note = votes[-1].note if votes else "nobody answered in time"
            if happened or review.status == ReviewStatus.REJECTED:
                run.status = RunStatus.DONE if happened else RunStatus.FAILED
                run.reason, run.finished_at = f"reconciled by people: {note}", ledger.now
                ledger.session.add(run)
                ledger.audit.append(
                    "effect.reconciled",
                    {"action": action.id, "happened": happened, "note": note},
                    case_id=action.case_id,
                )
                status = OutcomeStatus.DONE if happened else OutcomeStatus.FAILED
                return Ruled(outcome=outcome_of(action, status, reason=run.reason))
    return Ruled(outcome=outcome_of(action, OutcomeStatus.UNKNOWN, reason="nobody could tell whether it happened"))


def _no(action: ProposedAction, reason: str) -> ToolOutcome:
    return outcome_of(action, OutcomeStatus.REJECTED, reason=reason)
