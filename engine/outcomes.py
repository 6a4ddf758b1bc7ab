"""What came of an action, as the graph hears it and as the books keep it."""

from __future__ import annotations

from typing import Any

from core.actions import OutcomeStatus, ProposedAction, ToolOutcome
from core.money import Money
from core.states import RunStatus
from core.verdicts import Fact
from ledger.database import Ledger
from ledger.tables import ReviewRow, RunRow

AS_OUTCOME = {
    RunStatus.DONE: OutcomeStatus.DONE,
    RunStatus.FAILED: OutcomeStatus.FAILED,
    RunStatus.UNKNOWN: OutcomeStatus.UNKNOWN,
}


def load(ledger: Ledger, action_id: str) -> tuple[ProposedAction, dict[str, Any], RunRow | None]:
    row, payload, run = ledger.effects.whole(action_id)
    return ledger.effects.proposed(row), payload, run


def log_effect(ledger: Ledger, action: ProposedAction, entry: str, body: dict[str, Any]) -> None:
    whole = {"action": action.id, "tool": action.tool, "step": action.step_key, **body}
    ledger.audit.append(entry, whole, case_id=action.case_id)
    ledger.trace.add(action.case_id, entry, whole)


def moved(review: ReviewRow, facts: dict[str, Fact]) -> str:
    """What changed, field by field, of the facts that people decided on."""
    changes = []
    for path, then in review.facts.items():
        if then.get("witnessed"):
            now = facts[path].model_dump(mode="json")["value"] if path in facts else None
            if now != then["value"]:
                changes.append(f"{path} was {_in_words(then['value'])}, is {_in_words(now)}")
    return f"the facts moved since it was approved: {'; '.join(changes)}" if changes else ""


def _in_words(value: Any) -> str:
    return str(Money.model_validate(value)) if isinstance(value, dict) else "unknown" if value is None else str(value)


def outcome_of(
    action: ProposedAction, status: OutcomeStatus, *, result: dict[str, Any] | None = None, reason: str = ""
) -> ToolOutcome:
    return ToolOutcome(
        status=status,
        tool=action.tool,
        step_key=action.step_key,
        action_id=action.id,
        result=result or {},
        reason=reason,
    )


def stored(action: ProposedAction, run: RunRow) -> ToolOutcome:
    status = AS_OUTCOME.get(RunStatus(run.status), OutcomeStatus.UNKNOWN)
    return outcome_of(action, status, result=run.result, reason=run.reason)
