"""What reviewers can do besides deciding: windows over the queue, passing on, taking back, filters by name"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from ledger import guards
from ledger.columns import UtcTime

revision = "0007"
down_revision = "0006"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SORTED = {"review_by_opening": sa.text("opened_at"), "review_by_amount": sa.text("coalesce(amount_minor, -1)")}

LOSES = {
    "saved filters": "saved_filter",
    "questions that were passed on": "escalation WHERE undone_at IS NULL",
    "questions that were answered with words": "review WHERE status = 'responded'",
}
"""What the version before can't hold; each is counted before it goes."""


def upgrade() -> None:
    guards.remove(op.get_bind())
    for column in (
        sa.Column("asked_of", sa.Text(), nullable=False, server_default=""),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(3), nullable=False, server_default=""),
        sa.Column("undo_until", UtcTime(32), nullable=True),
    ):
        op.add_column("review", column)
    for name, by in _SORTED.items():
        op.create_index(name, "review", ["workspace", "status", by])
    op.create_table(
        "escalation",
        sa.Column("workspace", sa.String(64), nullable=False),
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("review_id", sa.String(40), nullable=False, index=True),
        sa.Column("case_id", sa.String(40), nullable=False),
        sa.Column("action_id", sa.String(64), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("from_group", sa.String(100), nullable=False),
        sa.Column("to_group", sa.String(100), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("request_key", sa.String(200), nullable=False),
        sa.Column("at", UtcTime(32), nullable=False),
        sa.Column("undone_at", UtcTime(32), nullable=True),
    )
    op.create_index("escalation_by_action", "escalation", ["action_id"])
    op.create_table(
        "saved_filter",
        sa.Column("workspace", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("wanted", sa.JSON(), nullable=False),
        sa.Column("saved_by", sa.String(64), nullable=False),
        sa.Column("saved_at", UtcTime(32), nullable=False),
    )
    _tell_who_is_asked()
    guards.install(op.get_bind())


def _tell_who_is_asked() -> None:
    connection = op.get_bind()
    tell = sa.text("UPDATE review SET asked_of = :asked_of WHERE id = :id")
    rows = connection.execute(sa.text("SELECT id, reviewers FROM review")).all()
    told = [{"id": id_, "asked_of": _asked_of(_object(reviewers))} for id_, reviewers in rows]
    for first in range(0, len(told), 1000):
        connection.execute(tell, told[first : first + 1000])


def _object(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _asked_of(reviewers: list[dict[str, Any]]) -> str:
    words = [word for each in reviewers for word in (f"group:{each['group']}", f"role:{each['role']}")]
    return f" {' '.join(dict.fromkeys(words))} "


def downgrade() -> None:
    guards.remove(op.get_bind())
    _close_windows()
    op.execute("UPDATE review SET status = 'rejected' WHERE status = 'responded'")
    for table in ("saved_filter", "escalation"):
        op.drop_table(table)
    for name in _SORTED:
        op.drop_index(name, "review")
    for name in ("undo_until", "currency", "amount_minor", "asked_of"):
        op.drop_column("review", name)
    guards.install(op.get_bind())


def _close_windows() -> None:
    """The version before waits for nobody who might take a vote back: what was decided goes on now."""
    connection, now = op.get_bind(), datetime.now(UTC).isoformat(timespec="microseconds")
    waiting = sa.text(
        "SELECT t.id, t.workspace, t.case_id, r.id, r.interrupt_id, r.status, r.version FROM timer AS t "
        'JOIN review AS r ON r.id = t.review_id JOIN "case" AS c ON c.id = t.case_id '
        "WHERE t.purpose = 'review.undo' AND t.fired_at IS NULL AND c.status NOT IN ('closed', 'cancelled') "
        "ORDER BY t.due_at"
    )
    inbox = sa.table(
        "inbox",
        *(sa.column(name) for name in ("workspace", "source", "event_id", "case_id", "seq", "type")),
        sa.column("payload", sa.JSON()),
        *(sa.column(name) for name in ("received_at", "note")),
    )
    for timer, workspace, case, review, interrupt, status, version in connection.execute(waiting).all():
        step = {"case": case, "timer": timer, "now": now}
        seq = connection.execute(sa.text('SELECT next_seq FROM "case" WHERE id = :case'), {"case": case}).scalar_one()
        event = {
            "workspace": workspace,
            "source": "desk",
            "event_id": f"{review}:{status}:{version}",
            "case_id": case,
            "seq": seq,
            "type": "review.decided",
            "payload": {"review_id": review, "interrupt_id": interrupt},
            "received_at": now,
            "note": "",
        }
        connection.execute(sa.insert(inbox), event)
        connection.execute(sa.text('UPDATE "case" SET next_seq = next_seq + 1 WHERE id = :case'), step)
        connection.execute(sa.text("UPDATE timer SET fired_at = :now WHERE id = :timer"), step)
