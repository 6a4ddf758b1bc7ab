"""`countersign migrate`: brings the records to a version, up or down."""

from __future__ import annotations

from pathlib import Path

import click

from core.settings import load_settings
from ledger.folder import lock_folder
from ledger.migrate import migrate as migrate_ledger
from ledger.migrate import migrate_server
from serving.commands.ledger_access import LEDGER, place
from serving.local import database_of


@click.command()
@click.option("--to", default="head", metavar="VERSION", help="The version to go to.  [default: this program's]")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: what the settings name]")
@click.option("--yes", is_flag=True, help="On the way down, give up what an older version can't hold.")
def migrate(to: str, data: Path | None, yes: bool) -> None:
    """Bring the ledger to this program's version, or to another one: in the data folder, or on the PostgreSQL server.

    'countersign up' does it by itself when it starts. Processes of a cluster don't: stop those of the older version,
    migrate once, start the new ones. Of several who migrate at once one does, and the others wait. It is done as a
    whole or not at all.

    \b
    Example:
      countersign migrate --data /var/lib/countersign
      COUNTERSIGN_DATABASE__URL=postgresql://owner@db/countersign countersign migrate
      countersign migrate --to 0003 --yes
    """
    settings = load_settings()
    if url := database_of(data, settings):
        from ledger.server import driver_url

        version = migrate_server(driver_url(url), to, lose=yes)
    else:
        folder = data or settings.data
        with lock_folder(folder):
            version = migrate_ledger(folder / LEDGER, to, lose=yes)
    click.echo(f"{place(data)} is of version {version}.")
