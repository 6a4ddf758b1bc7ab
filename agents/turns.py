"""A language model as an agent: what it is shown, and its answer taken apart into a Turn."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import ToolCall
from pydantic import BaseModel, ValidationError

from agents.casefile import lay_out
from agents.contract import FINISH, MAKE_PLAN, Finish, MakePlan, Proposal, Turn
from agents.role import Role
from agents.wire import decode, encode, function, functions, left_out
from core.actions import ToolSpec
from core.errors import InvalidInput, ModelNonsense

MAX_PROPOSALS = 8
MAX_ARGS_BYTES = 16_384
MAX_TEXT = 4_000
MAX_ID = 80
UNREADABLE = "unreadable"
"""The only argument of a proposal whose arguments were no JSON object or too large: no tool takes it."""


M = TypeVar("M", bound=BaseModel)


class _Unusable(Exception):
    """Nothing in the answer can be used; the text says why, to the model."""


class ModelAgent:
    """Implements `agents.contract.Agent` over any LangChain chat model, embedded or served."""

    def __init__(self, name: str, model: BaseChatModel, role: Role, specs: Mapping[str, ToolSpec[Any]]) -> None:
        self.name = name
        self._specs = dict(specs)
        self._system = role.instructions(self._specs.values())
        planning = [function(MAKE_PLAN, MakePlan.__doc__ or MAKE_PLAN, MakePlan)]
        acting = [*functions(self._specs), function(FINISH, Finish.__doc__ or FINISH, Finish)]
        self._planner = model.bind_tools(planning, tool_choice=MAKE_PLAN, parallel_tool_calls=False)
        self._actor = model.bind_tools(acting, tool_choice="any", parallel_tool_calls=True)

    def opening(self, case: dict[str, Any]) -> list[AnyMessage]:
        return [SystemMessage(self._system), lay_out(case)]

    async def plan(self, messages: Sequence[AnyMessage]) -> Turn:
        return await self._ask(self._planner.ainvoke, messages, self._as_plan)

    async def act(self, messages: Sequence[AnyMessage]) -> Turn:
        return await self._ask(self._actor.ainvoke, messages, self._as_action)

    async def _ask(
        self,
        ask: Callable[[list[AnyMessage]], Awaitable[AIMessage]],
        messages: Sequence[AnyMessage],
        read: Callable[[_Answer], Turn],
    ) -> Turn:
        """Asks, and once more with the problem told. Raises `ModelUnavailable` or `ModelNonsense`."""
        asked = list(_every_call_answered(messages))
        tokens_in = tokens_out = 0
        problem = ""
        for _ in range(2):
            try:
                message = await ask(asked)
                used = message.usage_metadata or {"input_tokens": 0, "output_tokens": 0}
                tokens_in, tokens_out = tokens_in + used["input_tokens"], tokens_out + used["output_tokens"]
                turn = read(_Answer.of(message, turn_no=len(asked)))
                return turn.model_copy(update={"tokens_in": tokens_in, "tokens_out": tokens_out})
            except _Unusable as error:
                problem = str(error)
            except ModelNonsense as error:
                problem = error.detail
            asked = [
                *asked,
                HumanMessage(f"Your last answer could not be used: {problem} Answer with tool calls only."),
            ]
        raise ModelNonsense(
            f"The model gave no usable answer, twice. {problem}",
            hint="Check that the model and its tool parser support forced tool calls.",
            tokens_in=tokens_in,
            tokens_out=tokens_out,
        )

    def _as_plan(self, answer: _Answer) -> Turn:
        for call in answer.calls:
            if call.tool == MAKE_PLAN:
                steps = _control(MakePlan, call).steps
                return Turn(message=answer.message([call]), plan=steps)
        raise _Unusable(f"Call {MAKE_PLAN} with the steps that you will take.")

    def _as_action(self, answer: _Answer) -> Turn:
        calls = [call for call in answer.calls if call.tool not in (MAKE_PLAN, FINISH)][:MAX_PROPOSALS]
        if calls:  # an end that was announced beside open calls is not the end
            return Turn(message=answer.message(calls), proposals=[self._proposal(call) for call in calls])
        for call in answer.calls:
            if call.tool == FINISH:
                return Turn(message=answer.message([call]), finish=_control(Finish, call))
        raise _Unusable("It called no tool that you were offered.")

    def _proposal(self, call: _Call) -> Proposal:
        spec = self._specs.get(call.tool)
        if spec is None:
            return Proposal(call_id=call.id, tool=call.tool, args=call.args)
        if UNREADABLE in call.args:
            try:
                spec.parse(call.args)
            except InvalidInput:
                pass
            else:  # this tool ignores what it does not know, so the gate would let the call through
                raise _Unusable(f"The arguments of {call.tool} can't be read.")
        return Proposal(call_id=call.id, tool=call.tool, args=left_out(call.args, spec.args))


@dataclass(frozen=True)
class _Call:
    id: str
    tool: str
    args: dict[str, Any]


@dataclass(frozen=True)
class _Answer:
    """What came back, under names of the house and with ids that are there and unique."""

    raw: AIMessage
    calls: list[_Call] = field(default_factory=list)

    @classmethod
    def of(cls, raw: AIMessage, turn_no: int) -> _Answer:
        if raw.response_metadata.get("finish_reason") == "length":
            raise _Unusable("It was cut off at the limit of tokens: make it shorter.")
        calls: list[_Call] = []
        taken: set[str] = set()
        for call in [*raw.tool_calls, *raw.invalid_tool_calls]:
            args = call["args"]
            if not isinstance(args, dict):
                args = {UNREADABLE: str(args)[:500]}
            elif len(json.dumps(args)) > MAX_ARGS_BYTES:
                args = {UNREADABLE: f"more than {MAX_ARGS_BYTES} bytes"}
            # Cut first: two ids that differ only behind it are one, and answers are told apart by them.
            call_id = (call["id"] or "")[:MAX_ID]
            made_up = (f"call_{turn_no}_{n}" for n in count(len(calls)))
            while not call_id or call_id in taken:
                call_id = next(made_up)
            taken.add(call_id)
            calls.append(_Call(call_id, decode(str(call["name"] or "nameless"))[:80], args))
        return cls(raw, calls)

    def message(self, calls: Iterable[_Call]) -> AIMessage:
        """The answer as the conversation keeps it: only the calls that will be answered."""
        kept = ("model_name", "finish_reason")
        return AIMessage(
            content=self.raw.text[:MAX_TEXT],
            tool_calls=[ToolCall(name=encode(call.tool), args=call.args, id=call.id) for call in calls],
            usage_metadata=self.raw.usage_metadata,
            response_metadata={k: v for k, v in self.raw.response_metadata.items() if k in kept},
        )


def _control(model: type[M], call: _Call) -> M:
    try:
        return model.model_validate(left_out(call.args, model))
    except ValidationError as error:
        first = error.errors()[0]
        raise _Unusable(f"{call.tool}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error


def _every_call_answered(messages: Sequence[AnyMessage]) -> Iterable[AnyMessage]:
    """The protocol wants an answer after each call, the control tools' included."""
    answered = {m.tool_call_id for m in messages if isinstance(m, ToolMessage)}
    for message in messages:
        yield message
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                if call["id"] not in answered:
                    yield ToolMessage("noted", tool_call_id=call["id"] or "")
