"""`countersign housekeeping`: what there is, how much it grows, and what may go."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

from core.console import echo_json
from core.errors import SetupError
from core.settings import Settings, load_settings
from engine.housekeeping import Housekeeper, Terms
from graphs.checkpoints import InlineSqliteSaver
from graphs.pruning import pruner
from ledger import sizes as measured
from ledger.folder import lock_folder
from ledger.tables import SYSTEM
from serving.commands.ledger_access import opened
from serving.storage import CHECKPOINTS, LEDGER, QUEUE, Storage, open_storage

_BAR = 24
_SHOP = "shop.db"
_FILES = (LEDGER, CHECKPOINTS, QUEUE, _SHOP)
_data = click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the settings' one]")
_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


def _settings(data: Path | None) -> Settings:
    return load_settings(**({"data": data} if data else {}))


@contextmanager
def _beside(settings: Settings) -> Iterator[Storage]:
    """The records, beside whatever server works on them. Raises `SetupError` where there are none."""
    if settings.database.url.get_secret_value():
        with open_storage(settings) as storage:
            yield storage
        return
    with opened(settings.data) as database, closing(InlineSqliteSaver.at(settings.data / CHECKPOINTS)) as saver:
        yield Storage(database, saver, "", shared=False)


@click.group()
def housekeeping() -> None:
    """Cut what no case needs any more, and see what takes the room. Works beside a running server.

    \b
    Example:
      countersign housekeeping sizes
      countersign housekeeping run --dry-run
    """


@housekeeping.command("run")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option(
    "--compact", is_flag=True, help="Rewrite the files of the folder without their gaps. Stop the server first."
)
@_data
@_as_json
def run(dry_run: bool, compact: bool, data: Path | None, as_json: bool) -> None:
    """Do now what a server does by itself, piece by piece.

    Of cases that rest or ended, all steps but the last go after engine.keep_checkpoints_days. A closed case loses its
    payload, trace, checkpoints and attachments after retention.closed_days, a cancelled one after
    retention.cancelled_days; both are unset at first, and nothing is erased. Fired timers, published events and tokens
    that ended go after retention.spent_days. The audit chain, actions, decisions, votes, runs and costs stay; what
    people wrote in them can't be read any more, since the key of such a case is destroyed. A case that is unfinished,
    or about which people are still asked, keeps everything.

    \b
    Example:  COUNTERSIGN_RETENTION__CLOSED_DAYS=365 countersign housekeeping run --dry-run
    """
    settings = _settings(data)
    with _beside(settings) as storage:
        terms = Terms.of(settings.engine, settings.retention)
        keeper = Housekeeper(storage.database, pruner(storage.saver), settings.data / "attachments", terms)
        done = asyncio.run(keeper.plan() if dry_run else keeper.run())
    freed = _compacted(settings) if compact and not dry_run else None
    if as_json:
        echo_json({"dry_run": dry_run, "done": done, "freed_bytes": freed})
        return
    for what, many in done.items():
        click.echo(f"{many:>10,} {what}")
    if not done:
        click.echo("There is nothing to do.")
    elif dry_run:
        click.echo("Nothing was changed. Without --dry-run this goes.")
    if freed is not None:
        click.echo(f"{_told(freed)} were given back to the disk.")


def _compacted(settings: Settings) -> int:
    if settings.database.url.get_secret_value():
        raise SetupError("A server's database is compacted by the server.", hint="Autovacuum does it, or VACUUM FULL.")
    before = _on_disk(settings.data)
    with lock_folder(settings.data):
        for name in _FILES:
            if (path := settings.data / name).exists():
                _vacuum(path)
    return max(0, before - _on_disk(settings.data))


def _vacuum(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("PRAGMA auto_vacuum=INCREMENTAL")
            file.execute("VACUUM")
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise SetupError(
            f"{path} can't be compacted: {error}.", hint="It takes as much free disk as the file is large."
        ) from error


def _on_disk(folder: Path) -> int:
    files = (folder / f"{name}{end}" for name in _FILES for end in ("", "-wal"))
    return sum(path.stat().st_size for path in files if path.exists())


@housekeeping.command("sizes")
@_data
@_as_json
def sizes(data: Path | None, as_json: bool) -> None:
    """Say what takes the room: bytes and rows by table, for each case, and a day.

    \b
    Example:  countersign housekeeping sizes --json
    """
    found = _measured(_settings(data))
    if as_json:
        echo_json(found)
        return
    most = max([table["bytes"] for table in found["tables"]] or [1]) or 1
    wide = max([len(table["table"]) for table in found["tables"]] or [1])
    for table in found["tables"]:
        bar = "█" * round(_BAR * table["bytes"] / most) or "▏"
        click.echo(f"{table['table']:<{wide}} {bar:<{_BAR}} {_told(table['bytes']):>9} {table['rows']:>12,} rows")
    click.echo(f"{'together':<{wide}} {'':<{_BAR}} {_told(found['bytes']):>9} on {found['where']}")
    if found["free_bytes"]:
        click.echo(f"{_told(found['free_bytes'])} of it are free for new rows (housekeeping run --compact).")
    if found["attachments"]["files"]:
        click.echo(f"{found['attachments']['files']:,} attachments, {_told(found['attachments']['bytes'])}.")
    if found["cases"]:
        click.echo(
            f"{found['cases']:,} cases, {found['unfinished']:,} unfinished: {_told(found['bytes_a_case'])} each. "
            f"{found['cases_a_day']:,.0f} new a day: {_told(found['bytes_a_day'])} a day."
        )


def _measured(settings: Settings) -> dict[str, Any]:
    tables: list[measured.Table] = []
    free = 0
    with _beside(settings) as storage:
        if storage.shared:
            tables, free = measured.of_server(storage.database)
        else:
            for name in _FILES:
                if (path := settings.data / name).exists():
                    more, gaps = measured.of_file(path)
                    tables, free = tables + more, free + gaps
        growth = storage.database.transact(SYSTEM, measured.growth, writes=False)
    attachments = [path.stat().st_size for path in (settings.data / "attachments").glob("*")]
    whole = sum(table.bytes for table in tables) + free
    ours = sum(table.bytes for table in tables if table.where != _SHOP)  # the embedded shop's own are not a case's
    each = ours / growth.cases if growth.cases else 0.0
    return {
        "where": "the server" if storage.shared else str(settings.data),
        "bytes": whole,
        "free_bytes": free,
        "tables": [
            {"table": f"{table.where.removesuffix('.db')}.{table.name}", "bytes": table.bytes, "rows": table.rows}
            for table in sorted(tables, key=lambda table: -table.bytes)
            if table.rows
        ],
        "attachments": {"files": len(attachments), "bytes": sum(attachments)},
        "cases": growth.cases,
        "unfinished": growth.waiting,
        "bytes_a_case": round(each),
        "cases_a_day": growth.opened_a_day,
        "bytes_a_day": round(each * growth.opened_a_day),
    }


def _told(many: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if many < 1000 or unit == "GB":
            return f"{many:.0f} {unit}" if unit == "B" else f"{many:.1f} {unit}"
        many /= 1000
    raise AssertionError
