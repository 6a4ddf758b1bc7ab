"""`countersign cases unknown` and `countersign cases compensate`: effects after the fact."""

from __future__ import annotations

from pathlib import Path

import click

from core.console import echo_json
from core.settings import load_settings
from core.wire import Page, UndoView, UnknownEffect
from serving.commands.client import ApiClient
from serving.commands.telling import clean

_data = click.option(
    "--data", type=click.Path(path_type=Path), help="Data folder of the server.  [default: the settings' one]"
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")

_SAYS = {
    "happened": "the provider says that it happened",
    "not_there": "the provider knows nothing of it",
    "cant_tell": "the provider can't be asked",
    "down": "the provider does not answer",
}


@click.command()
@_data
@_as_json
def unknown(data: Path | None, as_json: bool) -> None:
    """List what may or may not have happened at a provider, with what the provider says of it now.

    People with the role operator answer these questions at the desk. The exit code is 1 where there are any.

    \b
    Example:
      countersign cases unknown
    """
    with ApiClient.of(data or load_settings().data) as client:
        found = client.unknown()
    if as_json:
        echo_json(found.model_dump(mode="json"))
    else:
        click.echo("\n".join(_unknown(found)) or "Of every effect it is known what came of it.")
    if found.items:
        raise click.exceptions.Exit(1)


def _unknown(found: Page[UnknownEffect]) -> list[str]:
    lines = []
    for each in found.items:
        asked = f"people are asked: {each.approval}" if each.approval else "nobody is asked any more"
        lines.append(f"{each.case_id}  {each.started_at:%Y-%m-%d %H:%M}  {each.tool}: {clean(each.described)}")
        lines.append(f"  {_SAYS[each.provider_says]}; {asked}; its key is {clean(each.key)}")
        lines += [f"  {clean(each.problem)}"] if each.problem else []
    return lines


@click.command()
@click.argument("case_id", metavar="CASE")
@click.option("--look", is_flag=True, help="Only tell what can be taken back, and where it stands.")
@_data
@_as_json
def compensate(case_id: str, look: bool, data: Path | None, as_json: bool) -> None:
    """Take back what a finished case did, the last effect first. It takes the role operator.

    Each compensation is judged by policy and waits for people where policy asks for them. What can't be taken back
    goes to the desk. Of a case that people cancel this is done without being asked for.

    \b
    Example:
      countersign cases compensate CASE --look
      countersign cases compensate CASE
    """
    with ApiClient.of(data or load_settings().data) as client:
        found = client.compensation(case_id) if look else client.compensate(case_id)
    if as_json:
        echo_json(found.model_dump(mode="json"))
    else:
        click.echo("\n".join(map(_undo, found.items)) or "This case did nothing that can be taken back.")


def _undo(each: UndoView) -> str:
    by = f" by {each.by}" if each.by else ""
    why = f" ({clean(each.why)})" if each.why else ""
    return f"{each.standing.replace('_', ' '):12}  {each.tool}: {clean(each.described)}{by}{why}"
