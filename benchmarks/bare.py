"""The floor of a case: the same graph on bare LangGraph, with nothing that makes it safe.

Planning, acting and reflecting are the house's own nodes, with the same model and the same saver. Gate,
executor and review pause are replaced by the least that takes the same way: what policy said in the house
is read from a table, tools are called directly, and nothing is recorded, reserved or looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from core.actions import JSON, ProposedAction
from core.clock import SystemClock
from core.errors import ProviderRefused
from core.ports import CallContext
from graphs.reflect import reflect
from graphs.state import CaseState, Context, PlannedCall, Question, Work
from graphs.thinking import act, finish, plan
from tools.contract import Toolbelt


class Said(NamedTuple):
    """What policy said of a call in the house."""

    verdict: str
    reason: str


Sayings = Mapping[tuple[str, str], Said]
"""By case and step; a call that never reached policy, for arguments that did not fit, is not in it."""


def bare_flow(belt: Toolbelt, sayings: Sayings) -> StateGraph[CaseState, Context, CaseState, CaseState]:
    clock = SystemClock()

    async def gate(state: CaseState) -> Command[Literal["execute", "review", "reflect"]]:
        case = state["case"]
        tasks: list[Send] = []
        outcomes: list[dict[str, JSON]] = []
        for call in state["calls"]:
            said = sayings.get((case["id"], call["step_key"]), Said("invalid", "the arguments do not fit"))
            if said.verdict == "allow":
                tasks.append(Send("execute", _work(case, call)))
            elif said.verdict == "review":
                tasks.append(Send("review", Question(**_work(case, call), reason=said.reason, unknown=False)))
            else:
                status = "denied" if said.verdict == "deny" else said.verdict
                outcomes.append(_outcome(call["tool"], call["step_key"], status, reason=said.reason))
        return Command(goto=tasks or "reflect", update={"outcomes": outcomes, "notes": []})

    async def execute(state: Work) -> Command[Literal["review", "reflect"]]:
        action = state["action"]
        context = CallContext(
            action["workspace"], action["case_id"], state["action_id"], state["action_id"], "bare", clock.now()
        )
        try:
            result = await belt.call(action["tool"], action["args"], context)
        except ProviderRefused as no:
            told = _outcome(action["tool"], action["step_key"], "failed", {"code": no.reason}, no.detail)
        else:
            told = _outcome(action["tool"], action["step_key"], "done", result)
        return Command(update={"outcomes": [told]})

    graph = StateGraph(CaseState, context_schema=Context)
    graph.add_node("plan", plan)
    graph.add_node("act", act)
    graph.add_node("gate", gate)
    graph.add_node("review", _review, input_schema=Question)
    graph.add_node("execute", execute, input_schema=Work)
    graph.add_node("reflect", reflect, defer=True)
    graph.add_node("finish", finish)
    graph.add_edge(START, "plan")
    graph.add_edge("execute", "reflect")
    graph.add_edge("review", "reflect")
    graph.add_edge("finish", END)
    return graph


async def _review(state: Question) -> dict[str, Any]:
    interrupt(
        {
            "action_id": state["action_id"],
            "reason": state["reason"],
            "unknown": state["unknown"],
            "again": state["again"],
        }
    )
    return {}


def _work(case: dict[str, Any], call: PlannedCall) -> Work:
    """As large as in the house: a checkpoint holds the same."""
    action = ProposedAction(
        workspace=case["workspace"],
        case_id=case["id"],
        kind=case["kind"],
        tool=call["tool"],
        schema_version=1,
        args=call["args"],
        proposer="bare",
        step_key=call["step_key"],
    )
    return Work(
        case=case, action=action.model_dump(mode="json"), action_id=action.id, effect="irreversible", again=0, note=""
    )


def _outcome(
    tool: str, step_key: str, status: str, result: dict[str, JSON] | None = None, reason: str = ""
) -> dict[str, JSON]:
    return {
        "status": status,
        "tool": tool,
        "step_key": step_key,
        "action_id": "",
        "result": result or {},
        "reason": reason,
    }
