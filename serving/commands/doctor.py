"""`countersign doctor`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from core.console import echo_json
from core.errors import SetupError
from core.settings import load_settings
from serving.doctor import examine
from serving.symptoms import Line, State

_COLOURS = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the settings' one]")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option(
    "--within", type=click.FloatRange(0.1, 60), default=5.0, show_default=True, help="Seconds that others may take."
)
@click.pass_context
def doctor(context: click.Context, data: Path | None, as_json: bool, within: float) -> None:
    """Look whether everything that the house needs is there and well, and say what to do where it is not.

    Works beside a running server, and before there is one. Changes nothing. Exit code 1 if something fails.

    \b
    Example:  countersign doctor --json
    """
    try:
        lines = asyncio.run(examine(load_settings(**({"data": data} if data else {})), within))
    except SetupError as error:
        lines = [Line("settings", State.FAIL, error.detail, error.hint)]
    ill = any(line.state is State.FAIL for line in lines)
    if as_json:
        echo_json({"well": not ill, "lines": [line._asdict() for line in lines]})
    else:
        _show(lines)
    context.exit(1 if ill else 0)


def _show(lines: list[Line]) -> None:
    wide = max(len(line.part) for line in lines)
    before = ""
    for line in lines:
        part, before = "" if line.part == before else line.part, line.part
        click.echo(f"{click.style(f'{line.state:<4}', fg=_COLOURS[line.state])}  {part:<{wide}}  {line.says}")
        if line.do:
            click.echo(f"{'':<{wide + 8}}→ {line.do}")
    many = {state: sum(line.state is state for line in lines) for state in State}
    if not many[State.WARN] + many[State.FAIL]:
        click.echo("All is well.")
    else:
        click.echo(f"{many[State.FAIL]} to mend, {many[State.WARN]} to look at.")
