"""What a plain graph streams, as the events that stock clients read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message
from langgraph.types import Interrupt, StreamMode

from core.errors import InvalidInput
from engine.served import Asked, Emit

MODES: Mapping[str, StreamMode] = {
    "values": "values",
    "updates": "updates",
    "messages": "messages",
    "messages-tuple": "messages",
    "custom": "custom",
    "tasks": "tasks",
    "checkpoints": "checkpoints",
    "debug": "debug",
}
"""By what a client asks for: the graph's own mode."""


def own_modes(asked: Sequence[str]) -> list[StreamMode]:
    """What to ask the graph for. Raises `InvalidInput` for a mode that is not served."""
    for mode in asked:
        if mode not in MODES:
            raise InvalidInput(
                f"The stream mode '{mode[:40]}' is not served.",
                field="stream_mode",
                hint=f"There are: {', '.join(MODES)}.",
            )
    modes: list[StreamMode] = ["values", *(MODES[mode] for mode in asked)]
    return list(dict.fromkeys(modes))


def question(each: Interrupt[Any]) -> dict[str, Any]:
    schema = {} if not isinstance(each.response_schema, Mapping) else {"response_schema": dict(each.response_schema)}
    return {"id": each.id, "value": each.value, **schema}


def asked_of(task_id: str, interrupts: Sequence[Interrupt[Any]]) -> list[Asked]:
    return [
        Asked(each.id, task_id, each.value, each.response_schema if isinstance(each.response_schema, Mapping) else None)
        for each in interrupts
    ]


class Telling:
    """Writes what the graph streams into the run's log, and remembers how it ended."""

    def __init__(self, emit: Emit, modes: Sequence[str], subgraphs: bool) -> None:
        self._emit = emit
        self._asked = frozenset(modes)
        self._subgraphs = subgraphs
        self._messages: dict[str, BaseMessageChunk] = {}
        self._known: set[str] = set()
        self.values: Any = None
        """The last values of the graph itself."""
        self.interrupts: list[Interrupt[Any]] = []

    async def tell(self, namespace: tuple[str, ...], mode: str, chunk: Any) -> None:
        ending = "|" + "|".join(namespace) if namespace else ""
        match mode:
            case "values":
                await self._values(ending, chunk)
            case "updates":
                await self._updates(ending, chunk)
            case "messages":
                await self._message(ending, chunk)
            case _:
                await self._emit(mode + ending, chunk)

    async def _values(self, ending: str, chunk: Any) -> None:
        shown = chunk
        if isinstance(chunk, Mapping) and "__interrupt__" in chunk:
            shown = {**chunk, "__interrupt__": [question(each) for each in chunk["__interrupt__"]]}
        if not ending:
            if isinstance(chunk, Mapping):
                self.interrupts.extend(chunk.get("__interrupt__", ()))
                self.values = {key: value for key, value in chunk.items() if key != "__interrupt__"}
            else:
                self.values = chunk
        if "values" in self._asked:
            await self._emit("values" + ending, shown)

    async def _updates(self, ending: str, chunk: Any) -> None:
        if isinstance(chunk, Mapping) and "__interrupt__" in chunk:
            chunk = {**chunk, "__interrupt__": [question(each) for each in chunk["__interrupt__"]]}
        await self._emit("updates" + ending, chunk)

    async def _message(self, ending: str, chunk: tuple[BaseMessage, dict[str, Any]]) -> None:
        message, meta = chunk
        if "messages-tuple" in self._asked:
            await self._emit("messages" + ending, [message.model_dump(), meta])
        if "messages" not in self._asked:
            return
        name = message.id or ""
        if name not in self._known:
            self._known.add(name)
            await self._emit("messages/metadata" + ending, {name: {"metadata": meta}})
        if not isinstance(message, BaseMessageChunk):
            await self._emit("messages/complete" + ending, [message.model_dump()])
            return
        before = self._messages.get(name)
        added = message if before is None else before + message
        whole = added if isinstance(added, BaseMessageChunk) else message
        self._messages[name] = whole
        await self._emit("messages/partial" + ending, [message_chunk_to_message(whole).model_dump()])
