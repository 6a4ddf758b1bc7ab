"""The embedded planner: a chat model that is no language model.

It follows a written procedure, so that the house runs with no GPU and no server beside it, and so
that there is a floor to hold a real model against. It speaks as a model does (tool calls, streaming,
usage), and the rest of the house can't tell the difference except by its name and its price of zero.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCall, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import SkipValidation

from agents.casefile import read_back
from agents.contract import FINISH, MAKE_PLAN, Finish
from agents.procedure import Procedure, Seen
from agents.wire import encode

NAME = "countersign-embedded-planner"
_BYTES_PER_TOKEN = 4
"""A rough English average, so that budgets mean something without a tokeniser."""


class EmbeddedPlanner(BaseChatModel):
    """Plans by procedure. Not a language model: `usage_metadata` is an estimate, and its price is zero."""

    procedure: SkipValidation[Procedure]

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
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages, kwargs.get("tool_choice")))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, None, **kwargs)  # nothing to wait for: no thread is needed

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _chunks(self._answer(messages, kwargs.get("tool_choice"))):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(self._answer(messages, kwargs.get("tool_choice"))):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _answer(self, messages: Sequence[BaseMessage], tool_choice: Any) -> AIMessage:
        conversation: list[AnyMessage] = list(messages)  # type: ignore[arg-type]  # AnyMessage is every BaseMessage
        case, seen = read_back(conversation), Seen.read(conversation)
        calls: list[tuple[str, dict[str, Any]]]
        if _forces_plan(tool_choice):
            steps = self.procedure.plan(case, seen)
            text = f"{len(steps)} steps."
            calls = [(MAKE_PLAN, {"steps": [step.model_dump(mode="json") for step in steps]})]
        else:
            ahead = self.procedure.next(case, seen)
            if isinstance(ahead, Finish):
                text, calls = ahead.summary, [(FINISH, ahead.model_dump(mode="json"))]
            else:
                text = " ".join(call.why for call in ahead if call.why)
                calls = [(call.tool, call.args) for call in ahead]
        return AIMessage(
            content=text,
            tool_calls=[
                ToolCall(name=encode(tool), args=args, id=f"call_{len(messages)}_{number}")
                for number, (tool, args) in enumerate(calls)
            ],
            usage_metadata=_usage(messages, text, calls),
            response_metadata={"model_name": NAME, "finish_reason": "tool_calls", "embedded": True},
        )


def _forces_plan(tool_choice: Any) -> bool:
    if isinstance(tool_choice, dict):
        return bool(tool_choice.get("function", {}).get("name") == MAKE_PLAN)
    return bool(tool_choice == MAKE_PLAN)


def _usage(messages: Sequence[BaseMessage], text: str, calls: Sequence[tuple[str, dict[str, Any]]]) -> UsageMetadata:
    read = sum(len(str(message.content)) for message in messages)
    written = len(text) + len(json.dumps(calls))
    tokens_in, tokens_out = -(-read // _BYTES_PER_TOKEN), -(-written // _BYTES_PER_TOKEN)
    return UsageMetadata(input_tokens=tokens_in, output_tokens=tokens_out, total_tokens=tokens_in + tokens_out)


def _chunks(answer: AIMessage) -> Iterator[ChatGenerationChunk]:
    """Text word by word, then each call, then the usage."""
    for word in re.findall(r"\S+\s*", str(answer.content)):
        yield ChatGenerationChunk(message=AIMessageChunk(content=word))
    for index, call in enumerate(answer.tool_calls):
        piece = tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index)
        yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[piece]))
    yield ChatGenerationChunk(
        message=AIMessageChunk(
            content="",
            usage_metadata=answer.usage_metadata,
            response_metadata=answer.response_metadata,
            chunk_position="last",
        )
    )
