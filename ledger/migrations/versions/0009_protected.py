"""Personal data encrypted at rest: the keys of cases.

What was there before is sealed afterwards, in place, by whoever has the master key: `ledger/sealing_in_place.py`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.columns import UtcTime

revision = "0009"
down_revision = "0008"

LOSES = {"keys, and with them all that is sealed": "data_key"}
"""What the version before can't hold; each is counted before it goes."""


def upgrade() -> None:
    op.create_table(
        "data_key",
        sa.Column("workspace", sa.String(64), nullable=False),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("wrapped", sa.String(200), nullable=False),
        sa.Column("master", sa.String(16), nullable=False, index=True),
        sa.Column("created_at", UtcTime(32), nullable=False),
        sa.Column("destroyed_at", UtcTime(32), nullable=True),
    )


def downgrade() -> None:
    op.drop_table("data_key")
