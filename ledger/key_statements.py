"""What is asked of the table of data keys, and whose key a row takes."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Table, bindparam, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger.key_tables import DataKeyRow
from ledger.tables import ActionRow, ReviewRow

HOUSE = "house-"
"""How the ids of keys begin that belong to no case; the last one made seals, the others only open."""

KEY: Table = DataKeyRow.__table__  # type: ignore[attr-defined]
ONE = select(KEY.c.master, KEY.c.wrapped, KEY.c.destroyed_at).where(KEY.c.id == bindparam("owner"))
_NEW = ("workspace", "id", "wrapped", "master", "created_at")
THE_HOUSES = (
    select(KEY.c.id)
    .where(KEY.c.id.startswith(HOUSE), KEY.c.destroyed_at.is_(None))
    .order_by(KEY.c.created_at.desc(), KEY.c.id.desc())
    .limit(1)
)
DESTROY = (
    update(KEY)
    .where(KEY.c.id == bindparam("owner"), KEY.c.destroyed_at.is_(None))
    .values(wrapped=bindparam("wrapped"), destroyed_at=bindparam("at"))
)
_ACTIONS: Table = ActionRow.__table__  # type: ignore[attr-defined]
CASE_OF = select(_ACTIONS.c.case_id).where(_ACTIONS.c.id == bindparam("action"))
_REVIEWS: Table = ReviewRow.__table__  # type: ignore[attr-defined]
CASE_ASKED = select(_REVIEWS.c.case_id).where(_REVIEWS.c.id == bindparam("review"))


@cache
def insert_key(dialect: str, first: bool) -> Any:
    """All but the first say in the same statement that what wraps them is in force, or nothing is inserted.

    Nobody takes a master key away between the two: its last look waits for who is inserting (`key_rotation.wraps`).
    """
    made = sqlite.insert(KEY) if dialect == "sqlite" else postgresql.insert(KEY)
    if not first:
        still = KEY.alias("in_force")
        given = select(*(bindparam(f"new_{name}", type_=KEY.c[name].type) for name in _NEW)).where(
            exists().where(still.c.id == bindparam("house"), still.c.master == bindparam("new_master"))
        )
        made = made.from_select(_NEW, given)
    else:
        made = made.values({name: bindparam(f"new_{name}") for name in _NEW})
    return made.on_conflict_do_nothing()
