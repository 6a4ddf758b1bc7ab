"""The `countersign` command. Its groups are imported when they are called, so that `--help` is instant."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from core.errors import CountersignError, InvalidInput, PolicyInvalid

GROUPED: dict[str, dict[str, tuple[str, str]]] = {
    "Every day": {
        "demo": ("serving.demo.command:demo", "Run 200 returns of a generated world through the house."),
        "submit": ("serving.commands.cases:submit", "Open a case."),
        "cases": ("serving.commands.cases:cases", "List cases, or show one."),
        "desk": ("desk.command:desk", "Decide what waits for people."),
    },
    "Run the house": {
        "up": ("serving.main:up", "Run everything in one process."),
        "api": ("serving.main:api", "Serve the API alone, beside workers."),
        "worker": ("serving.main:worker", "Run segments alone, as one of many workers."),
        "executor": ("serving.executor.command:executor", "Carry out effects alone, for workers without credentials."),
        "doctor": ("serving.commands.doctor:doctor", "Look whether everything is there and well, and what to do."),
        "workers": ("serving.commands.workers:workers", "List who is at work."),
        "releases": ("serving.commands.releases:releases", "Say what becomes of waiting cases at a deployment."),
        "housekeeping": ("serving.commands.housekeeping:housekeeping", "Cut what no case needs; see what takes room."),
        "migrate": ("serving.commands.migrate:migrate", "Bring the databases to this version."),
        "roles": ("serving.commands.roles:roles", "Give each process its part of a PostgreSQL server."),
    },
    "Who gets in, and what is kept about people": {
        "people": ("serving.commands.people:people", "People, their roles and tokens."),
        "token": ("serving.commands.token:token", "Your tokens, and those of service accounts."),
        "keys": ("serving.commands.keys:keys", "The keys that personal data is sealed under."),
        "privacy": ("serving.commands.privacy:privacy", "What is kept about a person: hand it out, or erase it."),
    },
    "Policy and proof": {
        "policy": ("policies.commands.group:policy", "Write, prove, try and publish policy."),
        "audit": ("serving.commands.audit:audit", "Verify the audit chain and check the books against the provider."),
        "evals": ("evals.command:evals", "Run offline suites."),
    },
    "Other systems": {
        "events": ("serving.commands.events:events", "Send events, read what is published, print what they look like."),
        "mcp": ("serving.commands.mcp:mcp", "Speak MCP with a client; accept the tools of other MCP servers."),
        "openapi": ("serving.commands.openapi:openapi", "Print what the API is, or hold a file to it."),
        "api-diff": ("serving.commands.openapi:api_diff", "Say which changes of the API break clients."),
    },
    "The world that stands for the outside": {
        "shop": ("tools.fulfillment.command:shop", "Serve the embedded shop over HTTP."),
        "world": ("tools.returns.simulated.command:world", "Generate worlds of orders and letters."),
    },
}
"""As `countersign --help` shows them."""
COMMANDS = {name: each for group in GROUPED.values() for name, each in group.items()}


class Lazy(click.Group):
    """A group that imports a command when it is called. `tables`: heading, name, (`module:attribute`, a line of help).

    A command may so live on any floor: the table names it, and nothing is imported upwards.
    """

    def __init__(self, *args: Any, tables: Mapping[str, Mapping[str, tuple[str, str]]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tables = tables
        self.table = {name: each for table in tables.values() for name, each in table.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, attribute = self.table[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        wide = max(map(len, self.table))
        for heading, table in self.tables.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(wide), about) for name, (_where, about) in table.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        if args and args[0] not in self.table and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], self.table, n=1)
            ctx.fail(f"There is no command '{args[0]}'." + (f" Did you mean {close[0]}?" if close else ""))
        return super().resolve_command(ctx, args)


@click.group(
    cls=Lazy, tables=GROUPED, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="countersign-desk", prog_name="countersign")
def countersign() -> None:
    """Agents act, people countersign.

    \b
    Start with:   countersign demo
    then decide:  countersign demo desk

    Every command has --help with an example.
    """


def report(error: CountersignError) -> int:
    """Says what went wrong and what to do about it; returns the exit code."""
    problems = error.extra.get("problems") if isinstance(error, PolicyInvalid) else None
    for line in problems or []:
        click.echo(str(line), err=True)
    click.secho(f"countersign: {error.detail}", err=True, fg="red", bold=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)
    return 1 if isinstance(error, PolicyInvalid) or (not isinstance(error, InvalidInput) and error.status < 500) else 2


def echo_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def main() -> None:
    """Entry point: every error a person can cause is told in words, with a non-zero exit."""
    try:
        code = countersign.main(standalone_mode=False)  # click gives `Exit`'s code back here
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except CountersignError as error:
        sys.exit(report(error))
    except BrokenPipeError:
        sys.exit(0)


if __name__ == "__main__":
    main()
