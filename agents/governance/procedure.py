"""What the embedded planner does with a change: it checks it, proposes it, and says what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.contract import Finish, PlanStep, StepStatus
from agents.procedure import Call, Seen

CHECK = "policy.check"
_TITLES = {
    "policy.publish": "Bring the policy into force",
    "policy.roll_back": "Bring the earlier version into force again",
    "people.grant": "Give the roles",
}


class CarryOut:
    """Implements `agents.procedure.Procedure`."""

    def plan(self, case: Mapping[str, Any], seen: Seen) -> list[PlanStep]:
        steps = [PlanStep(title=_TITLES[case["do"]], tool=case["do"], status=_status(seen, case["do"]))]
        if case["do"].startswith("policy."):
            steps.insert(0, PlanStep(title="Check what it changes", tool=CHECK, status=_status(seen, CHECK)))
        return steps

    def next(self, case: Mapping[str, Any], seen: Seen) -> list[Call] | Finish:
        tool, change = case["do"], case["change"]
        if tool.startswith("policy."):
            checked = seen.last(CHECK)
            if checked is None:
                return [Call(CHECK, {"change": change}, "First: can it come into force at all?")]
            if not checked.ran:
                return Finish(outcome="refused", summary=f"It could not be checked: {checked.outcome.reason}"[:2000])
            if problems := checked.outcome.result["problems"]:
                return Finish(outcome="refused", summary=f"It can't come into force: {'; '.join(problems)}."[:2000])
        asked = seen.last(tool)
        if asked is None:
            return [Call(tool, dict(change), str(change.get("note", "")) or "As it was asked for.")]
        if asked.ran:
            return Finish(outcome="changed", summary=f"{_TITLES[tool]}: done.")
        return Finish(outcome="refused", summary=f"{_TITLES[tool]}: not done. {asked.outcome.reason}"[:2000])


def _status(seen: Seen, tool: str) -> StepStatus:
    return StepStatus.DONE if seen.results(tool) else StepStatus.PENDING
