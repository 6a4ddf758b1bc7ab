"""Threads, runs and their events"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.columns import UtcTime

revision = "0006"
down_revision = "0005"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SOME_ROWS = {
    "thread_by_case": ("thread", ["case_id"], "case_id <> ''", False),
    "thread_by_talk": ("thread", ["workspace", "talk"], "talk <> ''", True),
    "thread_run_active": ("thread_run", ["workspace", "thread_id"], "status = 'running'", True),
    "thread_run_open": ("thread_run", ["status", "not_before"], "status IN ('pending', 'running')", False),
    "thread_run_ended": ("thread_run", ["ended_at"], "log_gone_at IS NULL AND ended_at IS NOT NULL", False),
}

LOSES = {"threads": "thread"}
"""What the version before can't hold; each is counted before it goes."""


def _workspace(*, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column("workspace", sa.String(64), nullable=False, primary_key=primary_key)


def _named(name: str, length: int, *, primary_key: bool = False, unique: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False, primary_key=primary_key, unique=unique)


def _object(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, UtcTime(32), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "thread",
        _workspace(primary_key=True),
        _named("id", 36, primary_key=True),
        _named("graph", 64),
        _named("opened_by", 64),
        _object("starters"),
        _named("status", 16),
        *(_object(name) for name in ("meta", "state", "interrupts")),
        _named("case_id", 40),
        _named("talk", 64),
        _object("notes"),
        *(_time(name) for name in ("created_at", "updated_at")),
        _time("state_at", nullable=True),
    )
    op.create_index("thread_by_update", "thread", ["workspace", "updated_at"])
    op.create_table(
        "thread_run",
        _workspace(),
        sa.Column("number", _SERIAL, primary_key=True, autoincrement=True),
        _named("id", 36, unique=True),
        _named("thread_id", 36),
        _named("graph", 64),
        _named("status", 16),
        _named("strategy", 16),
        *(_object(name) for name in ("person", "asked", "meta")),
        sa.Column("attempt", sa.Integer(), nullable=False),
        _named("worker", 64),
        *(_time(name, nullable=True) for name in ("lease_until", "not_before")),
        _named("wanted", 16),
        _object("problem"),
        sa.Column("temporary", sa.Boolean(), nullable=False),
        *(_time(name) for name in ("created_at", "updated_at")),
        *(_time(name, nullable=True) for name in ("ended_at", "log_gone_at")),
    )
    op.create_index("thread_run_by_thread", "thread_run", ["workspace", "thread_id", "number"])
    for name, (table, columns, condition, unique) in _SOME_ROWS.items():
        where = sa.text(condition)
        op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "thread_event",
        _workspace(),
        _named("run_id", 36, primary_key=True),
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),
        _named("event", 400),
        sa.Column("data", sa.Text(), nullable=False),
    )
    op.create_table(
        "thread_answer",
        _workspace(primary_key=True),
        _named("thread_id", 36, primary_key=True),
        _named("interrupt_id", 64, primary_key=True),
        _named("kind", 16),
        _named("person", 64),
        _object("value"),
        _named("run_id", 36),
        _time("at"),
    )
    op.create_table(
        "thread_seen",
        _workspace(primary_key=True),
        _named("thread_id", 36, primary_key=True),
        _named("person", 64, primary_key=True),
        _object("interrupts"),
        _time("at"),
    )


def downgrade() -> None:
    for table in ("thread_seen", "thread_answer", "thread_event", "thread_run", "thread"):
        op.drop_table(table)
