"""Many processes over one ledger: workers, fences, events in and out; copies of cases; what takes an effect back"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from ledger import guards, order_postgres
from ledger.columns import UtcTime

revision = "0004"
down_revision = "0003"

_EMPTY = sa.text("'{}'")
_SOME_ROWS = {
    "case_by_worker": ("worker", "worker <> ''"),
    "case_to_prune": ("opened_at", "pruned_at IS NULL"),
    "case_to_erase": ("closed_at", "erased_at IS NULL AND closed_at IS NOT NULL"),
}
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


LOSES = {
    "cases that are copies": '"case" WHERE forked_from IS NOT NULL',
    "cases held or bound to a release": "\"case\" WHERE held <> '' OR release <> ''",
    "cases with a priority": '"case" WHERE priority <> 0',
    "cases whose content was erased": '"case" WHERE erased_at IS NOT NULL',
    "rehearsed runs": "run WHERE simulated",
    "runs that take others back": "run WHERE compensates IS NOT NULL",
    "events that others were not told yet": "outbox WHERE published_at IS NULL",
    "events that came ahead of their turn": "arrival",
}
"""What the version before can't hold; each is counted before it goes."""


def _workspace(*, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column("workspace", sa.String(64), nullable=False, primary_key=primary_key)


_ENDING = (
    "UPDATE review SET status = 'superseded', decided_at = :now, version = version + 1 "
    "WHERE status IN ('open', 'approved') AND case_id IN {copies}",
    "UPDATE run SET status = 'failed', reason = 'rehearsed', finished_at = coalesce(finished_at, :now) WHERE simulated",
    "UPDATE inbox SET processed_at = :now, note = 'its case was a copy' "
    "WHERE processed_at IS NULL AND case_id IN {copies}",
    "UPDATE timer SET fired_at = :now WHERE fired_at IS NULL AND case_id IN {copies}",
    "UPDATE \"case\" SET desired = 'cancel', version = version + 1 WHERE simulated",
    "UPDATE \"case\" SET status = 'cancelled', closed_at = :now, outcome = 'cancelled', summary = 'It was a copy.' "
    "WHERE simulated AND status NOT IN ('closed', 'cancelled')",
)


def _end_copies() -> None:
    """The version before can't tell a copy from a case: none goes on there, and nothing that it rehearsed was done."""
    now, copies = datetime.now(UTC).isoformat(timespec="microseconds"), '(SELECT id FROM "case" WHERE simulated)'
    for ending in _ENDING:
        statement = sa.text(ending.format(copies=copies))
        op.get_bind().execute(statement, {"now": now} if ":now" in ending else {})


def upgrade() -> None:
    guards.remove(op.get_bind())
    for column in (
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("worker", sa.String(64), nullable=False, server_default=""),
        sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("forked_from", sa.String(40), nullable=True),
        sa.Column("simulated", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("made_with", sa.JSON(), nullable=False, server_default=_EMPTY),
        sa.Column("release", sa.String(64), nullable=False, server_default=""),
        sa.Column("held", sa.String(200), nullable=False, server_default=""),
        sa.Column("events_out", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("pruned_at", UtcTime(32), nullable=True),
        sa.Column("erased_at", UtcTime(32), nullable=True),
    ):
        op.add_column("case", column)
    for name, (column_name, condition) in _SOME_ROWS.items():
        where = sa.text(condition)
        op.create_index(name, "case", [column_name], sqlite_where=where, postgresql_where=where)
    op.add_column("run", sa.Column("simulated", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("run", sa.Column("compensates", sa.String(64), nullable=True))
    where = sa.text("compensates IS NOT NULL AND status <> 'failed'")
    op.create_index("timer_by_case", "timer", ["case_id"])
    op.create_index("run_open", "run", ["status", "lease_until"])
    op.create_index("run_by_subject", "run", ["subject"])
    op.create_index("run_takes_back", "run", ["compensates"], unique=True, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "worker",
        _workspace(),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("release", sa.String(64), nullable=False),
        sa.Column("started_at", UtcTime(32), nullable=False),
        sa.Column("beat_at", UtcTime(32), nullable=False, index=True),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("stopped_at", UtcTime(32), nullable=True),
    )
    op.create_table(
        "outbox",
        _workspace(),
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String(64), nullable=False, unique=True),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("case_id", sa.String(40), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("at", UtcTime(32), nullable=False),
        sa.Column("published_at", UtcTime(32), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True, unique=True),
        sa.UniqueConstraint("case_id", "seq"),
    )
    op.create_index("outbox_open", "outbox", ["published_at", "id"])
    op.create_table(
        "source",
        _workspace(primary_key=True),
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("case_id", sa.String(40), primary_key=True),
        sa.Column("next", sa.Integer(), nullable=False),
    )
    op.create_table(
        "arrival",
        _workspace(primary_key=True),
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("case_id", sa.String(40), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.String(200), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("received_at", UtcTime(32), nullable=False),
        sa.Column("due_at", UtcTime(32), nullable=False, index=True),
    )
    order_postgres.install(op.get_bind())
    guards.install(op.get_bind())


def downgrade() -> None:
    guards.remove(op.get_bind())
    _end_copies()
    order_postgres.remove(op.get_bind())
    for table in ("arrival", "source", "outbox", "worker"):
        op.drop_table(table)
    op.drop_index("run_takes_back", "run")
    op.drop_index("run_by_subject", "run")
    op.drop_index("run_open", "run")
    op.drop_index("timer_by_case", "timer")
    op.drop_column("run", "compensates")
    op.drop_column("run", "simulated")
    for name in _SOME_ROWS:
        op.drop_index(name, "case")
    for name in (
        "erased_at",
        "pruned_at",
        "events_out",
        "held",
        "release",
        "made_with",
        "simulated",
        "forked_from",
        "epoch",
        "worker",
        "priority",
    ):
        op.drop_column("case", name)
    guards.install(op.get_bind())
