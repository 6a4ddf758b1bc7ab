"""The outside tools that the settings name and an operator accepted. Nothing is asked of any server here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from core.errors import SetupError
from core.mcp_settings import McpSettings
from tools.contract import Tool
from tools.mcp.pins import pinned


def accepted_tools(
    wanted: McpSettings, folder: Path, kinds: Collection[str], *, acts: bool
) -> tuple[Mapping[str, list[Tool[Any]]], list[str]]:
    """Each kind's outside tools, and what keeps others away, for operators to read.

    `folder` is the data folder, `acts` says whether this process speaks to the servers. Raises `SetupError`.
    """
    if not wanted.servers:
        return {}, []
    from tools.mcp.tools import outside_tools  # a second of imports, for those who have such servers

    for name, server in wanted.servers.items():
        if unknown := [kind for kind in server.kinds if kind not in kinds]:
            raise SetupError(
                f"mcp.servers.{name}.kinds: there is no kind '{unknown[0][:60]}'.",
                hint=f"There are: {', '.join(sorted(kinds))}.",
            )
        if not acts and server.token.get_secret_value():
            raise SetupError(
                f"A process that has an executor act for it holds no credentials of {name}.",
                hint=f"Give the token of mcp.servers.{name} to 'countersign executor' alone, and unset it here.",
            )
    accepted = {name: pinned(folder, name, server) for name, server in wanted.servers.items()}
    return outside_tools(wanted.servers, accepted, acts=acts)


def belts_with(
    own: Mapping[str, list[Tool[Any]]], outside: Mapping[str, list[Tool[Any]]]
) -> Mapping[str, list[Tool[Any]]]:
    """The tools of each kind with its outside ones. Raises `SetupError` where a name is taken."""
    taken = {tool.spec.name for tools in own.values() for tool in tools}
    for tools in outside.values():
        for tool in tools:
            if tool.spec.name in taken:
                raise SetupError(
                    f"{tool.spec.name} is the name of a tool of the house.", hint="Call the MCP server something else."
                )
    return {kind: [*tools, *outside.get(kind, ())] for kind, tools in own.items()}
