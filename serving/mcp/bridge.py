"""`countersign mcp`: the MCP server of a running house by standard input and output, for one person's client.

It knows nothing by itself: each request is asked of the house's own /mcp with the person's token, and its answer handed
on. So both ways have the same tools, roles and checks.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import httpx
import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    ReadResourceRequestParams,
    ReadResourceResult,
)

from core.errors import ProviderUnavailable
from core.problems import error_of
from serving.mcp.offer import MOST_WAIT_S

Context = ServerRequestContext[Any, Any]

_PATIENCE_S = MOST_WAIT_S + 30
_PING = {"jsonrpc": "2.0", "id": 0, "method": "ping"}


def check(url: str, token: str) -> None:
    """Whether the house is there and lets the token in to MCP. Raises what it says, or `ProviderUnavailable`."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    try:
        response = httpx.post(f"{url}/mcp", json=_PING, headers=headers, timeout=10)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise ProviderUnavailable(f"{url} does not answer ({error}).", hint="Start it: countersign up.") from error
    if response.is_error:
        problem = response.json() if "json" in response.headers.get("content-type", "") else None
        raise error_of(response.status_code, problem, url)


async def bridge(url: str, token: str) -> None:
    """Until the client closes its end."""
    http = httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {token}"}, timeout=httpx2.Timeout(_PATIENCE_S, connect=5.0)
    )
    async with http, Client(streamable_http_client(f"{url}/mcp", http_client=http), cache=None) as house:
        server = _Handed(house).server()
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())


class _Handed:
    """Each request, handed on. An error of the house comes back as it is."""

    def __init__(self, house: Client) -> None:
        self._house = house

    def server(self) -> Server[Any]:
        return Server(
            "countersign",
            version=version("countersign-desk"),
            title="Countersign",
            instructions=self._house.instructions,
            on_list_tools=self._tools,
            on_call_tool=self._call,
            on_list_resources=self._resources,
            on_list_resource_templates=self._templates,
            on_read_resource=self._read,
        )

    async def _tools(self, _ctx: Context, _params: Any) -> ListToolsResult:
        return await self._house.list_tools()

    async def _call(self, ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        async def on(progress: float, total: float | None, message: str | None) -> None:
            await ctx.session.report_progress(progress, total, message)

        return await self._house.call_tool(params.name, params.arguments or {}, progress_callback=on)

    async def _resources(self, _ctx: Context, _params: Any) -> ListResourcesResult:
        return await self._house.list_resources()

    async def _templates(self, _ctx: Context, _params: Any) -> ListResourceTemplatesResult:
        return await self._house.list_resource_templates()

    async def _read(self, _ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        return await self._house.read_resource(str(params.uri))
