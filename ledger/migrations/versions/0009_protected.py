"""Personal data encrypted at rest"""

from __future__ import annotations

revision = "0009"
down_revision = "0008"

LOSES: dict[str, str] = {}
"""What the version before can't hold; each is counted before it goes."""


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
