"""The gate's node: each proposal of a turn is checked, judged, and sent on: to run, to people, or back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.messages.tool import ToolCall
from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from agents.casefile import passed_on
from agents.wire import decode
from core.actions import Effect, Egress, OutcomeStatus, ProposedAction, ToolOutcome, ToolSpec
from core.errors import InvalidInput
from core.model_call import ModelCall
from core.verdicts import Allow, Deny, Review
from engine.gate import Ruling
from engine.journal import Note
from engine.model_use import model_action
from engine.provenance import Answered, Told
from graphs.state import CaseState, Context, PlannedCall, Question, Work


async def gate(state: CaseState, runtime: Runtime[Context]) -> Command[Literal["execute", "review", "reflect"]]:
    context = runtime.context
    case = state["case"]
    actions: list[ProposedAction] = []
    outcomes: list[ToolOutcome] = []
    for call in state["calls"]:
        checked = _check(call, case, context)
        if isinstance(checked, ToolOutcome):
            outcomes.append(checked)
        else:
            actions.append(checked)
    notes = [Note.model_validate(note) for note in state.get("notes", [])]
    notes += [Note(type="call.invalid", body={"tool": each.tool, "reason": each.reason}) for each in outcomes]
    told = cache(lambda: _told(state, context))
    rulings = await context.services.gate.propose(case["workspace"], case["id"], actions, case["payload"], notes, told)
    tasks: list[Send] = []
    for action, ruling in zip(actions, rulings, strict=True):
        routed = _route(case, action, ruling)
        if isinstance(routed, Send):
            tasks.append(routed)
        else:
            outcomes.append(routed)
    update = {"outcomes": [each.model_dump(mode="json") for each in outcomes], "notes": []}
    return Command(goto=tasks or "reflect", update=update)


def _check(call: PlannedCall, case: dict[str, Any], context: Context) -> ProposedAction | ToolOutcome:
    """A typed action, or why the call is none."""
    if "before" in call:
        return model_action(case["workspace"], case["id"], case["kind"], ModelCall.model_validate(call["args"]))
    spec = context.specs.get(call["tool"])
    if spec is None:
        close = ", ".join(sorted(context.specs))
        return _invalid(call, f"there is no tool '{call['tool'][:60]}'; there are: {close}")
    try:
        args = spec.parse(call["args"]).model_dump(mode="json")
    except InvalidInput as wrong:
        return _invalid(call, wrong.detail)
    return ProposedAction(
        workspace=case["workspace"],
        case_id=case["id"],
        kind=case["kind"],
        tool=spec.name,
        schema_version=spec.version,
        args=args,
        proposer=context.agent.name,
        step_key=call["step_key"],
    )


def _told(state: CaseState, context: Context) -> Told:
    """What the case holds so far, by the house's own answers; of the model's words only what it asked for."""
    vouched = frozenset(name for name, each in context.payload.items() if each.vouched)
    said = state.get("messages", [])
    wrote = {"": [*passed_on(said)]}  # no field of a payload has this name, so nobody vouches for it
    return Told.of({**state["case"]["payload"], **wrote}, vouched, answered(said, context.specs))


def answered(messages: Sequence[AnyMessage], specs: Mapping[str, ToolSpec[Any]]) -> Iterator[Answered]:
    """Each answer with the call before it: a model may use an id again.

    Where calls of one message share an id, nobody knows which of them was answered. Such an answer is no record, and
    whatever any of them asked for may have been written down.
    """
    open_calls: dict[str, list[ToolCall]] = {}
    for message in messages:
        if isinstance(message, AIMessage):
            open_calls |= {str(call["id"]): [] for call in message.tool_calls}
            for call in message.tool_calls:
                open_calls[str(call["id"])].append(call)
        elif isinstance(message, ToolMessage):
            asked = open_calls.get(message.tool_call_id, [])
            sure = len(asked) == 1
            for call in asked:
                spec = specs.get(decode(call["name"]))
                if spec is not None:
                    yield Answered(
                        args=call["args"],
                        outcome=str(message.content),
                        of_record=sure and Egress.PROVIDER in spec.egress,
                        keeps=not sure or spec.effect is not Effect.READ,
                    )
            if sure:
                del open_calls[message.tool_call_id]


def _route(case: dict[str, Any], action: ProposedAction, ruling: Ruling) -> Send | ToolOutcome:
    work = Work(
        case=case,
        action=action.model_dump(mode="json"),
        action_id=action.id,
        effect=ruling.effect.value,
        again=0,
        note="",
    )
    match ruling.verdict:
        case Allow():
            return Send("execute", work)
        case Review():
            return Send("review", Question(**work, reason=ruling.verdict.reason, unknown=False))
        case Deny():
            return ToolOutcome(
                status=OutcomeStatus.DENIED,
                tool=action.tool,
                step_key=action.step_key,
                action_id=action.id,
                reason=ruling.verdict.reason,
            )


def _invalid(call: PlannedCall, reason: str) -> ToolOutcome:
    return ToolOutcome(status=OutcomeStatus.INVALID, tool=call["tool"], step_key=call["step_key"], reason=reason)
