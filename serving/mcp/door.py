"""`/mcp` of the API: streamable HTTP for MCP clients, with the same tokens and roles as every other route.

Each request stands alone, so any of several API processes answers it. A page in a browser can't reach it under a name
of its own (DNS rebinding): only hosts and origins that the settings name are answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request, Response
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.types import Receive, Scope, Send

from core.errors import CountersignError, Forbidden
from core.mcp_settings import McpSettings
from serving.api.deps import Caller
from serving.api.limits import BODY_LIMIT
from serving.house import House
from serving.mcp.server import PERSON, make_server

router = APIRouter(tags=["mcp"])

_HERE = ("127.0.0.1", "localhost", "[::1]")


class _Closed(CountersignError):
    status = 503
    title = "Not open"


class Door:
    def __init__(self, house: House) -> None:
        allowed = _allowed(house.settings.mcp)
        self.guard = TransportSecurityMiddleware(allowed)
        self._manager = StreamableHTTPSessionManager(
            make_server(house), stateless=True, security_settings=allowed, max_request_body_size=BODY_LIMIT
        )
        self.is_open = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Once, around the server's life: requests run in here."""
        ready, stop = asyncio.Event(), asyncio.Event()
        # The manager has to be left by the task that entered it; who opens a door may be closed by another.
        keeper = asyncio.create_task(self._keep(ready, stop))
        await asyncio.wait({keeper, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        try:
            yield
        finally:
            stop.set()
            await keeper

    async def _keep(self, ready: asyncio.Event, stop: asyncio.Event) -> None:
        async with self._manager.run():
            self.is_open = True
            ready.set()
            try:
                await stop.wait()
            finally:
                self.is_open = False

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._manager.handle_request(scope, receive, send)


class _HandedOver(Response):
    """The rest of the request is the MCP server's."""

    def __init__(self, door: Door) -> None:
        self.background = None
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._door.answer(scope, receive, send)


@asynccontextmanager
async def opened(app: FastAPI) -> AsyncIterator[None]:
    """The door of an application with a house behind it."""
    door = app.state.mcp = Door(app.state.house)
    async with door.open():
        yield


@router.post("/mcp", include_in_schema=False)
async def mcp(request: Request, person: Caller) -> Response:
    door: Door | None = getattr(request.app.state, "mcp", None)
    if door is None or not door.is_open:
        raise _Closed("MCP is not served here.", hint="Start the server with 'countersign up' or 'countersign api'.")
    if await door.guard.validate_request(request) is not None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin", "")
        raise Forbidden(
            f"MCP is not served under '{(origin or host)[:100]}'.",
            hint="An operator names hosts in COUNTERSIGN_MCP__HOSTS, and origins of pages in COUNTERSIGN_MCP__ORIGINS.",
        )
    request.scope[PERSON] = person
    return _HandedOver(door)


def _allowed(settings: McpSettings) -> TransportSecuritySettings:
    hosts = [*_HERE, *settings.hosts]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[form for host in hosts for form in (host, f"{host}:*")],
        allowed_origins=[
            *(f"http://{host}{port}" for host in _HERE for port in ("", ":*")),
            *settings.origins,
        ],
    )
