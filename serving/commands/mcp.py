"""`countersign mcp`: this house for an MCP client by standard input and output; and the tools of others, accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.console import echo_json
from core.errors import NotFound, ProviderUnavailable
from core.mcp_settings import OutsideServerSettings
from core.settings import Settings, load_settings
from serving.local import local_connection

if TYPE_CHECKING:
    from tools.mcp.standing import Standing

_data = click.option(
    "--data", type=click.Path(path_type=Path), help="Data folder of the server.  [default: the settings' one]"
)


@click.group(invoke_without_command=True)
@_data
@click.pass_context
def mcp(context: click.Context, data: Path | None) -> None:
    """Speak MCP with a client by standard input and output, as you, through a running server.

    The client starts it as a command; it talks to the server with your token, as the desk does. A client that speaks
    HTTP goes to /mcp of the server itself. The tools of other MCP servers are looked at and accepted by the commands
    below.

    \b
    Example:  countersign mcp
    as a client's settings name it:
      {"mcpServers": {"countersign": {"command": "countersign", "args": ["mcp"]}}}
    """
    if context.invoked_subcommand is not None:
        context.obj = data
        return
    from serving.mcp.bridge import bridge, check

    url, token = local_connection(data or load_settings().data)
    check(url.rstrip("/"), token)
    asyncio.run(bridge(url.rstrip("/"), token))


def _settings(data: Path | None) -> Settings:
    return load_settings(**({"data": data} if data else {}))


@mcp.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.pass_obj
def tools(data: Path | None, as_json: bool) -> None:
    """List the tools of other MCP servers that the settings name: accepted, new, changed, gone.

    Exits 1 where an agent does not have one of them as the settings want it.

    \b
    Example:  countersign mcp tools
    """
    settings = _settings(data)
    found = asyncio.run(_looked(settings, settings.mcp.servers))
    rows = [
        {
            "tool": f"{name}.{tool}",
            "standing": standing.word(tool),
            "effect": wanted.effect,
            "kinds": list(settings.mcp.servers[name].kinds),
        }
        for name, standing in found.items()
        for tool, wanted in settings.mcp.servers[name].tools.items()
    ]
    unfit = [each for standing in found.values() for each in standing.unfit]
    away = [f"{name}: {standing.away}" for name, standing in found.items() if standing.away]
    if as_json:
        echo_json({"tools": rows, "problems": [*unfit, *away]})
    else:
        for row in rows:
            click.echo(f"{row['standing']:9} {row['effect']:12} {row['tool']}")
        for line in (*unfit, *away):
            click.echo(line, err=True)
        if not rows:
            click.echo("The settings name no tools of other MCP servers (mcp.servers).")
    if unfit or any(row["standing"] != "accepted" for row in rows):
        raise click.exceptions.Exit(1)


async def _looked(settings: Settings, servers: Mapping[str, OutsideServerSettings]) -> dict[str, Standing]:
    if not servers:
        return {}
    from tools.mcp.standing import look

    each = await asyncio.gather(*(look(settings.data, name, server) for name, server in servers.items()))
    return dict(zip(servers, each, strict=True))


@mcp.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
def accept(data: Path | None, name: str, yes: bool) -> None:
    """Accept the tools of the MCP server NAME as it declares them now; agents have them from the next start on.

    From then on a tool that is declared otherwise is another tool: it is refused until you accept it anew.

    \b
    Example:  countersign mcp accept partner
    """
    settings = _settings(data)
    server = settings.mcp.servers.get(name)
    if server is None:
        there = ", ".join(settings.mcp.servers) or "none"
        raise NotFound(f"The settings name no MCP server '{name[:60]}'.", hint=f"There are: {there}.")
    standing = asyncio.run(_looked(settings, {name: server}))[name]
    if standing.away:
        raise ProviderUnavailable(standing.away, hint="Start it, or correct its address and token.")
    for tool, wanted in server.tools.items():
        click.echo(f"{standing.word(tool)}: {name}.{tool} ({wanted.effect})")
        if tool in standing.now:
            click.echo(_shown(standing.now[tool].model_dump()))
    for line in standing.unfit:
        click.echo(f"It can't be used: {line}", err=True)
    if not yes:
        click.confirm("Accept these?", abort=True)
    from tools.mcp.pins import pin

    settings.data.mkdir(parents=True, exist_ok=True)
    kept = {tool: standing.now[tool] for tool in server.tools if tool in standing.now}
    pin(settings.data, name, server, kept, datetime.now(UTC))
    click.echo(f"Accepted {len(kept)} tools of {name}. Start the house again for agents to have them.")
    if standing.unfit:
        raise click.exceptions.Exit(1)


def _shown(declared: dict[str, Any]) -> str:
    """What the server says of a tool, for an operator to read; no control character of it reaches the terminal."""
    import json

    text = f"{declared['description'][:1000]}\n{json.dumps(declared['input'])[:4000]}"
    clean = "".join(each if each.isprintable() or each == "\n" else "?" for each in text)
    return "\n".join(f"    {line}" for line in clean.splitlines())
