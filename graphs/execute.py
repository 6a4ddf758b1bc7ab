"""The node that has an action carried out. For an effect it hands over an id alone; a read has no row.

The executor reads an effect's arguments from the store, so nothing in a graph's state can change them.
"""

from __future__ import annotations

from typing import Literal

from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from core.actions import Effect, OutcomeStatus, ProposedAction
from engine.executor import AskAgain
from graphs.state import Context, Question, Work


async def execute(state: Work, runtime: Runtime[Context]) -> Command[Literal["review", "reflect"]]:
    executor = runtime.context.services.executor
    action = ProposedAction.model_validate(state["action"])
    if state["effect"] == Effect.READ:
        outcome = await executor.read(action)
    else:
        try:
            outcome = await executor.run(action.workspace, state["action_id"])
        except AskAgain as again:
            return Command(goto=_ask(state, state["action_id"], again.reason, unknown=False))
        if outcome.status is OutcomeStatus.UNKNOWN:
            return Command(goto=_ask(state, state["action_id"], outcome.reason, unknown=True))
        if outcome.action_id != action.id and outcome.status is OutcomeStatus.DONE:
            outcome = outcome.model_copy(update={"status": OutcomeStatus.EDITED})
        if state["note"] and not outcome.reason:
            outcome = outcome.model_copy(update={"reason": state["note"]})
    told = {**outcome.model_dump(mode="json"), "step_key": action.step_key}
    return Command(update={"outcomes": [told]})


def _ask(work: Work, action_id: str, reason: str, *, unknown: bool) -> Send:
    question = Question(
        case=work["case"],
        action=work["action"],
        action_id=action_id,
        effect=work["effect"],
        again=work["again"] + 1,
        note="",
        reason=reason,
        unknown=unknown,
    )
    return Send("review", question)
