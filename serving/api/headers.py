"""What every answer carries for browsers, which hosts and pages are answered, and no token in an address."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from urllib.parse import unquote_plus

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.access_settings import ServerSettings
from core.errors import CountersignError, Unauthenticated, WrongHost
from serving.api.errors import problem

_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""No answer is a page: whatever stands in one, a browser runs and loads nothing of it."""
_CDN = "https://cdn.jsdelivr.net"
_DOCS = (
    f"default-src 'none'; script-src {_CDN} 'unsafe-inline'; style-src {_CDN} 'unsafe-inline'; "
    "img-src 'self' data: https://fastapi.tiangolo.com; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_YEAR_S = 31_536_000
_ASKED = ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "Prefer"]
_TOLD = ["Content-Location", "ETag", "Idempotency-Replayed", "Location", "Retry-After", "X-Pagination-Total"]
_TOKEN = re.compile(
    r"(?:^|&)(?:access_token|id_token|api[_-]?key|x-api-key)=|=(?:cs_[\w-]{40}|eyJ[\w-]+\.[\w-]+\.)", re.IGNORECASE
)


def install(app: FastAPI, settings: ServerSettings) -> None:
    """Added last: the first to see a request, and the last to see its answer."""
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[*_ASKED, "X-Api-Key", "X-Session-Id"],
            expose_headers=_TOLD,
            allow_credentials=False,  # tokens are sent by hand: no cookie opens anything
            max_age=600,
        )
    app.add_middleware(Guarded, hosts=settings.hosts)


class Guarded:
    def __init__(self, app: ASGIApp, hosts: list[str]) -> None:
        self._app = app
        self._hosts = [each.lower() for each in hosts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(MutableHeaders(scope=message), scope)
            await send(message)

        if (no := self._refused(scope)) is not None:
            await problem(no)(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _refused(self, scope: Scope) -> CountersignError | None:
        if self._hosts and scope["path"] != "/ok":  # whoever asks whether it lives may know it by its address alone
            host = _name(dict(scope["headers"]).get(b"host", b"").decode("latin-1"))
            if not any(fnmatchcase(host, each) for each in self._hosts):
                return WrongHost(
                    "There is no server of that name here.", hint="It answers to COUNTERSIGN_SERVER__HOSTS."
                )
        query = scope["query_string"]
        if query and _TOKEN.search(unquote_plus(query.decode("latin-1"))):
            return Unauthenticated(
                "A token in an address is seen by everybody on its way, and kept in logs.",
                hint="Revoke it. Send the header 'Authorization: Bearer TOKEN'.",
            )
        return None


def _name(host: str) -> str:
    """Without the port."""
    return (host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]).lower().rstrip(".")


def _add(headers: MutableHeaders, scope: Scope) -> None:
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Content-Security-Policy", _DOCS if scope["path"] == "/docs" else _NOTHING)
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "no-referrer"
    if scope["scheme"] == "https":
        headers["Strict-Transport-Security"] = f"max-age={_YEAR_S}"
