"""On `/v1` a problem document becomes what OpenAI's clients read: `{"error": {message, type, param, code}}`.

It stands before everything else, so that whoever refused a request, be it a route, a limit or the question who it is,
is understood alike.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/v1/"
_PROBLEM = b"application/problem+json"
_TYPES = {401: "authentication_error", 403: "permission_error", 409: "conflict_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key"}


class OpenAiErrors:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        began: Message | None = None
        body = b""

        async def translated(message: Message) -> None:
            nonlocal began, body
            if message["type"] == "http.response.start" and dict(message["headers"]).get(b"content-type") == _PROBLEM:
                began = message
            elif began is None or message["type"] != "http.response.body":
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    start, whole = _translated(began, json.loads(body))
                    await send(start)
                    await send({"type": "http.response.body", "body": whole})

        await self._app(scope, receive, translated)


def error_of(problem: dict[str, Any]) -> dict[str, Any]:
    """A problem document as OpenAI's error object; `code` is the last word of its type."""
    status = int(problem.get("status", 500))
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    code = str(problem.get("code") or _CODES.get(status) or str(problem.get("type", "")).rpartition(":")[2])
    message = f"{problem.get('detail', '')} {problem.get('hint', '')}".strip()
    return {"error": {"message": message, "type": kind, "param": problem.get("field"), "code": code.replace("-", "_")}}


def _translated(began: Message, problem: dict[str, Any]) -> tuple[Message, bytes]:
    body = json.dumps(error_of(problem)).encode()
    status = 400 if began["status"] == 422 else began["status"]
    start: Message = {**began, "status": status, "headers": list(began["headers"])}
    headers = MutableHeaders(raw=start["headers"])
    headers["content-type"] = "application/json"
    headers["content-length"] = str(len(body))
    return start, body
