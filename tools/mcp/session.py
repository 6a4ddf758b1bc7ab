"""One conversation with an outside MCP server: connect, see what it declares, call once, leave.

Nothing is kept open between calls, so nothing has to be found out about a connection that may be dead. What the server
sends is bounded; what it asks for (a model, a person, files) it does not get.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, CallToolResult, Implementation

from core.actions import JSON
from core.addresses import check_address
from core.errors import ProviderUnavailable
from core.mcp_settings import OutsideServerSettings
from tools.mcp.pins import Declared
from tools.mcp.stdio import bounded_program

MOST_BYTES = 1_000_000
"""Of one answer of the server."""
_MOST_PAGES = 20
_CONNECT_S = 10.0
"""To connect, and to see what is declared."""
_NOT_RUN = (INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND)
"""Protocol errors that say: the call was not even begun."""


@dataclass(frozen=True)
class Answered:
    """How a call went, as far as can be told from here."""

    result: CallToolResult | None = None
    refused: str = ""
    """The protocol's own refusal: the call was not begun."""
    lost: str = ""
    """It was sent, and nobody knows what came of it."""
    changed: bool = False
    """The server declares another tool than was accepted; nothing was sent."""


async def declared(server: OutsideServerSettings) -> dict[str, Declared]:
    """What it declares now. Raises `ProviderUnavailable`, `SetupError`."""
    found: dict[str, Declared] = {}
    problem = ""
    try:
        async with asyncio.timeout(_CONNECT_S), _connected(server, _CONNECT_S) as client:
            found = await _listed(client)
    except Exception as error:  # noqa: BLE001 - whatever the transport or the other side did
        problem = _why(error)
    if problem and not found:
        raise ProviderUnavailable(f"The MCP server does not answer: {problem}.", hint="Is it running? Is it this one?")
    return found


async def call(
    server: OutsideServerSettings, accepted: Declared, args: Mapping[str, JSON], timeout_s: float
) -> Answered:
    """Calls a tool once, if it is still what was accepted. Raises `ProviderUnavailable` where nothing was sent."""
    answered, began, problem = None, False, ""
    try:
        async with asyncio.timeout(_CONNECT_S + timeout_s), _connected(server, timeout_s) as client:
            async with asyncio.timeout(_CONNECT_S):
                now = (await _listed(client)).get(accepted.name)
            if now != accepted:
                answered = Answered(changed=True)
            else:
                began = True
                answered = await _asked(client, accepted.name, dict(args), timeout_s)
    except Exception as error:  # noqa: BLE001 - whatever the transport or the other side did, told by how far it came
        problem = _why(error)
    if answered is not None:
        return answered
    if began:
        return Answered(lost=problem)
    raise ProviderUnavailable(f"The MCP server does not answer: {problem}.", hint="It is tried again later.")


async def _asked(client: Client, tool: str, args: dict[str, JSON], timeout_s: float) -> Answered:
    try:
        return Answered(result=await client.call_tool(tool, args, read_timeout_seconds=timeout_s))
    except MCPError as error:
        if error.code in _NOT_RUN:
            return Answered(refused=error.message[:500])
        return Answered(lost=error.message[:500])


async def _listed(client: Client) -> dict[str, Declared]:
    found: dict[str, Declared] = {}
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            found[tool.name] = Declared(
                name=tool.name,
                description=tool.description or "",
                input=tool.input_schema,
                output=tool.output_schema,
            )
        if not (cursor := page.next_cursor):
            break
    return found


@asynccontextmanager
async def _connected(server: OutsideServerSettings, timeout_s: float) -> AsyncIterator[Client]:
    token = server.token.get_secret_value()
    async with AsyncExitStack() as stack:
        if server.url:
            check_address(server.url, token)
            http = httpx2.AsyncClient(
                headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {}),
                timeout=httpx2.Timeout(timeout_s, connect=5.0),
                transport=_Bounded(),
            )
            await stack.enter_async_context(http)
            way = streamable_http_client(server.url, http_client=http, max_sse_event_size=MOST_BYTES)
        else:
            env = {"MCP_TOKEN": token} if token else {}
            way = bounded_program(server.command, env, 2 * MOST_BYTES)
        us = Implementation(name="countersign", version="1")
        yield await stack.enter_async_context(Client(way, read_timeout_seconds=timeout_s, client_info=us, cache=None))


class _Bounded(httpx2.AsyncHTTPTransport):
    """Cuts an answer off that is too large, before it is all in memory. No proxy of the environment is asked.

    What comes compressed is not taken: a thousand times as much may be in it.
    """

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
            await response.aclose()
            raise httpx2.ReadError("it answered compressed, though it was asked not to")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Counted(response.stream)
        return response


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        taken = 0
        async for piece in self._stream:
            taken += len(piece)
            if taken > 2 * MOST_BYTES:
                raise httpx2.ReadError(f"it answered more than {2 * MOST_BYTES:,} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _why(error: BaseException) -> str:
    """The innermost reason, in words for people; never more than a line of it."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    told = str(error).splitlines()[0][:200] if str(error).strip() else ""
    return told or type(error).__name__
