"""How a case, and what its customer writes later, is laid before a model: as data between marks that nothing inside
can close.

A letter may contain anything, `</case>` and orders to the agent included. The JSON escapes every
`<`, so the mark that ends the case is always the house's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage

from core.errors import ModelNonsense
from core.ids import canonical

_OPEN, _CLOSE = "<case>\n", "\n</case>"
_LATER, _LATER_CLOSE = "<message>\n", "\n</message>"


def lay_out(case: Mapping[str, Any]) -> HumanMessage:
    text = canonical(dict(case)).decode().replace("<", "\\u003c")
    return HumanMessage(f"{_OPEN}{text}{_CLOSE}")


def read_back(messages: Sequence[AnyMessage]) -> dict[str, Any]:
    """The case of a conversation. Raises `ModelNonsense` where there is none."""
    for message in messages:
        if isinstance(message, HumanMessage) and isinstance(message.content, str):
            text = message.content
            if text.startswith(_OPEN) and text.endswith(_CLOSE):
                case = json.loads(text[len(_OPEN) : -len(_CLOSE)])
                if isinstance(case, dict):
                    return case
    raise ModelNonsense("The conversation holds no case.", hint="Begin it with the agent's opening().")


def pass_on(text: str) -> HumanMessage:
    """What the customer wrote after the case was opened."""
    said = canonical({"the customer wrote again": text}).decode().replace("<", "\\u003c")
    return HumanMessage(f"{_LATER}{said}{_LATER_CLOSE}")


def passed_on(messages: Sequence[AnyMessage]) -> list[str]:
    """What the customer wrote since the case was opened, the oldest first."""
    found = []
    for message in messages:
        if isinstance(message, HumanMessage) and isinstance(message.content, str):
            text = message.content
            if text.startswith(_LATER) and text.endswith(_LATER_CLOSE):
                (said,) = json.loads(text[len(_LATER) : -len(_LATER_CLOSE)]).values()
                found.append(str(said))
    return found
