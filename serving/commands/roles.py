"""`countersign roles`: each process's login gets its part of the records, held by the database server itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import click

from core.clock import Clock
from core.errors import SetupError
from core.settings import ExecutorSettings, Settings, load_settings
from graphs.kind import TaskKind
from ledger.migrate import migrate_server
from ledger.roles import AGENTS, DESK, EXECUTOR, give, statements
from ledger.server import driver_url
from serving.house import open_house
from tools.fulfillment.absent import AbsentShop

_PARTS = ((DESK, "countersign api"), (AGENTS, "countersign worker"), (EXECUTOR, "countersign executor"))


async def prepare(
    settings: Settings, *, kinds: Mapping[str, TaskKind] | None = None, clock: Clock | None = None
) -> None:
    """As the owner: all tables are there, policy is installed, and roles may what they are to. Raises `SetupError`."""
    alone = settings.model_copy(update={"executor": ExecutorSettings()})
    migrate_server(driver_url(settings.database.url.get_secret_value()))
    async with open_house(alone, role="api", shop=AbsentShop(), kinds=kinds, clock=clock) as house:
        await asyncio.to_thread(give, house.database)


@click.command()
@click.option("--print", "only_print", is_flag=True, help="Print the SQL, for whoever runs the server; change nothing.")
@click.option("--schema", default="public", show_default=True, help="With --print: where the tables are.")
def roles(only_print: bool, schema: str) -> None:
    """Make the roles countersign_desk, countersign_agents and countersign_executor on the PostgreSQL server.

    Run it as the owner of the tables, at the beginning and after each new version. It brings the tables up to date and
    installs policy too, because the processes' own logins may not.

    \b
    Example:
      COUNTERSIGN_DATABASE__URL=postgresql://owner:secret@db/countersign countersign roles
      psql -c "CREATE ROLE worker1 LOGIN PASSWORD '…' IN ROLE countersign_agents"
    """
    if only_print:
        click.echo("BEGIN;")
        for line in statements(schema):
            click.echo(f"{line};")
        click.echo("COMMIT;")
        return
    settings = load_settings()
    if not settings.database.url.get_secret_value():
        raise SetupError(
            "SQLite has no roles: whoever can write the data folder may do everything.",
            hint="Name a PostgreSQL server in COUNTERSIGN_DATABASE__URL.",
        )
    asyncio.run(prepare(settings))
    for role, command in _PARTS:
        click.echo(f"{role} is what '{command}' needs.")
    click.echo("Give each process a login: CREATE ROLE … LOGIN PASSWORD '…' IN ROLE countersign_agents")
