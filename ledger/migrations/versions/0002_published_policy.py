"""Published policy, version by version, the keys of its signers, and what runs are counted by"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import ledger.columns
from ledger import guards

revision = "0002"
down_revision = "0001"

APPEND_ONLY = {
    "policy": "id = NEW.id OR key = NEW.key",
    "policy_draft": "digest = NEW.digest",
}
"""With what a new row would have to agree in order to replace an older one."""

LOSES = {
    "published versions of policy": "policy WHERE source <> 'installed'",
    "signed policies that were handed in": "policy_draft",
    "trusted keys": "signing_key",
    "runs that policy counts by a fact": "run WHERE CAST(counted_by AS TEXT) <> '{}'",
}


def upgrade() -> None:
    op.add_column("run", sa.Column("counted_by", sa.JSON(), nullable=False, server_default=sa.text("'{}'")))
    op.create_table(
        "policy",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("follows", sa.String(length=64), nullable=False),
        sa.Column("signatures", sa.JSON(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("case_id", sa.String(length=40), nullable=False),
        sa.Column("at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    with op.batch_alter_table("policy", schema=None) as batch_op:
        batch_op.create_index("policy_by_kind", ["kind", "id"], unique=False)

    op.create_table(
        "policy_draft",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "signing_key",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("public", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("added_at", ledger.columns.UtcTime(length=32), nullable=False),
        sa.Column("revoked_at", ledger.columns.UtcTime(length=32), nullable=True),
        sa.PrimaryKeyConstraint("public"),
    )
    guards.append_only(op.get_bind(), APPEND_ONLY)


def downgrade() -> None:
    op.drop_column("run", "counted_by")
    op.drop_table("signing_key")
    op.drop_table("policy_draft")
    with op.batch_alter_table("policy", schema=None) as batch_op:
        batch_op.drop_index("policy_by_kind")

    op.drop_table("policy")
