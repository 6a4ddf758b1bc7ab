"""Scoped tokens, and people who sign in elsewhere"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger import guards
from ledger.columns import UtcTime

revision = "0005"
down_revision = "0004"

LOSES = {
    "tokens that are held to less than their person may (they end)": (
        "token WHERE (scopes IS NOT NULL OR kinds IS NOT NULL) AND revoked_at IS NULL"
    ),
    "people who sign in elsewhere": "identity",
}
"""What the version before can't hold; each is counted before it goes."""


def upgrade() -> None:
    guards.remove(op.get_bind())
    op.add_column("person", sa.Column("kept_by", sa.String(16), nullable=False, server_default="house"))
    op.add_column("person", sa.Column("keepers", sa.JSON(), nullable=False, server_default=sa.text("'[]'")))
    for column in (
        sa.Column("id", sa.String(40), nullable=False, server_default=""),
        sa.Column("name", sa.String(100), nullable=False, server_default=""),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("kinds", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("issued_by", sa.String(64), nullable=False, server_default=""),
        sa.Column("last_used_at", UtcTime(32), nullable=True),
    ):
        op.add_column("token", column)
    # Of a hash of 256 random bits a part may be seen: nobody finds the token by it.
    op.get_bind().execute(sa.text("UPDATE token SET id = 'token_' || substr(digest, 1, 26)"))
    op.create_index("ix_token_id", "token", ["id"], unique=True)
    op.create_table(
        "identity",
        sa.Column("workspace", sa.String(64), primary_key=True),
        sa.Column("issuer", sa.String(200), primary_key=True),
        sa.Column("subject", sa.String(200), primary_key=True),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("since", UtcTime(32), nullable=False),
        sa.Column("seen_at", UtcTime(32), nullable=False),
        sa.UniqueConstraint("workspace", "person"),
    )
    guards.install(op.get_bind())


def downgrade() -> None:
    """The version before knows no scopes: a token that was held to less would open everything."""
    guards.remove(op.get_bind())
    held = "(scopes IS NOT NULL OR kinds IS NOT NULL) AND revoked_at IS NULL"
    op.get_bind().execute(sa.text(f"UPDATE token SET revoked_at = created_at WHERE {held}"))
    op.get_bind().execute(
        sa.text("UPDATE person SET roles = '[]' WHERE kept_by = 'issuer'")  # nobody there keeps them up to date
    )
    op.drop_table("identity")
    op.drop_index("ix_token_id", "token")
    for name in ("last_used_at", "issued_by", "kinds", "scopes", "name", "id"):
        op.drop_column("token", name)
    op.drop_column("person", "keepers")
    op.drop_column("person", "kept_by")
    guards.install(op.get_bind())
