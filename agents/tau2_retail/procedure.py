"""What the embedded planner does with a retail request: it hands the user over to people.

These requests are free talk about what to change into what, and no written procedure reads that without
guessing. So there is none; a language model, or a replay, takes the planner's place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.contract import Finish, PlanStep, StepStatus
from agents.procedure import Call, Seen

HAND_OVER = "transfer_to_human_agents"


class HandOver:
    """Implements `agents.procedure.Procedure`."""

    def plan(self, case: Mapping[str, Any], seen: Seen) -> list[PlanStep]:
        status = StepStatus.DONE if seen.results(HAND_OVER) else StepStatus.PENDING
        return [PlanStep(title="Hand the user over to people", tool=HAND_OVER, status=status)]

    def next(self, case: Mapping[str, Any], seen: Seen) -> list[Call] | Finish:
        asked = seen.last(HAND_OVER)
        if asked is None:
            summary = f"The user asks: {str(case.get('request', ''))[:3000]}"
            return [Call(HAND_OVER, {"summary": summary}, "No written procedure covers this, so people take over.")]
        if asked.ran:
            return Finish(outcome="handed_over", summary="People took the user over; nothing was changed.")
        why = f"The user could not be handed over: {asked.outcome.reason}"
        return Finish(outcome="not_handed_over", summary=why[:2000])
