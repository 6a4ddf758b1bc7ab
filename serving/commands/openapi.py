"""`countersign openapi` and `countersign api-diff`: what the API is, and which changes of it break clients."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import click

from core.errors import InvalidInput

_file = click.Path(path_type=Path, dir_okay=False)
_existing = click.Path(path_type=Path, dir_okay=False, exists=True)


@cache
def text() -> str:
    """The OpenAPI document of this version, as it is committed."""
    from serving.api.app import routed

    return json.dumps(routed().openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


@click.command()
@click.option("--write", type=_file, help="Write it to this file.")
@click.option("--check", type=_existing, help="Say whether this file has it; exit 1 if not.")
def openapi(write: Path | None, check: Path | None) -> None:
    """Print the OpenAPI document of the API.

    \b
    Examples:
      countersign openapi --check docs/openapi.json
      countersign openapi --write docs/openapi.json
    """
    present = text()
    if write is not None:
        write.write_text(present, encoding="utf-8")
    if check is not None and check.read_text(encoding="utf-8") != present:
        click.echo(f"{check} is not what the API is. Write it anew: countersign openapi --write {check}", err=True)
        click.get_current_context().exit(1)
    if write is None and check is None:
        click.echo(present, nl=False)


@click.command("api-diff")
@click.argument("old", type=_existing)
@click.argument("new", type=_existing, required=False)
def api_diff(old: Path, new: Path | None) -> None:
    """Say which differences from the API in OLD to the one in NEW break clients of OLD. Without NEW: to this version's.

    Exit 0: none does. 1: each stands on a line of its own.

    \b
    Example:  countersign api-diff docs/openapi.json
    """
    from serving.api.compatible import breaks

    found = breaks(_read(old), _read(new) if new is not None else json.loads(text()))
    for line in found:
        click.echo(line)
    if found:
        click.get_current_context().exit(1)
    click.echo("No client breaks.")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInput(f"{path} is no JSON: {error}.", hint="Give the file of an OpenAPI document.") from error
    if not isinstance(found, dict) or "paths" not in found:
        raise InvalidInput(f"{path} is no OpenAPI document.", hint="countersign openapi prints one.")
    return found
