"""What reviewers can do besides deciding"""

from __future__ import annotations

revision = "0007"
down_revision = "0006"

LOSES: dict[str, str] = {}
"""What the version before can't hold; each is counted before it goes."""


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""
