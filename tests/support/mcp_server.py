"""An outside MCP server for stories: another party's tools, over HTTP in this process, with its own record of calls."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.types import CallToolResult, ListToolsResult, TextContent, Tool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

TOKEN = "partner-secret"


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


@dataclass
class Partner:
    """What the other party has, does and remembers."""

    tools: dict[str, Tool] = field(default_factory=dict)
    answers: dict[str, Callable[[dict[str, Any]], CallToolResult]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""
    dies_on: str = ""
    """A call of this tool is done, and its answer never comes: the connection is cut."""
    _server: uvicorn.Server | None = None

    def has(
        self, name: str, takes: dict[str, Any], answer: Callable[[dict[str, Any]], Any], about: str = "A tool."
    ) -> None:
        self.tools[name] = Tool(name=name, description=about, input_schema=takes)

        def answered(args: dict[str, Any]) -> CallToolResult:
            found = answer(args)
            if isinstance(found, CallToolResult):
                return found
            return CallToolResult(content=[TextContent(text=str(found))], structured_content=found)

        self.answers[name] = answered

    def done(self, name: str) -> list[dict[str, Any]]:
        return [args for tool, args in self.calls if tool == name]

    def app(self) -> Starlette:
        async def listed(_ctx: Any, _params: Any) -> ListToolsResult:
            return ListToolsResult(tools=list(self.tools.values()))

        async def called(_ctx: Any, params: Any) -> CallToolResult:
            self.calls.append((params.name, dict(params.arguments or {})))
            if params.name == self.dies_on:
                self.die()
                await asyncio.sleep(3600)
            return self.answers[params.name](dict(params.arguments or {}))

        inner = Server("partner", version="1", on_list_tools=listed, on_call_tool=called)
        app = inner.streamable_http_app(stateless_http=True)
        app.add_middleware(_Guarded)
        return app

    def die(self) -> None:
        """As if the process were killed: connections are cut."""
        server = self._server
        assert server is not None
        server.should_exit = server.force_exit = True
        for connection in list(server.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]


class _Guarded:
    """Nobody without the token gets in."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and Request(scope).headers.get("authorization") != f"Bearer {TOKEN}":
            refused: Response = PlainTextResponse("who are you?", 401)
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)


@asynccontextmanager
async def answering(partner: Partner, port: int = 0) -> AsyncIterator[Partner]:
    """On a loopback port until it is left, or dies."""
    sock = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(partner.app(), log_level="critical", lifespan="on", timeout_graceful_shutdown=1)
    server = partner._server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve([sock]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has only a flag
        await asyncio.sleep(0.005)
    partner.url = f"http://127.0.0.1:{sock.getsockname()[1]}/mcp"
    try:
        yield partner
    finally:
        server.should_exit = server.force_exit = True
        await task
        sock.close()


async def _stdio() -> None:
    """`python -m tests.support.mcp_server`: the same by standard input and output, with one tool."""
    from mcp.server.stdio import stdio_server

    echo = Tool(name="echo", input_schema=schema(text={"type": "string"}))

    async def listed(_ctx: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[echo] if os.environ.get("MCP_TOKEN") == TOKEN else [])

    async def called(_ctx: Any, params: Any) -> CallToolResult:
        return CallToolResult(content=[TextContent(text=str(params.arguments))])

    server = Server("partner", version="1", on_list_tools=listed, on_call_tool=called)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(_stdio())
