"""Whoever is shut out hears nothing more: answers that go on for long are asked again whether their reader may come in.

It holds for every surface alike. What ends here can be taken up again, by whoever may.
"""

from __future__ import annotations

import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import CountersignError, Unauthenticated
from serving.auth.door import Door, token_in


class StillWelcome:
    def __init__(self, app: ASGIApp, every_s: float) -> None:
        self._app = app
        self._every_s = every_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _token(scope)
        if not token:
            await self._app(scope, receive, send)
            return
        door: Door = scope["app"].state.door
        asked, shut = time.monotonic(), False

        async def checked(message: Message) -> None:
            nonlocal asked, shut
            if shut:
                return  # what is sent by an answer that was ended goes nowhere
            if message.get("more_body") and time.monotonic() - asked >= self._every_s:
                asked = time.monotonic()
                shut = not await _welcome(door, token)
                if shut:  # the server takes this for its end, and tells the application that its reader is gone
                    message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self._app(scope, receive, checked)


async def _welcome(door: Door, token: str) -> bool:
    try:
        await door.who(token)
    except Unauthenticated:
        return False
    except CountersignError:
        return True  # nobody could say: whoever was let in goes on until somebody can
    return True


def _token(scope: Scope) -> str:
    if scope["type"] != "http":
        return ""
    try:
        return token_in(Headers(scope=scope))
    except Unauthenticated:
        return ""
