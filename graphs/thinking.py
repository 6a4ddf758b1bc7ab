"""The nodes in which the model thinks: plan and act. They return proposals and touch nothing."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.messages import AIMessage, AnyMessage, RemoveMessage
from langgraph.runtime import Runtime
from langgraph.types import Command

from agents.casefile import pass_on
from agents.contract import Turn
from core.errors import ModelNonsense
from engine.journal import MODEL_CALLED
from graphs.sight import look
from graphs.state import CaseState, Context, PlannedCall, Spent

_FRESH: Spent = {"turns": 0, "tokens": 0, "done": [], "money_minor": {}}


async def plan(state: CaseState, runtime: Runtime[Context]) -> Command[Literal["act", "gate"]]:
    """Writes the plan that people see; after trouble, writes it anew."""
    agent = runtime.context.agent
    known: list[AnyMessage] = list(state.get("messages", []))
    spent = state.get("spent") or _FRESH
    case, heard = state["case"], state.get("heard", 0)
    news = await runtime.context.services.hear(case["workspace"], case["id"], heard, spent["turns"])
    sight = await look(state, runtime.context, "plan", news=bool(news))
    notes = sight.update.get("notes", state.get("notes", []))
    if sight.ask is not None:
        return _ask(sight.ask, spent, notes)
    update = {**sight.update, "spent": spent}
    opening = [] if known else agent.opening(case["payload"])
    if news:  # what the agent had handed over before may be another matter now
        opening = [*opening, *(pass_on(each.text) for each in news)]
        update |= {"heard": news[-1].seq, "handing_over": "", "calls": []}
    if sight.why_not:
        update |= {"messages": opening} if news else {}
        return Command(goto="act", update={**update, "handing_over": sight.why_not, "plan": []})
    try:
        turn = await agent.plan([*known, *opening])
    except ModelNonsense as nonsense:
        update |= {"messages": opening, "spent": _add(spent, nonsense), "handing_over": nonsense.detail, "plan": []}
        return Command(goto="act", update={**update, "notes": [*notes, _called("plan", spent, nonsense)]})
    steps = [step.model_dump(mode="json") for step in turn.plan]
    written = {"type": "plan.written", "body": {"steps": steps}}
    update |= {
        "messages": [*opening, turn.message],
        "plan": steps,
        "spent": _add(spent, turn),
        "notes": [*notes, _called("plan", spent, turn), written],
    }
    return Command(goto="act", update=update)


async def act(state: CaseState, runtime: Runtime[Context]) -> Command[Literal["plan", "gate", "finish"]]:
    """Proposes the next calls, or ends the case. A spent budget, nonsense, or data that the model may not see puts it
    before a person."""
    context = runtime.context
    spent = state["spent"]
    notes = list(state.get("notes", []))
    case = state["case"]
    if not await context.services.heard(case["workspace"], case["id"], state.get("heard", 0)):
        return Command(goto="plan")
    why = state.get("handing_over", "")
    if why and any(call["tool"] == context.handover("")[0] for call in state.get("calls", [])):
        return _end("handed_over", why, notes)
    why = why or _over_budget(spent, context)
    if why:
        return _hand_over(why, spent, notes, context)
    sight = await look(state, context, "act")
    if sight.ask is not None:
        return _ask(sight.ask, spent, notes)
    if sight.why_not:
        return _hand_over(sight.why_not, spent, sight.update.get("notes", notes), context)
    notes = list(sight.update.get("notes", notes))
    try:
        turn = await context.agent.act(state["messages"])
    except ModelNonsense as nonsense:
        notes.append(_called("act", spent, nonsense))
        return _hand_over(nonsense.detail, _add(spent, nonsense), notes, context)
    notes.append(_called("act", spent, turn))
    if turn.finish is not None:
        why = _not_borne_out(turn.finish.outcome, spent, context)
        if not why:
            return _end(turn.finish.outcome, turn.finish.summary, notes, [turn.message])
        return _hand_over(why, _add(spent, turn), notes, context)
    calls = [
        PlannedCall(call_id=p.call_id, tool=p.tool, args=p.args, step_key=f"{spent['turns']}.{n}")
        for n, p in enumerate(turn.proposals)
    ]
    update = {**sight.update, "messages": [turn.message], "calls": calls, "outcomes": None, "notes": notes}
    return Command(goto="gate", update={**update, "spent": _add(spent, turn)})


def _ask(call: PlannedCall, spent: Spent, notes: list[dict[str, Any]]) -> Command[Any]:
    """People decide whether the model may go on. The conversation does not hear of it."""
    return Command(goto="gate", update={"calls": [call], "outcomes": None, "notes": notes, "spent": spent})


def _hand_over(why: str, spent: Spent, notes: list[dict[str, Any]], context: Context) -> Command[Any]:
    """The house itself puts the case before a person, through the gate like any other call."""
    tool, args = context.handover(why[:500])
    asked = PlannedCall(call_id=f"house_{spent['turns']}", tool=tool, args=args, step_key=f"{spent['turns']}.0")
    said = AIMessage("", tool_calls=[{"name": tool.replace(".", "__"), "args": args, "id": asked["call_id"]}])
    update = {"messages": [said], "calls": [asked], "outcomes": None, "notes": notes, "handing_over": why}
    return Command(goto="gate", update={**update, "spent": {**spent, "turns": spent["turns"] + 1}})


async def finish(state: CaseState, runtime: Runtime[Context]) -> dict[str, Any]:
    """The end. The conversation is let go of; what happened stays in the ledger."""
    return {"messages": [RemoveMessage(id=str(message.id)) for message in state["messages"]], "calls": []}


def _end(outcome: str, summary: str, notes: list[dict[str, Any]], said: list[AIMessage] | None = None) -> Command[Any]:
    ending = {"outcome": outcome, "summary": summary}
    return Command(goto="finish", update={"messages": said or [], "ending": ending, "notes": notes})


def _not_borne_out(outcome: str, spent: Spent, context: Context) -> str:
    """Why an ending can't be believed: it is no word of this kind, or nothing that it claims was done."""
    if not context.outcomes:
        return ""
    needed = context.outcomes.get(outcome)
    if needed is None:
        return f"the agent ended the case as '{outcome}', which is no ending here"
    if needed and not needed & set(spent["done"]):
        return f"the agent says '{outcome}', and none of {', '.join(sorted(needed))} was done"
    return ""


def _over_budget(spent: Spent, context: Context) -> str:
    budget = context.budget
    if spent["turns"] >= budget.steps:
        return f"the case has used its {budget.steps} turns"
    if spent["tokens"] >= budget.tokens:
        return f"the case has used its {budget.tokens} tokens"
    if any(paid > budget.money_minor for paid in spent["money_minor"].values()):
        return "the case has paid out more than its budget"
    return ""


def _add(spent: Spent, used: Turn | ModelNonsense) -> Spent:
    return {**spent, "turns": spent["turns"] + 1, "tokens": spent["tokens"] + sum(_tokens(used))}


def _tokens(used: Turn | ModelNonsense) -> tuple[int, int]:
    """Read and written. What can't be used is paid for too."""
    if isinstance(used, Turn):
        return used.tokens_in, used.tokens_out
    return int(used.extra.get("tokens_in", 0)), int(used.extra.get("tokens_out", 0))


def _called(why: str, spent: Spent, used: Turn | ModelNonsense) -> dict[str, Any]:
    tokens_in, tokens_out = _tokens(used)
    said = str(used.message.text) if isinstance(used, Turn) else used.detail
    body = {
        "for": why,
        "turn": spent["turns"],
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "said": said[:1000],
    }
    return {"type": MODEL_CALLED, "body": body}
