"""A chat model that plays what its case says: the payload carries the turns, so a crash changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCall
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from agents.casefile import read_back
from agents.contract import FINISH, MAKE_PLAN
from agents.wire import decode, encode
from core.errors import ModelUnavailable

Turn = list[dict[str, Any]]
"""Calls that are proposed side by side, each `{"tool": …, "args": …}`."""

_AGAIN = "again_"
_BY_PEOPLE = "reconciled by people"
DONE: Turn = [{"tool": FINISH, "args": {"outcome": "done", "summary": "All is done."}}]


class ScriptedModel(BaseChatModel):
    """Turn n of the payload's `script` is the answer to the n-th question; after the last one it is done.

    With `loop` in the payload it plays its last turn for ever, with `insists` it proposes again whatever people found
    not to have happened.
    """

    down: int = 0
    """So many calls fail as if no server were there; -1: all of them."""
    calls: int = 0

    @property
    def _llm_type(self) -> str:
        return "script"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tool_choice=tool_choice)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.calls += 1
        if self.down:
            self.down -= 1
            raise ModelUnavailable("The model server can't be reached.", hint="Start it.")
        if kwargs.get("tool_choice") == MAKE_PLAN:
            turn: Turn = [{"tool": MAKE_PLAN, "args": {"steps": [{"title": "Play the script"}]}}]
        else:
            turn = self._turn(messages)
        calls = [
            ToolCall(
                name=encode(step["tool"]), args=step["args"], id=f"{step.get('id', 'call_')}{len(messages)}_{number}"
            )
            for number, step in enumerate(turn)
        ]
        answer = AIMessage(
            content="",
            tool_calls=calls,
            usage_metadata=UsageMetadata(input_tokens=100, output_tokens=20, total_tokens=120),
        )
        return ChatResult(generations=[ChatGeneration(message=answer)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, None, **kwargs)

    def _turn(self, messages: Sequence[BaseMessage]) -> Turn:
        case = read_back(messages)  # type: ignore[arg-type]  # AnyMessage is every BaseMessage
        script: list[Turn] = case["script"]
        answered = [m for m in messages if isinstance(m, AIMessage) and m.tool_calls[0]["name"] != MAKE_PLAN]
        if case["insists"] and answered and (undone := _undone(answered[-1], messages)):
            return undone
        played = [m for m in answered if not str(m.tool_calls[0]["id"]).startswith(_AGAIN)]
        if len(played) < len(script):
            return script[len(played)]
        return script[-1] if case["loop"] else DONE


def _undone(turn: AIMessage, messages: Sequence[BaseMessage]) -> Turn:
    """Those of its calls that people found not to have happened."""
    told = {m.tool_call_id: str(m.content) for m in messages if isinstance(m, ToolMessage)}
    outcomes = [(call, json.loads(told.get(str(call["id"]), "{}"))) for call in turn.tool_calls]
    lost = [call for call, each in outcomes if each.get("status") == "failed" and _BY_PEOPLE in each["reason"]]
    return [{"tool": decode(call["name"]), "args": call["args"], "id": _AGAIN} for call in lost]
