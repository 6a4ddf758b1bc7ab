"""A demo's database on a server: made, recognised by its mark and emptied, as its folder is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from core.errors import InvalidInput, SetupError
from core.settings import BusSettings, DatabaseSettings, Settings

if TYPE_CHECKING:
    from psycopg import Connection

MARK = "countersign_demo"
"""A table that is in a demo's database and in no other."""
_OURS = ("public", "dbos")


def at_scale(settings: Settings, database: str | None, bus: str | None, workers: int) -> Settings:
    """The demo's settings: its own servers, or none, whatever this machine's settings name. Raises `InvalidInput`."""
    if workers and not database:
        raise InvalidInput(
            "Several processes need a database that they share.", field="workers", hint="Name one with --database."
        )
    try:
        return settings.model_copy(
            update={
                "database": DatabaseSettings(url=SecretStr(database or "")),
                "bus": BusSettings(url=bus or "", prefix=f"demo_{token_hex(6)}"),
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            f"{first['msg']}.", hint="They look like postgresql://USER@HOST/DATABASE and nats://HOST:4222."
        ) from error


def prepare_database(url: str, *, fresh: bool) -> None:
    """An empty database, or one to go on in. Raises `SetupError`: nothing but a demo's is ever emptied."""
    with _connected(url) as connection:
        tables = {
            f"{schema}.{name}"
            for schema, name in connection.execute(
                "SELECT schemaname, tablename FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
        }
        if tables and f"public.{MARK}" not in tables:
            raise SetupError(
                f"The database {_name(url)} holds something that is no demo; nothing in it was touched.",
                hint="Name an empty database, or one that does not exist yet: the demo makes it.",
            )
        if tables and fresh:
            for schema in _OURS:
                connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            connection.execute("CREATE SCHEMA public")
        connection.execute(f"CREATE TABLE IF NOT EXISTS public.{MARK} (made timestamptz DEFAULT now())")


@contextmanager
def _connected(url: str) -> Iterator[Connection[Any]]:
    try:
        import psycopg
        from psycopg import sql
    except ImportError as missing:
        raise SetupError(
            f"PostgreSQL needs the package {missing.name}.", hint="pip install 'countersign-desk[postgres]'."
        ) from missing
    try:
        try:
            connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
        except psycopg.OperationalError as error:
            if "does not exist" not in str(error):
                raise
            with psycopg.connect(urlsplit(url)._replace(path="/postgres").geturl(), autocommit=True) as server:
                server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_name(url))))
            connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
        with connection:
            yield connection
    except psycopg.Error as error:
        raise SetupError(
            f"The database {_name(url)} can't be used: {str(error).strip().splitlines()[0]}.",
            hint="Check the address, and that the server runs: postgresql://USER:PASSWORD@HOST:5432/DATABASE.",
        ) from error


def _name(url: str) -> str:
    return urlsplit(url).path.lstrip("/") or "postgres"
