"""What a checkpoint may hold, and so what is made from its bytes.

Whoever may write checkpoints is not trusted by whoever reads them: a worker's row is read by the API, for a copy or
a rewind. The library would import and call whatever a row names; here a row makes the types below, and of every
other name only its data comes back.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command, Interrupt, Send

_KEPT = (AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage, Command, Interrupt, Send)
"""All that is in a case's state besides plain JSON. The library adds types of its own that hold values alone."""
_FORMS = ("null", "bytes", "bytearray", "msgpack")
"""What is written here. The library reads older forms too, which make objects by other rules."""


class Refused(ValueError):
    """A checkpoint in a form that is never written here."""


class Kept(JsonPlusSerializer):
    def __init__(self) -> None:
        super().__init__(pickle_fallback=False, allowed_json_modules=None, allowed_msgpack_modules=_KEPT)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Raises `Refused`."""
        if data[0] not in _FORMS:
            raise Refused(f"a checkpoint in the form {data[0][:20]!r} is not read")
        return super().loads_typed(data)
