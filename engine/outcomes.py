"""What came of an action, as the graph hears it and as the books keep it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from core.actions import OutcomeStatus, ProposedAction, ToolOutcome, ToolSpec
from core.errors import Conflict
from core.ids import digest
from core.money import Money
from core.states import RunStatus
from core.verdicts import Fact, Review
from ledger.database import Ledger
from ledger.tables import CaseRow, ReviewRow, RunRow

log = logging.getLogger("countersign.engine")

AS_OUTCOME = {
    RunStatus.DONE: OutcomeStatus.DONE,
    RunStatus.FAILED: OutcomeStatus.FAILED,
    RunStatus.UNKNOWN: OutcomeStatus.UNKNOWN,
}


def load(ledger: Ledger, action_id: str) -> tuple[ProposedAction, dict[str, Any], RunRow | None]:
    """An action, its case's payload and its run. Raises `Conflict` where the run was reserved for other arguments."""
    row, payload, run = ledger.effects.whole(action_id)
    action = ledger.effects.proposed(row)
    if run is not None and run.args_digest != digest(action.args):
        raise Conflict(
            f"The run of {action.tool} was reserved for other arguments than those of its action.",
            hint="Look at the database: somebody wrote it. Nothing is called.",
        )
    return action, payload, run


def unfit(case: CaseRow, action: ProposedAction, specs: Mapping[str, ToolSpec[Any]]) -> str:
    """Why the action can't run in this process, whatever was decided about it; empty if it can."""
    if case.kind != action.kind:
        return "it is an action of another kind than its case"
    spec = specs.get(action.tool)
    if spec is None:
        return "its tool is not there any more"
    return "" if spec.version == action.schema_version else "its tool is another one since it was proposed"


def log_effect(ledger: Ledger, action: ProposedAction, entry: str, body: dict[str, Any]) -> None:
    whole = {"action": action.id, "tool": action.tool, "step": action.step_key, **body}
    ledger.audit.append(entry, whole, case_id=action.case_id)
    ledger.trace.add(action.case_id, entry, whole)


def moved(review: ReviewRow, facts: dict[str, Fact], verdict: Review) -> str:
    """What changed, field by field, of the facts that people decided on, or was not shown to them as a fact."""
    shown = {path for path, then in review.facts.items() if then.get("witnessed")}
    changes = [
        f"{path} was not shown as a fact" for path, now in verdict.facts.items() if now.witnessed and path not in shown
    ]
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


def costs_of(spec: ToolSpec[Any], args: Mapping[str, Any], result: Mapping[str, Any]) -> Mapping[str, Money]:
    """What an effect that happened cost, by component, or what it usually costs where nobody has its result.

    A result that does not fit its schema happened all the same: it is kept, and priced as if nobody had it.
    """
    try:
        return spec.costs(spec.result.model_validate(dict(result)))
    except ValidationError as unfit:
        if result:
            log.error("the result of %s does not fit its schema: %s", spec.name, unfit)
        return spec.costs_about(spec.parse(args))


def post_costs(ledger: Ledger, action: ProposedAction, spec: ToolSpec[Any], result: Mapping[str, Any]) -> None:
    """Once for each component, however often it is told."""
    for component, cost in costs_of(spec, action.args, result).items():
        ledger.costs.post(key=cost_key(action.id, component), case_id=action.case_id, component=component, amount=cost)


def cost_key(action_id: str, component: str) -> str:
    return f"{action_id}:{component}"
