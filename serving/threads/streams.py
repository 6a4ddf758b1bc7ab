"""The answers of runs: server-sent events that follow the log, and one JSON value at the end.

A stream reads the log at its reader's pace. A reader that takes nothing for a while is cut off, and comes back with
`Last-Event-ID`; the run goes on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.thread_log import END, Event

BEAT_S = 5.0
"""Something is said so often, so that nobody in between takes the line for dead."""
_SLOW_S = 30.0
"""A reader that takes nothing for so long is cut off."""
_ALWAYS = frozenset({"metadata", "error", END})
_MODE_OF = {"messages/partial": "messages", "messages/complete": "messages", "messages/metadata": "messages"}

Gone = Callable[[], Awaitable[None]]


class Following(Response):
    """An answer that is given bit by bit. `gone` is called if the client leaves before its end.

    Its place among the open streams is given back with `held`.
    """

    def __init__(
        self, pieces: AsyncIterator[bytes], kind: str, headers: dict[str, str], held: ExitStack, gone: Gone | None
    ) -> None:
        self._pieces = pieces
        self._held = held
        self._gone = gone
        self.status_code = 200
        self.background = None
        self.media_type = kind
        self.body = b""
        self.init_headers({**headers, "Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await self._give(receive, send)

    async def _give(self, receive: Receive, send: Send) -> None:
        left = False
        await send({"type": "http.response.start", "status": self.status_code, "headers": self._plain()})
        me = asyncio.current_task()
        listening = asyncio.create_task(_left(receive, me))
        try:
            async for piece in self._pieces:
                async with asyncio.timeout(_SLOW_S):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return  # too slow: the connection is closed without an end, and its reader comes back
        except asyncio.CancelledError:
            if not listening.done() or me is None:
                raise
            me.uncancel()  # the client left
            left = True
        finally:
            listening.cancel()
        if left and self._gone is not None:
            await self._gone()

    def _plain(self) -> list[tuple[bytes, bytes]]:
        return [each for each in self.raw_headers if each[0] != b"content-length"]


async def _left(receive: Receive, reader: asyncio.Task[Any] | None) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    if reader is not None:
        reader.cancel()


def event_bytes(event: Event) -> bytes:
    seq, name, data = event
    return f"event: {name}\ndata: {'null' if name == END else data}\nid: {seq}\n\n".encode()


def wanted(name: str, modes: Sequence[str]) -> bool:
    base = name.partition("|")[0]
    if not modes or base in _ALWAYS:
        return True
    return _MODE_OF.get(base, base) in modes or (base == "messages" and "messages-tuple" in modes)


def questions_in(event: Event) -> list[str]:
    """Ids of the open questions that an event tells of."""
    _, name, data = event
    if '"__interrupt__"' not in data:
        return []
    body = json.loads(data)
    if name == END:
        body = body.get("values")
    asked = body.get("__interrupt__") if isinstance(body, dict) else None
    return [str(each["id"]) for each in asked or () if isinstance(each, dict) and "id" in each]
