"""A chat model behind an OpenAI-compatible server (vLLM, NIM and the like), with the house's errors.

Whatever goes wrong becomes `ModelUnavailable` (asking later may help) or `ModelNonsense` (it answered,
but nothing that can be used), with a hint. A stream that breaks off is never taken for an answer:
LangChain would complete half-written arguments to valid JSON, so that 1299 could become 12.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import openai
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI

from core.errors import ModelError, ModelNonsense, ModelUnavailable
from core.settings import ModelSettings

_TRANSPORT = openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]
_Broken: type[Exception] = import_module(_TRANSPORT).HTTPError
"""The transport's error: a break in mid-stream comes unwrapped, and the client has changed its transport once."""


def served_chat(settings: ModelSettings) -> ServedChat:
    return ServedChat(
        model=settings.name,
        base_url=settings.base_url,
        api_key=settings.api_key,
        timeout=settings.timeout_s,
        stream_chunk_timeout=settings.timeout_s,
        max_retries=settings.retries,
        max_completion_tokens=settings.max_tokens,
        stream_usage=True,
        use_responses_api=False,
        # LangChain would share one client with every model of the process, whatever loop they run in.
        http_client=openai.DefaultHttpxClient(),
        http_async_client=openai.DefaultAsyncHttpxClient(),
    )


class ServedChat(ChatOpenAI):
    """`ChatOpenAI` that raises only `ModelUnavailable` and `ModelNonsense`."""

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except ModelError:
            raise
        except openai.OpenAIError as error:
            raise _as_ours(error, self._where, self.model_name) from error
        except (TimeoutError, _Broken) as error:
            slow = isinstance(error, TimeoutError)
            what = "stopped in the middle of its answer" if slow else f"broke off its answer: {error}"
            raise ModelUnavailable(f"The model server at {self._where} {what}.", hint=_LOOK) from error
        except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
            # The client takes an answer apart without checking it: whatever shape it has, it fails like this.
            raise ModelNonsense(
                f"The model server at {self._where} answered something that is no chat completion.", hint=_PROTOCOL
            ) from error

    @property
    def _where(self) -> str:
        address = urlsplit(str(self.openai_api_base))
        return f"{address.hostname}:{address.port}" if address.port else str(address.hostname)

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        with self._told():
            return super()._generate(*args, **kwargs)

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        with self._told():
            return await super()._agenerate(*args, **kwargs)

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        whole = _Whole()
        with self._told():
            for chunk in super()._stream(*args, **kwargs):
                whole.add(chunk)
                yield chunk
            whole.check()

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        whole = _Whole()
        with self._told():
            async for chunk in super()._astream(*args, **kwargs):
                whole.add(chunk)
                yield chunk
            whole.check()


class _Whole:
    """Whether a stream came to its end, and every call in it to its own."""

    def __init__(self) -> None:
        self._begun = self._ended = False
        self._args: dict[Any, str] = defaultdict(str)

    def add(self, chunk: ChatGenerationChunk) -> None:
        self._begun = True
        if (chunk.generation_info or {}).get("finish_reason"):
            self._ended = True
        if isinstance(chunk.message, AIMessageChunk):
            for piece in chunk.message.tool_call_chunks:
                self._args[piece["index"]] += piece["args"] or ""

    def check(self) -> None:
        if not self._begun:
            raise ModelNonsense("The model server answered with no stream of a chat completion.", hint=_PROTOCOL)
        if not self._ended:
            raise ModelUnavailable("The model server ended its stream before its answer.", hint=_LOOK)
        for args in self._args.values():
            try:
                json.loads(args or "{}")
            except ValueError as error:
                raise ModelNonsense(
                    "The arguments of a tool call are no JSON.",
                    hint="Use a server that holds strict tools to their schema.",
                ) from error


_LOOK = "Look at the server's log; the case goes on by itself when it is back."
_PROTOCOL = "Check model.base_url: it has to end where /chat/completions begins, usually in /v1."


def _as_ours(error: openai.OpenAIError, where: str, model: str) -> ModelError:
    server = f"The model server at {where}"
    said = str(getattr(error, "message", error))[:300]
    match error:
        case openai.APITimeoutError():
            return ModelUnavailable(
                f"{server} did not answer in time.", hint="Raise model.timeout_s, or lower its load."
            )
        case openai.APIConnectionError():
            return ModelUnavailable(f"{server} can't be reached.", hint="Start it, or correct model.base_url.")
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return ModelUnavailable(f"{server} refused the key.", hint="Set COUNTERSIGN_MODEL__API_KEY.")
        case openai.NotFoundError():
            return ModelUnavailable(
                f"{server} has no model '{model}' at this address.", hint="Ask its /v1/models, and correct model.name."
            )
        case openai.RateLimitError():
            return ModelUnavailable(f"{server} is too busy.", hint="Lower engine.concurrency, or give it more room.")
        case openai.BadRequestError() | openai.UnprocessableEntityError():
            return ModelNonsense(
                f"{server} can't take this request: {said}", hint="Check its context length and its tool parser."
            )
        case openai.APIResponseValidationError():
            return ModelNonsense(f"{server} answered something that is no chat completion.", hint=_PROTOCOL)
        case _:
            return ModelUnavailable(f"{server} failed: {said}", hint=_LOOK)
