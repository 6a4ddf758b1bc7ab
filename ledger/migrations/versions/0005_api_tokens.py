"""Scoped tokens, and people who sign in elsewhere"""

from __future__ import annotations

revision = "0005"
down_revision = "0004"

LOSES: dict[str, str] = {}
"""What the version before can't hold; each is counted before it goes."""


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
