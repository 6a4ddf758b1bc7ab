"""`countersign releases`: what a deployment alters for cases that wait, and what becomes of them.

It looks at the records themselves, beside whatever runs on them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from core.console import echo_json
from core.errors import CountersignError, InvalidInput
from core.settings import Settings, load_settings
from engine import releases as deployed
from engine.releases import PARTS, Altered
from ledger.tables import SYSTEM
from serving.commands.ledger_access import opened

if TYPE_CHECKING:
    from ledger.database import Database, Ledger

_data = click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the settings' one]")
_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
_ME = os.environ.get("USER") or "local"


@contextmanager
def _records(data: Path | None) -> Iterator[tuple[Settings, Database]]:
    settings = load_settings(**({"data": data} if data else {}))
    with opened(data) as database:
        yield settings, database


@click.group()
def releases() -> None:
    """What a deployment alters for the cases that wait, and what becomes of them.

    Each segment notes what it ran with. A case goes on under whatever there is when it goes on, unless you hold it, or
    have it finished by workers of the release that it ran with. Policy is not chosen here: whichever release goes on
    with a case, its actions are decided by the policy in force then.

    \b
    Example:
      countersign releases changes
      countersign releases finish-old --altered --part graph
    """


_part = click.option("--part", "wanted", multiple=True, type=click.Choice(PARTS), help="Only where this part changed.")
_kind = click.option("--kind", help="Only cases of this kind.")
_altered = click.option("--altered", is_flag=True, help="All that 'countersign releases changes' lists.")
_cases = click.argument("cases", nargs=-1, metavar="[CASE]...")


@releases.command("changes")
@_part
@_kind
@_data
@_as_json
def changes(wanted: tuple[str, ...], kind: str | None, data: Path | None, as_json: bool) -> None:
    """List the waiting cases that the graph, prompt, model or policy of this installation alters, and since when.

    What is compared is what is installed and set here: run it with a new release's settings before you deploy that, and
    "not at work yet" says that no worker has begun with it. Exit 1 if there are any.

    \b
    Example:  countersign releases changes --part policy --json
    """
    with _records(data) as (settings, database):
        found = _changed(settings, database, wanted, kind)
        lease = timedelta(seconds=settings.engine.lease_s)
        stranded = database.transact(SYSTEM, lambda ledger: _stranded(ledger, found, lease), writes=False)
    if as_json:
        echo_json([each.model_dump(mode="json") for each in found])
    else:
        for each in found:
            parts = ", ".join(f"{part} ({_when(since)})" for part, since in each.changed.items())
            click.echo(f"{each.case_id}  {each.kind}  {each.status}  {parts}{_standing(each)}")
        click.echo(f"{len(found)} cases would go on under something else than they ran with.", err=True)
    for release in stranded:
        click.echo(f"Cases wait for release {release}, and no worker of it is alive.", err=True)
    if found:
        click.get_current_context().exit(1)


def _when(since: datetime | None) -> str:
    return f"since {since:%Y-%m-%d %H:%M}" if since else "not at work yet"


def _standing(case: Altered) -> str:
    if case.held:
        return f"  held: {case.held}"
    return f"  only by {case.only_release}" if case.only_release else ""


@releases.command("hold")
@_cases
@_altered
@_part
@_kind
@click.option("--why", default="", help="For whoever sees it held.")
@_data
def hold(
    cases: tuple[str, ...], altered: bool, wanted: tuple[str, ...], kind: str | None, why: str, data: Path | None
) -> None:
    """Hold cases back: they take up nothing until they are let go. People may decide, and may cancel them.

    \b
    Example:  countersign releases hold --altered --why "New prompt under review"
    """
    _each(data, cases, altered, wanted, kind, lambda ledger, case: deployed.hold(ledger, case, why, _ME), "held")


@releases.command("migrate")
@_cases
@_altered
@_part
@_kind
@_data
def migrate(
    cases: tuple[str, ...], altered: bool, wanted: tuple[str, ...], kind: str | None, data: Path | None
) -> None:
    """Let cases that were held, or bound to a release, go on under what there is now; all others do so anyway.

    \b
    Example:  countersign releases migrate case_01k3…
    """
    _each(data, cases, altered, wanted, kind, lambda ledger, case: deployed.migrate(ledger, case, _ME), "let go")


@releases.command("finish-old")
@_cases
@_altered
@_part
@_kind
@_data
def finish_old(
    cases: tuple[str, ...], altered: bool, wanted: tuple[str, ...], kind: str | None, data: Path | None
) -> None:
    """Have cases finished by workers of the release that they ran with, and by no others.

    Graph, prompt and model are those of that release; policy is always the one in force. Keep a worker of it running
    (COUNTERSIGN_ENGINE__RELEASE names its release) until they are through. Exit 1 if none is alive: they wait.

    \b
    Example:  countersign releases finish-old --altered --part graph
    """
    bound: set[str] = set()

    def bind(ledger: Ledger, case: str) -> None:
        bound.add(deployed.finish_old(ledger, case, _ME))

    _each(data, cases, altered, wanted, kind, bind, "bound to the release that they ran with")
    with _records(data) as (settings, database):
        lease = timedelta(seconds=settings.engine.lease_s)
        alive = database.transact(
            SYSTEM, lambda ledger: {each: deployed.at_work(ledger, each, lease) for each in sorted(bound)}, writes=False
        )
    for release, names in alive.items():
        if names:
            click.echo(f"Release {release} is at work: {', '.join(names)}.", err=True)
        else:
            click.echo(f"No worker of release {release} is alive: its cases wait until one is started.", err=True)
    if not all(alive.values()):
        click.get_current_context().exit(1)


def _each(
    data: Path | None,
    cases: tuple[str, ...],
    altered: bool,
    wanted: tuple[str, ...],
    kind: str | None,
    work: Callable[[Ledger, str], None],
    said: str,
) -> None:
    """Does it to each case, in a transaction of its own. One that is over meanwhile is told, and holds up no other."""
    if bool(cases) == altered:
        raise InvalidInput(
            "Name cases, or say --altered, not both.", field="cases", hint="'countersign releases changes' lists them."
        )
    done = 0
    with _records(data) as (settings, database):
        names = list(cases) or [each.case_id for each in _changed(settings, database, wanted, kind)]
        for name in names:
            try:
                home = database.transact(SYSTEM, partial(_home, case_id=name), writes=False)
                database.transact(home, partial(_do, work=work, case_id=name))
                done += 1
            except CountersignError as error:
                if not altered:
                    raise
                click.echo(f"{name}: {error.detail}", err=True)
    click.echo(f"{done} case{'' if done == 1 else 's'} {said}.")


def _home(ledger: Ledger, case_id: str) -> str:
    return ledger.cases.get(case_id).workspace


def _do(ledger: Ledger, work: Callable[[Ledger, str], None], case_id: str) -> None:
    work(ledger, case_id)


def _changed(settings: Settings, database: Database, wanted: tuple[str, ...], kind: str | None) -> list[Altered]:
    present = asyncio.run(_present(settings, database))
    found: list[Altered] = database.transact(SYSTEM, lambda ledger: deployed.altered(ledger, present), writes=False)
    return [each for each in found if kind in (None, each.kind) and (not wanted or set(wanted) & set(each.changed))]


async def _present(settings: Settings, database: Database) -> Mapping[str, Mapping[str, str]]:
    """What is installed and set here, and the policy in force: nothing is opened, and nothing is written."""
    from graphs.catalog import kinds, vocabulary
    from graphs.kind import Outside
    from graphs.parts import digests
    from policies.book import load_book
    from serving.in_use import book_in_use
    from serving.models.chat import model_in_use
    from serving.office import PolicyOffice
    from tools.contract import Toolbelt
    from tools.fulfillment.absent import AbsentShop
    from tools.vision.ports import NoScorer

    office = PolicyOffice(database)
    known, now = kinds(), database.clock.now()
    with TemporaryDirectory() as nowhere:
        outside = Outside(AbsentShop(), NoScorer(), database.clock, Path(nowhere), office)
        words = {name: vocabulary(name) for name in known}
        await office.open(words, {})
        found = {}
        for name, each in known.items():
            parts = digests(each, Toolbelt(each.tools(outside)).specs(), model_in_use(settings.model))
            policy = office.judge.book(name, now).digest or load_book(book_in_use(settings, each), words[name]).digest
            found[name] = {**parts, "policy": policy}
    return found


def _stranded(ledger: Ledger, found: list[Altered], lease: timedelta) -> list[str]:
    bound = {each.only_release for each in found if each.only_release}
    return sorted(release for release in bound if not deployed.at_work(ledger, release, lease))
