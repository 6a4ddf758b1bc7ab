"""Refuses a body before it is read whole: by its announced length, and while it comes in."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import TooLarge
from serving.api.errors import problem

BODY_LIMIT = 1_000_000
FILE_LIMIT = 8_000_000
"""Bytes of one attachment."""


class BodyLimit:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = FILE_LIMIT if scope["path"] == "/api/v1/attachments" else BODY_LIMIT
        answer = problem(TooLarge(f"The body is larger than {limit:,} bytes.", hint="Send less."))
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > limit:
            await answer(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise TooLarge(f"The body is larger than {limit:,} bytes.", hint="Send less.")
            return message

        await self._app(scope, counted, send)
