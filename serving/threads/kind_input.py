"""What a client sends to a thread of a kind: the payload of a case, or what its customer says. Pure.

A customer is named by the caller, who vouches for them: in `config.configurable`, in `context` or in metadata, never in
what they say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agents.conversation import Ask, Opening
from core.actions import JSON
from core.errors import InvalidInput
from graphs.kind import TaskKind

_HUMAN = ("human", "user", "HumanMessage", "HumanMessageChunk")
_TEXTS = ("letter", "request", "text", "message")
"""Fields of an intake that hold what a customer wrote."""
LONGEST = 20_000


@dataclass(frozen=True)
class Line:
    """A message of a thread, as clients see it."""

    id: str
    type: str
    """human, ai"""
    text: str

    def shown(self) -> dict[str, JSON]:
        return {"id": self.id, "type": self.type, "content": self.text}

    def kept(self) -> dict[str, JSON]:
        """As the thread's row keeps it."""
        return {"id": self.id, "type": self.type, "text": self.text}


def line_of(kept: Mapping[str, Any]) -> Line:
    return Line(str(kept["id"]), str(kept["type"]), str(kept["text"]))


def said_in(given: JSON, run_id: str) -> list[Line] | None:
    """What people say in an input, in order; None where it is no talk but a payload. Raises `InvalidInput`."""
    if isinstance(given, str):
        return [_line(given, f"{run_id}-0")]
    if not isinstance(given, Mapping):
        raise InvalidInput("The input is an object.", field="input", hint="Send {messages: […]}, or a payload.")
    if "messages" not in given:
        return None
    messages = given["messages"]
    if isinstance(messages, str | Mapping):
        messages = [messages]
    if not isinstance(messages, list):
        raise InvalidInput("messages is a list.", field="input.messages")
    lines = []
    for number, message in enumerate(messages):
        name, where = f"{run_id}-{number}", f"input.messages.{number}"
        match message:
            case str():
                lines.append(_line(message, name))
            case {"content": content, **rest}:
                if rest.get("type", rest.get("role")) in _HUMAN:
                    given_id = rest.get("id")
                    lines.append(_line(_text(content, where), str(given_id)[:200] if given_id else name))
            case _:
                raise InvalidInput("A message has a type and content.", field=where)
    return lines


def _line(text: str, name: str) -> Line:
    if not text.strip() or "\x00" in text:
        raise InvalidInput("The message says nothing that can be read.", field="input.messages")
    if len(text) > LONGEST:
        raise InvalidInput(f"A message has at most {LONGEST:,} characters.", field="input.messages", hint="Write less.")
    return Line(name, "human", text)


def _text(content: Any, where: str) -> str:
    """Of a message: text, or blocks of which those of text are read."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(
            each["text"] for each in content if isinstance(each, Mapping) and isinstance(each.get("text"), str)
        )
    raise InvalidInput("The content is a text.", field=where)


def text_field(kind: TaskKind) -> str:
    """The field of its intake that holds what a customer wrote; empty if it has none."""
    return next((name for name in _TEXTS if name in kind.intake.model_fields), "")


def text_of(kind: TaskKind, payload: Mapping[str, JSON]) -> str:
    return str(payload.get(text_field(kind), "") or "")


def known(kind: TaskKind, *places: Mapping[str, Any]) -> dict[str, JSON]:
    """Fields of the intake that the caller gives beside what is said; the last place counts."""
    return {name: each[name] for each in places for name in kind.intake.model_fields if name in each}


def begins(kind: TaskKind, said: list[str], given: Mapping[str, JSON]) -> Opening | Ask:
    """The payload of a case from a talk, or what is to be asked first. Raises `InvalidInput`."""
    vouched = [name for name, each in kind.payload.items() if each.vouched]
    missing = [name for name in vouched if not given.get(name)]
    if missing:
        raise InvalidInput(
            f"Nobody vouches for '{missing[0]}'.",
            field=f"config.configurable.{missing[0]}",
            hint="Send it in config.configurable, from your own session with the customer.",
        )
    if kind.converse is not None and len(vouched) == 1 and given.keys() <= set(vouched):
        return kind.converse.begin(said, str(given[vouched[0]]))
    if not (field := text_field(kind)):
        raise InvalidInput(f"A {kind.name} is no talk.", field="input", hint="Send its payload as the input.")
    return Opening({**given, field: "\n\n".join(said)})


def spoken(lines: list[Line]) -> Iterator[str]:
    """What people said of it."""
    return (each.text for each in lines if each.type == "human")
