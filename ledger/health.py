"""How the records are, seen from beside whoever works on them: nothing is made, migrated or waited for."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from core.errors import SetupError
from ledger.database import Database, Ledger
from ledger.migrate import current
from ledger.process_tables import OutboxRow
from ledger.tables import AuditHeadRow, AuditRow, InboxRow, Row, TimerRow


class Vitals(NamedTuple):
    version: str
    """Of the ledger; empty where there is none yet."""
    told: str
    """Of the database, for people."""
    bytes: int
    problem: str = ""
    """Why it can't be written."""
    now: datetime | None = None
    """What time its server has."""
    taken: int = 0
    """Of its connections."""
    most: int = 0


class Backlog(NamedTuple):
    events: int
    oldest_event: timedelta | None
    timers: int
    """That should have fired."""
    latest_timer: timedelta | None
    unpublished: int
    oldest_unpublished: timedelta | None
    chain: dict[str, int]
    """Each workspace's last entry."""
    broken: list[str]
    """Workspaces whose head is not their last entry."""


def of_file(path: Path) -> Vitals:
    """Raises `SetupError` where it can't be read."""
    version = current(path)
    if version is None:
        return Vitals("", "no ledger yet", 0)
    problem = ""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=2, isolation_level=None)) as file:
            (mode,) = file.execute("PRAGMA journal_mode").fetchone()
            try:
                file.execute("BEGIN IMMEDIATE")
                file.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                problem = str(error)
    except sqlite3.Error as error:
        raise SetupError(f"{path} can't be opened: {error}.", hint="Check the disk and the permissions.") from error
    size = sum(each.stat().st_size for each in (path, path.with_name(f"{path.name}-wal")) if each.exists())
    return Vitals(version, f"SQLite {sqlite3.sqlite_version}, journal {mode}", size, problem)


def of_server(database: Database) -> Vitals:
    """Raises `SetupError` where it can't be reached."""
    try:
        with database.engine.connect() as connection:
            row = connection.execute(
                text(
                    "SELECT current_setting('server_version'), pg_database_size(current_database()),"
                    " pg_is_in_recovery(), current_setting('default_transaction_read_only'), clock_timestamp(),"
                    " (SELECT count(*) FROM pg_stat_activity), current_setting('max_connections')::int,"
                    " to_regclass('alembic_version') IS NOT NULL"
                )
            ).one()
            told, size, recovering, read_only, now, taken, most, ours = row
            version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if ours else ""
    except DBAPIError as error:
        raise SetupError(
            f"The database can't be reached: {' '.join(str(error.orig).split())[:200]}.",
            hint="Check COUNTERSIGN_DATABASE__URL, and that the server runs.",
        ) from error
    problem = "it is a standby" if recovering else "it only reads" if read_only == "on" else ""
    return Vitals(str(version or ""), f"PostgreSQL {told}", int(size), problem, now.astimezone(UTC), taken, most)


def backlog(ledger: Ledger, late: timedelta) -> Backlog:
    """What waits; a timer is late when it should have fired so long ago."""

    def counted(what: type[Row], moment: Any, *which: ColumnElement[bool]) -> tuple[int, timedelta | None]:
        found = select(func.count(), func.min(moment)).select_from(what).where(*which)
        many, first = ledger.session.exec(found).one()
        return int(many), ledger.now - first if first else None

    events, oldest_event = counted(InboxRow, col(InboxRow.received_at), col(InboxRow.processed_at).is_(None))
    due = col(TimerRow.due_at)
    timers, latest_timer = counted(TimerRow, due, col(TimerRow.fired_at).is_(None), due < ledger.now - late)
    unpublished, oldest = counted(OutboxRow, col(OutboxRow.at), col(OutboxRow.published_at).is_(None))
    heads = {head.workspace: head for head in ledger.session.exec(select(AuditHeadRow))}
    broken = [name for name, head in heads.items() if not _ends_with(ledger, head)]
    chain = {name: head.seq for name, head in heads.items()}
    return Backlog(events, oldest_event, timers, latest_timer, unpublished, oldest, chain, broken)


def _ends_with(ledger: Ledger, head: AuditHeadRow) -> bool:
    last = select(AuditRow).where(AuditRow.workspace == head.workspace).order_by(col(AuditRow.seq).desc()).limit(1)
    row = ledger.session.exec(last).first()
    return (head.seq == 0) if row is None else (row.seq, row.hash) == (head.seq, head.hash)
