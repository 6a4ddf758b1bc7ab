"""What people decided of a question, read from the votes: whatever woke the graph up carries no authority."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from core.actions import OutcomeStatus, ProposedAction, ToolOutcome, ToolSpec
from core.errors import StaleState
from core.states import FINISHED, ReviewStatus, RunStatus
from engine import incidents
from engine.outcomes import outcome_of, post_costs
from engine.superseding import WHY, overtaken
from ledger.database import Ledger
from ledger.tables import RunRow


class Ruled(BaseModel):
    """How a question of the graph was answered: an action to run, or an outcome."""

    action_id: str = ""
    note: str = ""
    """What the people who approved it wrote, for the agent to read."""
    outcome: ToolOutcome | None = None


Specs = Mapping[str, ToolSpec[Any]]


def ruling(ledger: Ledger, action_id: str) -> Ruled:
    """The answer to the question whether this action may run; edits are followed to the action they became.

    Of a run whose outcome was not known the executor has taken up before (`recall`) what is known by now.
    """
    action = ledger.effects.proposed(ledger.effects.action(action_id))
    run = ledger.effects.run(action_id)
    if run is not None and run.status == RunStatus.UNKNOWN:
        return Ruled(outcome=outcome_of(action, OutcomeStatus.UNKNOWN, reason="nobody could tell whether it happened"))
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
        case ReviewStatus.RESPONDED:
            answer = votes[-1]
            words = f"{answer.person} of the house answered instead of deciding: {answer.note}"
            return Ruled(outcome=outcome_of(action, OutcomeStatus.RESPONDED, reason=words))
        case ReviewStatus.EXPIRED:
            return Ruled(outcome=_no(action, "nobody approved it in time"))
        case ReviewStatus.SUPERSEDED:
            if overtaken(ledger, action):
                return Ruled(outcome=outcome_of(action, OutcomeStatus.SUPERSEDED, reason=WHY))
            return Ruled(outcome=_no(action, "the question was withdrawn"))
        case ReviewStatus.OPEN:
            raise StaleState("It still waits for people.", present="open")


def answered(ledger: Ledger, action_id: str) -> tuple[bool, str] | None:
    """Whether it happened at the provider, as people say, and what they wrote; None while they have not said."""
    for row in ledger.effects.actions(ledger.effects.action(action_id).case_id):
        if row.tool == incidents.RECONCILE and row.args.get("action_id") == action_id:
            review = ledger.reviews.of_action(row.id)[-1]
            if review.status in (ReviewStatus.APPROVED, ReviewStatus.REJECTED):
                votes = ledger.reviews.votes(review.id)
                return review.status == ReviewStatus.APPROVED, votes[-1].note if votes else ""
    return None


def reconcile(ledger: Ledger, action: ProposedAction, specs: Specs) -> None:
    """The run is closed as people say, and costs what it costs. The executor's alone: nobody else writes runs."""
    run, said = ledger.effects.run(action.id), answered(ledger, action.id)
    if run is None or run.status != RunStatus.UNKNOWN or said is None:
        return
    happened, note = said
    status = RunStatus.DONE if happened else RunStatus.FAILED
    if not ledger.effects.finish(action.id, status, run.result, f"reconciled by people: {note}"):
        return  # somebody else found out at this moment
    if happened and action.tool in specs:
        post_costs(ledger, action, specs[action.tool], run.result)
    body = {"action": action.id, "happened": happened, "note": note}
    ledger.audit.append("effect.reconciled", body, case_id=action.case_id)


def unreconciled(ledger: Ledger) -> list[RunRow]:
    """Runs of which people told what came of them, in cases that are over: no graph is going to take that up."""
    return [
        run
        for run in ledger.effects.unknown()
        if ledger.cases.get(run.case_id).status in FINISHED and answered(ledger, run.action_id)
    ]


def _no(action: ProposedAction, reason: str) -> ToolOutcome:
    return outcome_of(action, OutcomeStatus.REJECTED, reason=reason)
