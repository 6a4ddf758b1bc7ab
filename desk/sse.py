"""Server-sent events, read line by line as the WHATWG's HTML standard says (section 9.2.6)."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One event. A comment, which servers send to show that they live, has the event name `:`."""

    event: str = "message"
    data: str = ""
    id: str = ""


async def messages(lines: AsyncIterable[str]) -> AsyncIterator[Message]:
    """The events in a stream of lines without their ends; an event that was cut off is not given."""
    event, last_id = "", ""
    data: list[str] = []
    async for line in lines:
        if not line:
            if data:
                yield Message(event or "message", "\n".join(data), last_id)
            event = ""
            data.clear()
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                yield Message(":", value)
            case "event":
                event = value
            case "data":
                data.append(value)
            case "id" if "\0" not in value:
                last_id = value
            case _:
                pass
