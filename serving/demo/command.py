"""`countersign demo`: a generated world through the whole house, and the desk on what it leaves."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import click

from core import redaction
from core.clock import SystemClock
from core.settings import Settings, load_settings
from serving.demo import desk as demo_desk
from serving.demo.folder import Playbill, existing, last_midnight, prepare
from serving.local import remember_servers, write_private

_data = click.option(
    "--data", type=click.Path(path_type=Path), help="The demo's own folder.  [default: demo, in the data folder]"
)


def _folder(data: Path | None) -> tuple[Settings, bool]:
    """Settings for the demo's folder, and whether it is the usual one."""
    settings = load_settings()
    folder = data or settings.data / "demo"
    return settings.model_copy(update={"data": folder}), data is None or data == settings.data / "demo"


@click.group(invoke_without_command=True)
@click.option("--cases", type=click.IntRange(1, 2000), default=200, show_default=True, help="How many cases come in.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="The same seed, the same world.")
@_data
@click.option(
    "--fresh/--no-fresh", default=True, show_default=True, help="Start clean, or go on with a run that was interrupted."
)
@click.option(
    "--database", metavar="URL", help="A PostgreSQL database of the demo's own, made if there is none of this name."
)
@click.option("--bus", metavar="URL", help="NATS JetStream: requests come in by it.")
@click.option(
    "--workers", type=click.IntRange(0, 16), default=0, help="So many processes share the work; needs --database."
)
@click.pass_context
def demo(
    context: click.Context,
    cases: int,
    seed: int,
    data: Path | None,
    fresh: bool,
    database: str | None,
    bus: str | None,
    workers: int,
) -> None:
    """Run 200 cases of a generated world through the house, and say what came of them.

    Exit code 0 if every case was closed or waits for people, and the books agree with the provider's log.

    \b
    Examples:
      countersign demo --cases 50      fewer
      countersign demo desk            decide what waits for people
      countersign demo --database postgresql://postgres@127.0.0.1/demo --bus nats://127.0.0.1:4222 --workers 2
    """
    if context.invoked_subcommand is not None:
        context.obj = data
        return
    from serving.demo.page import page  # heavy, and the desk has no need of them
    from serving.demo.report import PAGE, lines, near
    from serving.demo.run import play, playable, rehearsal
    from serving.demo.server import at_scale, prepare_database
    from serving.demo.show import showing

    settings, standard = _folder(data)
    settings = at_scale(settings, database, bus, workers)
    kind = playable()
    wanted = Playbill(kind=kind.name, cases=cases, seed=seed, now=last_midnight(SystemClock().now()))
    if url := settings.database.url.get_secret_value():
        prepare_database(url, fresh=fresh)
    bill = prepare(settings.data, wanted, fresh=fresh)
    remember_servers(settings)
    log = settings.data / "demo.log"
    redaction.install()
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        handlers=[logging.FileHandler(log, delay=True)],  # only if there is something to tell
    )
    click.echo(
        f"Making a world for {bill.cases} cases ({kind.title.lower()}, seed {bill.seed}) in {near(settings.data)}"
    )
    stage = rehearsal(kind, bill)
    click.echo(f"{sum(map(len, stage.records.values())):,} records; running the cases")
    with showing(bill.cases) as show:
        played = asyncio.run(play(settings, kind, bill, stage, show.tell, workers=workers))
    write_private(settings.data / PAGE, page(played))
    for line in lines(played, settings.data, standard=standard):
        click.echo(line)
    if played.wrong() and log.exists():
        click.echo(f"\nWhat went wrong on the way is in {near(log)}.", err=True)
    context.exit(1 if played.wrong() else 0)


@demo.command("desk", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_data
@click.option(
    "--as", "name", default="", metavar="NAME", help="One of the demo's people; otherwise you, as all of them."
)
@click.argument("rest", nargs=-1, type=click.UNPROCESSED, metavar="[DESK COMMAND]...")
@click.pass_context
def desk(context: click.Context, data: Path | None, name: str, rest: tuple[str, ...]) -> None:
    """Open the desk on the demo's queue; a server is started for it, and stopped afterwards, if none runs there.

    \b
    Examples:
      countersign demo desk --as rita
      countersign demo desk next       the first question, in plain lines
    """
    settings, _ = _folder(data or context.obj)
    existing(settings.data)
    context.exit(demo_desk.run(settings.data, name, rest))
