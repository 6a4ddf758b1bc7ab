"""Idempotency keys of every write"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.columns import UtcTime

revision = "0008"
down_revision = "0007"

LOSES = {"answers kept for requests that may come again": "request_key"}
"""What the version before can't hold; each is counted before it goes."""


def upgrade() -> None:
    op.create_table(
        "request_key",
        sa.Column("workspace", sa.String(64), nullable=False),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("cases", sa.Text(), nullable=False),
        sa.Column("begun_at", UtcTime(32), nullable=False, index=True),
    )


def downgrade() -> None:
    op.drop_table("request_key")
