"""The first ledger"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import ledger.columns
from ledger import guards

revision = "0001"
down_revision = None

APPEND_ONLY = {
    "audit": "workspace = NEW.workspace AND seq = NEW.seq",
    "decision": "id = NEW.id",
    "vote": "id = NEW.id OR (review_id = NEW.review_id AND person = NEW.person)",
    "action": "id = NEW.id",
}
"""With what a new row would have to agree in order to replace an older one."""

LOSES = {"cases": '"case"', "entries of the audit chain": "audit", "people": "person"}


def upgrade() -> None:
    op.create_table(
        "action",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("tool", sa.String(length=64), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("proposer", sa.String(length=64), nullable=False),
        sa.Column("step_key", sa.String(length=64), nullable=False),
        sa.Column("effect", sa.String(length=16), nullable=False),
        sa.Column("described", sa.Text(), nullable=False),
        sa.Column("edited_from", sa.String(length=64), nullable=True),
        sa.Column("created_at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("action", schema=None) as batch_op:
        batch_op.create_index("action_by_case", ["case_id", "step_key"], unique=False)

    op.create_table(
        "audit",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.String(length=40), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("prev", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "seq"),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_case_id"), ["case_id"], unique=False)

    op.create_table(
        "audit_head",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("workspace"),
    )
    op.create_table(
        "case",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("desired", sa.String(length=16), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("request_key", sa.String(length=200), nullable=True),
        sa.Column("payload_digest", sa.String(length=64), nullable=False),
        sa.Column("opened_by", sa.String(length=64), nullable=False),
        sa.Column("opened_at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.Column("closed_at", ledger.columns.UtcTime(length=32), nullable=True),
        sa.Column("outcome", sa.String(length=64), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("next_seq", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("workspace", "opened_by", "request_key"),
    )
    with op.batch_alter_table("case", schema=None) as batch_op:
        batch_op.create_index("case_by_status", ["workspace", "status", "opened_at"], unique=False)

    op.create_table(
        "cost",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("case_id", sa.String(length=40), nullable=False),
        sa.Column("component", sa.String(length=64), nullable=False),
        sa.Column("amount_minor", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit", sa.String(length=32), nullable=False),
        sa.Column("at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("workspace", "key"),
    )
    with op.batch_alter_table("cost", schema=None) as batch_op:
        batch_op.create_index("cost_by_case", ["case_id"], unique=False)

    op.create_table(
        "decision",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("action_id", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("decision", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_decision_action_id"), ["action_id"], unique=False)

    op.create_table(
        "inbox",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.String(length=200), nullable=False),
        sa.Column("case_id", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("received_at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.Column("processed_at", ledger.columns.UtcTime(length=32), nullable=True),
        sa.Column("note", sa.String(length=400), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("case_id", "seq"),
        sa.UniqueConstraint("workspace", "source", "event_id"),
    )
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.create_index("inbox_open", ["processed_at", "case_id"], unique=False)

    op.create_table(
        "person",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "id"),
    )
    op.create_table(
        "review",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("case_id", sa.String(length=40), nullable=False),
        sa.Column("action_id", sa.String(length=64), nullable=False),
        sa.Column("interrupt_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reviewers", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("book", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("opened_at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.Column("due_at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.Column("decided_at", ledger.columns.UtcTime(length=32), nullable=True),
        sa.Column("claimed_by", sa.String(length=64), nullable=False),
        sa.Column("claim_token", sa.String(length=40), nullable=False),
        sa.Column("claimed_until", ledger.columns.UtcTime(length=32), nullable=True),
        sa.Column("edited_to", sa.String(length=64), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("review", schema=None) as batch_op:
        batch_op.create_index("review_by_action", ["action_id"], unique=False)
        batch_op.create_index("review_by_case", ["case_id"], unique=False)
        batch_op.create_index("review_queue", ["workspace", "status", "due_at"], unique=False)

    op.create_table(
        "run",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("action_id", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("tool", sa.String(length=64), nullable=False),
        sa.Column("args_digest", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("proposer", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("lease_until", ledger.columns.UtcTime(length=32), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("gated", sa.Boolean(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("started_at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.Column("finished_at", ledger.columns.UtcTime(length=32), nullable=True),
        sa.PrimaryKeyConstraint("action_id"),
        sa.UniqueConstraint("key"),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index("run_by_case", ["case_id"], unique=False)
        batch_op.create_index("run_counts", ["workspace", "tool", "started_at"], unique=False)

    op.create_table(
        "timer",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("case_id", sa.String(length=40), nullable=False),
        sa.Column("review_id", sa.String(length=40), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("due_at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.Column("fired_at", ledger.columns.UtcTime(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("timer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_timer_review_id"), ["review_id"], unique=False)
        batch_op.create_index("timer_due", ["fired_at", "due_at"], unique=False)

    op.create_table(
        "token",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("created_at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.Column("expires_at", ledger.columns.UtcTime(length=32), nullable=True),
        sa.Column("revoked_at", ledger.columns.UtcTime(length=32), nullable=True),
        sa.PrimaryKeyConstraint("digest"),
    )
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_token_person"), ["person"], unique=False)

    op.create_table(
        "trace",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("case_id", sa.String(length=40), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    with op.batch_alter_table("trace", schema=None) as batch_op:
        batch_op.create_index("trace_by_case", ["case_id", "seq"], unique=False)

    op.create_table(
        "vote",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("review_id", sa.String(length=40), nullable=False),
        sa.Column("action_id", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("choice", sa.String(length=16), nullable=False),
        sa.Column("reason_code", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("seen", sa.String(length=64), nullable=False),
        sa.Column("dwell_s", sa.Integer(), nullable=False),
        sa.Column("request_key", sa.String(length=200), nullable=False),
        sa.Column("at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("review_id", "person"),
    )
    with op.batch_alter_table("vote", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_vote_action_id"), ["action_id"], unique=False)

    guards.append_only(op.get_bind(), APPEND_ONLY)


def downgrade() -> None:
    with op.batch_alter_table("vote", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_vote_action_id"))

    op.drop_table("vote")
    with op.batch_alter_table("trace", schema=None) as batch_op:
        batch_op.drop_index("trace_by_case")

    op.drop_table("trace")
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_token_person"))

    op.drop_table("token")
    with op.batch_alter_table("timer", schema=None) as batch_op:
        batch_op.drop_index("timer_due")
        batch_op.drop_index(batch_op.f("ix_timer_review_id"))

    op.drop_table("timer")
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index("run_counts")
        batch_op.drop_index("run_by_case")

    op.drop_table("run")
    with op.batch_alter_table("review", schema=None) as batch_op:
        batch_op.drop_index("review_queue")
        batch_op.drop_index("review_by_case")
        batch_op.drop_index("review_by_action")

    op.drop_table("review")
    op.drop_table("person")
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_index("inbox_open")

    op.drop_table("inbox")
    with op.batch_alter_table("decision", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_decision_action_id"))

    op.drop_table("decision")
    with op.batch_alter_table("cost", schema=None) as batch_op:
        batch_op.drop_index("cost_by_case")

    op.drop_table("cost")
    with op.batch_alter_table("case", schema=None) as batch_op:
        batch_op.drop_index("case_by_status")

    op.drop_table("case")
    op.drop_table("audit_head")
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_case_id"))

    op.drop_table("audit")
    with op.batch_alter_table("action", schema=None) as batch_op:
        batch_op.drop_index("action_by_case")

    op.drop_table("action")
    guards.forget_append_only(op.get_bind())
