"""A chat model that replays recorded calls: what a perfect agent would propose, one call a turn.

It keeps nothing between two turns. Which call comes next is read off the conversation, by the number
of calls that were answered, so a case goes on after a crash or a review where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage
from langchain_core.messages.tool import ToolCall
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SkipValidation

from agents.casefile import read_back
from agents.contract import FINISH, MAKE_PLAN, Finish, MakePlan, PlanStep, StepStatus
from agents.procedure import Seen
from agents.wire import encode
from core.actions import JSON
from core.errors import ModelNonsense

NAME = "countersign-replay"
_PLAN_STEPS = 20
"""As many as a plan may have."""


@dataclass(frozen=True)
class RecordedCall:
    tool: str
    args: dict[str, JSON] = field(default_factory=dict)


Heard = Callable[[str, Seen], None]


class ReplayModel(BaseChatModel):
    """`scripts` has the calls of each case, by the case's `reference`.

    Once a script is over, `heard` is told everything that came back: what an agent knows at the end.
    """

    scripts: SkipValidation[Mapping[str, Sequence[RecordedCall]]]
    heard: SkipValidation[Heard] = lambda _reference, _seen: None

    @property
    def _llm_type(self) -> str:
        return NAME

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], tool_choice=tool_choice)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        conversation: list[AnyMessage] = list(messages)  # type: ignore[arg-type]  # AnyMessage is every BaseMessage
        reference = str(read_back(conversation).get("reference", ""))
        if reference not in self.scripts:
            raise ModelNonsense(f"There is no recording of '{reference[:60]}'.", hint="Name it in the case.")
        script, seen = self.scripts[reference], Seen.read(conversation)
        if kwargs.get("tool_choice") == MAKE_PLAN:
            answer = _called(MAKE_PLAN, _plan(script, seen).model_dump(mode="json"), len(messages))
        elif len(seen.answered) < len(script):
            call = script[len(seen.answered)]
            answer = _called(call.tool, call.args, len(messages))
        else:
            self.heard(reference, seen)
            answer = _called(FINISH, _end(script, seen).model_dump(mode="json"), len(messages))
        return ChatResult(generations=[ChatGeneration(message=answer)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, None, **kwargs)  # nothing to wait for: no thread is needed


def _called(tool: str, args: dict[str, JSON], turn: int) -> AIMessage:
    call = ToolCall(name=encode(tool), args=args, id=f"replay_{turn}")
    return AIMessage(content="", tool_calls=[call], response_metadata={"model_name": NAME})


def _plan(script: Sequence[RecordedCall], seen: Seen) -> MakePlan:
    """What is recorded, from a little before the next call on where there is more than a plan holds."""
    steps = [
        PlanStep(title=f"Recorded call {number}: {call.tool}"[:200], tool=call.tool, status=_status(seen, number))
        for number, call in enumerate(script, 1)
    ]
    first = max(0, min(len(seen.answered) - 1, len(steps) - _PLAN_STEPS))
    return MakePlan(steps=steps[first : first + _PLAN_STEPS] or [PlanStep(title="Nothing is recorded: finish")])


def _status(seen: Seen, number: int) -> StepStatus:
    if number > len(seen.answered):
        return StepStatus.PENDING
    return StepStatus.DONE if seen.answered[number - 1].ran else StepStatus.DROPPED


def _end(script: Sequence[RecordedCall], seen: Seen) -> Finish:
    ran = sum(answered.ran for answered in seen.answered)
    return Finish(outcome="replayed", summary=f"{ran} of {len(script)} recorded calls ran.")
