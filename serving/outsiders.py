"""What the doctor says of MCP servers that belong to somebody else: whether they answer, and are what was accepted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from core.settings import Settings
from serving.symptoms import Line, fail, ok, warn

if TYPE_CHECKING:
    from tools.mcp.standing import Standing


async def outsiders(settings: Settings) -> list[Line]:
    servers = settings.mcp.servers
    if not servers:
        return [ok("mcp", "no tools of other servers")]
    if settings.executor.url:
        return [ok("mcp", "the executor speaks to the servers of others")]
    from tools.mcp.standing import look  # heavy: only who has such servers needs it

    found = await asyncio.gather(*(look(settings.data, name, server) for name, server in servers.items()))
    return [
        line
        for (name, server), standing in zip(servers.items(), found, strict=True)
        for line in _of(name, list(server.tools), standing)
    ]


def _of(name: str, tools: list[str], standing: Standing) -> list[Line]:
    lines = []
    if standing.away:
        lines.append(fail("mcp", f"{name}: {standing.away}", "Start it, or correct its address and token."))
    for tool in tools:
        match standing.word(tool):
            case "accepted":
                lines.append(ok("mcp", f"{name}.{tool} was accepted"))
            case "changed":
                do = f"Every call of it is refused. Look at it: countersign mcp accept {name}"
                lines.append(fail("mcp", f"{name}.{tool} is declared otherwise than was accepted", do))
            case "gone":
                lines.append(fail("mcp", f"{name} has no tool {tool} any more", "Take it out of the settings."))
            case _:
                do = f"Look at it: countersign mcp accept {name}"
                lines.append(warn("mcp", f"{name}.{tool} was never accepted, so no agent has it", do))
    return lines + [fail("mcp", each, "Leave the tool out.") for each in standing.unfit]
