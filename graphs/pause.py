"""The pause for people. What wakes it up carries no authority: the answer is read from the votes."""

from __future__ import annotations

from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import Command, Send, interrupt

from graphs.state import Context, Question, Work


async def review(state: Question, runtime: Runtime[Context]) -> Command[Literal["execute", "reflect"]]:
    interrupt(
        {
            "action_id": state["action_id"],
            "reason": state["reason"],
            "unknown": state["unknown"],
            "again": state["again"],
        }
    )
    ruled = await runtime.context.services.ruling(state["case"]["workspace"], state["action_id"])
    if ruled.outcome is not None:
        return Command(update=_told(ruled.outcome.model_dump(mode="json"), state))
    work = Work(
        case=state["case"],
        action=state["action"],
        action_id=ruled.action_id,
        effect=state["effect"],
        again=state["again"],
        note=ruled.note,
    )
    return Command(goto=Send("execute", work))


def _told(outcome: dict[str, Any], question: Question) -> dict[str, Any]:
    return {"outcomes": [{**outcome, "step_key": question["action"]["step_key"]}]}
