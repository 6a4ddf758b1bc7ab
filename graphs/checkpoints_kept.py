"""What a checkpoint may hold, and so what is made from its bytes.

Whoever may write checkpoints is not trusted by whoever reads them: a worker's row is read by the API, for a copy or
a rewind. The library would import and call whatever a row names; here a row makes the types below, and of every
other name only its data comes back.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command, Interrupt, Send

from core.errors import Erased
from engine import fence

_OF_CASES = (AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage, Command, Interrupt, Send)
_OF_PLAIN_GRAPHS = (AIMessageChunk, ChatMessage, FunctionMessage, HumanMessageChunk)
_KEPT = _OF_CASES + _OF_PLAIN_GRAPHS
"""All that is in a state besides plain JSON. The library adds types of its own that hold values alone."""
_FORMS = ("null", "bytes", "bytearray", "msgpack")
"""What is written here. The library reads older forms too, which make objects by other rules."""


class Refused(ValueError):
    """A checkpoint in a form that is never written here."""


_PLACE = "checkpoint"


class Sealer(Protocol):
    """Who has the keys of cases."""

    def seal(self, content: bytes, place: str, case_id: str = "") -> bytes:
        """Under the case's key, or the house's if there is none."""
        ...

    def unseal(self, content: bytes, place: str) -> bytes | None:
        """What lies in the clear as it is; None if its key was destroyed. Raises `KeyMissing` and `Tampered`."""
        ...


class Text(NamedTuple):
    """A text of the state that is to be kept as everything else: a server's saver would keep it beside, to be read."""

    text: str


class Kept(JsonPlusSerializer):
    def __init__(self, sealer: Sealer | None = None) -> None:
        """With a sealer everything is written sealed, for the case that this task works for."""
        super().__init__(pickle_fallback=False, allowed_json_modules=None, allowed_msgpack_modules=_KEPT)
        self.sealer = sealer

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        form, content = super().dumps_typed(obj.text if isinstance(obj, Text) else obj)
        if self.sealer is None or not content:
            return form, content
        mine = fence.of_this_task()
        return form, self.sealer.seal(content, _PLACE, mine.case_id if mine is not None else "")

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Raises `Refused`; `KeyMissing` and `Tampered` for what is sealed."""
        form, content = data
        if form not in _FORMS:
            raise Refused(f"a checkpoint in the form {form[:20]!r} is not read")
        if self.sealer is not None:
            found = self.sealer.unseal(content, _PLACE)
            if found is None:
                raise Erased("This checkpoint was erased.", hint="The case's data was erased: open a new case.")
            content = found
        return super().loads_typed((form, content))
