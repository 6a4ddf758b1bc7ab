"""How large the databases are, table by table, beside whoever works in them. Nothing is changed or held."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import func, text
from sqlmodel import col, select

from core.errors import SetupError
from ledger.database import Database, Ledger
from ledger.tables import CaseRow

_GROWTH = timedelta(days=7)


class Table(NamedTuple):
    """A table with its indexes."""

    where: str
    """Name of the file, or of the server's schema."""
    name: str
    rows: int
    bytes: int


class Growth(NamedTuple):
    cases: int
    waiting: int
    """Cases that are not over."""
    opened_a_day: float
    """Over the last seven days, or since the first case if that is shorter."""


def of_file(path: Path) -> tuple[list[Table], int]:
    """The tables of a SQLite file, and how many of its bytes are free for new rows. Raises `SetupError`."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as file:
            (page,) = file.execute("PRAGMA page_size").fetchone()
            (free,) = file.execute("PRAGMA freelist_count").fetchone()
            owners = dict(file.execute("SELECT name, tbl_name FROM sqlite_master WHERE rootpage > 0"))
            sizes: dict[str, int] = {}
            for name, many in file.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"):
                sizes[owners.get(name, name)] = sizes.get(owners.get(name, name), 0) + int(many)
            tables = [
                Table(path.name, name, int(file.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]), many)
                for name, many in sizes.items()
                if not name.startswith("sqlite_")
            ]
    except sqlite3.Error as error:
        raise SetupError(f"{path} can't be read: {error}.", hint="Check the disk and the permissions.") from error
    return tables, int(free) * int(page)


def of_server(database: Database) -> tuple[list[Table], int]:
    """The tables of the server's database, with what it keeps of long values; free is not known there."""
    found = text(
        "SELECT n.nspname, c.relname, pg_total_relation_size(c.oid),"
        " greatest(c.reltuples::bigint, coalesce(s.n_live_tup, 0), 0)"
        " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid"
        " WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
    )
    with database.engine.connect() as connection:
        rows = connection.execute(found).all()
    return [Table(str(schema), str(name), int(rows), int(many)) for schema, name, many, rows in rows], 0


def growth(ledger: Ledger) -> Growth:
    by_status = ledger.cases.by_status()
    cases = sum(by_status.values())
    waiting = cases - by_status.get("closed", 0) - by_status.get("cancelled", 0)
    first = ledger.session.exec(select(func.min(CaseRow.opened_at))).one()
    if first is None:
        return Growth(0, 0, 0.0)
    since = max(first, ledger.now - _GROWTH)
    lately = select(func.count()).select_from(CaseRow).where(col(CaseRow.opened_at) >= since)
    days = max((ledger.now - since).total_seconds() / 86_400, 1.0)
    return Growth(cases, waiting, int(ledger.session.exec(lately).one()) / days)
