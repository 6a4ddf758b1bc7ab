"""`countersign privacy`: what is kept about a person, handed out or erased."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from core.console import echo_json
from core.settings import Settings, load_settings
from engine.erasure import PersonData
from engine.housekeeping import Housekeeper, Terms
from graphs.pruning import pruner
from serving.commands.housekeeping import _beside
from serving.house import owner
from serving.local import write_private

_data = click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the settings' one]")


@contextmanager
def _at_hand(settings: Settings) -> Iterator[PersonData]:
    with _beside(settings) as storage:
        terms = Terms.of(settings.engine, settings.retention)
        keeper = Housekeeper(storage.database, pruner(storage.saver), settings.data / "attachments", terms)
        yield PersonData(storage.database, keeper)


def _settings(data: Path | None) -> Settings:
    return load_settings(**({"data": data} if data else {}))


@click.group()
def privacy() -> None:
    """What is kept about a person: hand it out, or erase it. SUBJECT is whom cases are about, such as a customer's id.

    \b
    Example:
      countersign privacy export cus_000056 --out cus_000056.json
      countersign privacy erase cus_000056
    """


@privacy.command("export")
@click.argument("subject")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A file that only you can read.")
@_data
def export(subject: str, out: Path | None, data: Path | None) -> None:
    """All that the cases about SUBJECT hold, as JSON: requests, actions, decisions, votes, traces.

    \b
    Example:  countersign privacy export cus_000056 --out cus_000056.json
    """
    settings = _settings(data)
    with _at_hand(settings) as desk:
        told = asyncio.run(desk.export(owner(settings), subject))
    if out is None:
        echo_json(told)
    else:
        write_private(out, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
        click.echo(f"{len(told['cases']):,} cases in {out}.")


@privacy.command("erase")
@click.argument("subject")
@click.option("--yes", is_flag=True, help="Don't ask.")
@_data
def erase(subject: str, yes: bool, data: Path | None) -> None:
    """Destroy the keys of all cases about SUBJECT, and delete what need not stay. Nobody can take it back.

    Refused while one of them is open, is asked about, or has an effect of which nobody knows what came. Figures, costs
    and the audit chain stay. What the shop, other systems and backups hold is erased there.

    \b
    Example:  countersign privacy erase cus_000056 --yes
    """
    settings = _settings(data)
    if not yes:
        click.confirm(f"Erase what is kept about {subject}, for ever?", abort=True)
    with _at_hand(settings) as desk:
        done = asyncio.run(desk.erase(owner(settings), subject))
    for what, many in done.items():
        click.echo(f"{many:>10,} {what}")
    click.echo("It is erased." if done else "There was nothing left to erase.")
    if done:
        click.echo("Erase it in the shop too. For backups see docs/data-protection.md.", err=True)
