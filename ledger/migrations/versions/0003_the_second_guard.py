"""The database checks for itself that a run was let"""

from __future__ import annotations

from alembic import op

from ledger import guards

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    guards.install(op.get_bind())


def downgrade() -> None:
    guards.remove(op.get_bind())
