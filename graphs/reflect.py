"""After a turn: what came of each call goes back to the agent, and trouble makes it plan anew."""

from __future__ import annotations

import json
from typing import Any, Literal

from langchain_core.messages import ToolMessage
from langgraph.runtime import Runtime
from langgraph.types import Command

from agents.contract import StepStatus
from core.actions import JSON, OutcomeStatus
from graphs.state import CaseState, Context, Spent

_RAN = (OutcomeStatus.DONE, OutcomeStatus.EDITED)
_NEW_PLAN = (
    *(OutcomeStatus.DENIED, OutcomeStatus.REJECTED, OutcomeStatus.RESPONDED),
    *(OutcomeStatus.EDITED, OutcomeStatus.FAILED),
)


async def reflect(state: CaseState, runtime: Runtime[Context]) -> Command[Literal["plan", "act"]]:
    by_step = {str(outcome["step_key"]): outcome for outcome in state["outcomes"]}
    if any(call["step_key"] not in by_step for call in state["calls"]):
        return Command()  # a deferred node does not wait for what a review sends on; the last of these comes here again
    old = any(each["status"] == OutcomeStatus.SUPERSEDED for each in by_step.values())
    for call in state["calls"]:
        if "before" in call:
            return _seen(call["before"], by_step[call["step_key"]])
    answers, troubled = [], False
    plan = [dict(step) for step in state.get("plan", [])]
    spent = state["spent"]
    for call in state["calls"]:
        outcome = by_step[call["step_key"]]
        status = OutcomeStatus(str(outcome["status"]))
        answers.append(ToolMessage(json.dumps(outcome), tool_call_id=call["call_id"], name=call["tool"]))
        _mark(plan, call["tool"], status)
        troubled = troubled or status in _NEW_PLAN
        if status in _RAN:
            spent = _done(_paid(spent, outcome), call["tool"])
    update: dict[str, Any] = {"messages": answers, "plan": plan, "spent": spent, "outcomes": None}
    if plan != state.get("plan", []):
        update["notes"] = [*state.get("notes", []), {"type": "plan.moved", "body": {"steps": plan}}]
    again = old or (troubled and not state.get("handing_over"))
    return Command(goto="plan" if again else "act", update=update)


def _seen(node: Literal["plan", "act"], outcome: dict[str, JSON]) -> Command[Literal["plan", "act"]]:
    """The house asked whether the model may be shown the case. A permit is looked up again where it is needed."""
    if outcome["status"] == OutcomeStatus.DONE:
        return Command(goto=node, update={"calls": [], "outcomes": None})
    why = f"the model may not be shown this case: {outcome['reason']}"
    return Command(goto="act", update={"calls": [], "outcomes": None, "handing_over": why})


def _mark(plan: list[dict[str, JSON]], tool: str, status: OutcomeStatus) -> None:
    for step in plan:
        if step["tool"] == tool and step["status"] == StepStatus.PENDING:
            step["status"] = StepStatus.DONE.value if status in _RAN else StepStatus.DROPPED.value
            return


def _paid(spent: Spent, outcome: dict[str, JSON]) -> Spent:
    """Counts what an action paid out, by the arguments that it ran with."""
    money = outcome.get("spent")
    if money is None:
        return spent
    paid = dict(spent["money_minor"])
    paid[money["currency"]] = paid.get(money["currency"], 0) + money["amount_minor"]
    return {**spent, "money_minor": paid}


def _done(spent: Spent, tool: str) -> Spent:
    return spent if tool in spent["done"] else {**spent, "done": [*spent["done"], tool]}
