"""An answer as OpenAI's clients read it: chunks of a stream, or one whole completion."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

from sse_starlette import ServerSentEvent

from core.errors import CountersignError
from core.ids import new_id
from serving.chat.errors import error_of
from serving.chat.following import Event, Says, Spent, Working
from serving.chat.wire import Answer, ChatCompletion, Choice, Usage

_PIECE = re.compile(r"\S+\s*|\s+")
_WORDS = 6
"""In one delta of a text that is there at once."""
BETWEEN = "\n\n"
"""Between two texts of one answer."""


class Telling:
    """One answer. `shows` asks for what progress is about, in a member that OpenAI's protocol does not know."""

    def __init__(self, model: str, created: int, *, usage: bool = False, shows: bool = False) -> None:
        self._known = {
            "id": f"chatcmpl-{new_id('c').removeprefix('c_')}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._with_usage = usage
        self._shows = shows
        self._read = self._written = 0

    async def whole(self, events: AsyncGenerator[Event, None]) -> ChatCompletion:
        content = between = ""
        async with aclosing(events) as told:
            async for event in told:
                if isinstance(event, Says):
                    content += event.text if event.goes_on else between + event.text
                    between = BETWEEN
                elif isinstance(event, Spent):
                    self._spend(event)
        return ChatCompletion(
            id=self._known["id"],
            created=self._known["created"],
            model=self._known["model"],
            choices=[Choice(message=Answer(content=content))],
            usage=Usage.of(self._read, self._written),
        )

    async def stream(self, events: AsyncGenerator[Event, None]) -> AsyncIterator[ServerSentEvent]:
        """Ends with `[DONE]`, also after something went wrong: that is told as an error object."""
        yield self._delta({"role": "assistant", "content": ""})
        between = ""
        try:
            async with aclosing(events) as told:
                async for event in told:
                    match event:
                        case Says(text, goes_on=True):
                            yield self._delta({"content": text})
                        case Says(text):
                            for piece in _pieces(between + text):
                                yield self._delta({"content": piece})
                            between = BETWEEN
                        case Working(on):
                            yield self._delta({}, progress=on)
                        case Spent():
                            self._spend(event)
        except CountersignError as error:  # the status line is long gone
            yield ServerSentEvent(json.dumps(error_of(error.problem())))
        else:
            yield self._delta({}, finish="stop")
            if self._with_usage:
                usage = Usage.of(self._read, self._written).model_dump()
                yield ServerSentEvent(json.dumps({**self._known, "choices": [], "usage": usage}))
        yield ServerSentEvent("[DONE]")

    def _delta(self, delta: dict[str, Any], finish: str | None = None, progress: str = "") -> ServerSentEvent:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._known, "choices": [choice]}
        if self._with_usage:
            chunk["usage"] = None
        if progress and self._shows:
            chunk["countersign"] = {"progress": progress}
        return ServerSentEvent(json.dumps(chunk, ensure_ascii=False))

    def _spend(self, spent: Spent) -> None:
        self._read += spent.read
        self._written += spent.written


def _pieces(text: str) -> Iterator[str]:
    words = _PIECE.findall(text)
    for start in range(0, len(words), _WORDS):
        yield "".join(words[start : start + _WORDS])
