"""Changing master keys: data keys are wrapped anew, and nothing that they seal is written again.

It goes in pieces, each a transaction that looks again at what it changes. A server may be at work, and whoever was cut
off goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import Table, func, select, text, update

from core.sealing import DataKey, MasterRing
from ledger.database import Database, Ledger
from ledger.key_statements import HOUSE
from ledger.key_tables import DataKeyRow
from ledger.tables import SYSTEM

_KEY: Table = DataKeyRow.__table__  # type: ignore[attr-defined]
_LIVE = _KEY.c.destroyed_at.is_(None)
_PIECE = 500


class MasterUse(BaseModel):
    """What a master key wraps."""

    master: str
    data_keys: int
    since: datetime


def in_use(database: Database) -> list[MasterUse]:
    counted = select(_KEY.c.master, func.count(), func.min(_KEY.c.created_at)).where(_LIVE).group_by(_KEY.c.master)
    with database.engine.connect().execution_options(writes=False) as connection:
        return [MasterUse(master=m, data_keys=n, since=at) for m, n, at in connection.execute(counted)]


def destroyed(database: Database) -> int:
    with database.engine.connect().execution_options(writes=False) as connection:
        return int(connection.execute(select(func.count()).select_from(_KEY).where(~_LIVE)).scalar_one())


def wraps(database: Database, master: str) -> int:
    """How many data keys a master key wraps, those that are being made right now with them."""

    def count(ledger: Ledger) -> int:
        connection = ledger.session.connection()
        if connection.dialect.name == "postgresql":  # waits for who is making one, and lets others read
            connection.execute(text("LOCK TABLE data_key IN SHARE MODE"))
        return int(
            connection.execute(
                select(func.count()).select_from(_KEY).where(_LIVE, _KEY.c.master == master)
            ).scalar_one()
        )

    return database.transact(SYSTEM, count)


def rewrap(database: Database, ring: MasterRing, tell: Callable[[int], None]) -> int:
    """Wraps every data key under the ring's key in force. Returns how many; tells after each piece how many so far.

    Raises `KeyMissing` where one was wrapped by a key that the ring lacks.
    """
    others = select(_KEY.c.id, _KEY.c.master, _KEY.c.wrapped).where(_LIVE, _KEY.c.master != ring.current.id)
    house = others.where(_KEY.c.id.startswith(HOUSE)).order_by(_KEY.c.id).limit(_PIECE).with_for_update()
    all_others = others.order_by(_KEY.c.id).limit(_PIECE).with_for_update()

    def piece(ledger: Ledger) -> int:
        connection = ledger.session.connection()
        # The house's first: they say which master key is in force (`Keys._make`).
        rows = connection.execute(house).all() or connection.execute(all_others).all()
        for owner, old, wrapped in rows:
            master, anew = ring.wrap(ring.unwrap(owner, old, wrapped))
            same = (_KEY.c.id == owner, _KEY.c.wrapped == wrapped)
            connection.execute(update(_KEY).where(*same).values(master=master, wrapped=anew))
        return len(rows)

    done = 0
    while many := database.transact(SYSTEM, piece):
        done += many
        tell(done)
    return done


def new_house_key(database: Database, ring: MasterRing) -> None:
    """What belongs to no case is sealed under a new key from now on; the earlier ones go on opening theirs."""

    def make(ledger: Ledger) -> None:
        owner = f"{HOUSE}{DataKey.new('x').secret.hex()[:12]}"
        master, wrapped = ring.wrap(DataKey.new(owner))
        row = DataKeyRow(workspace="default", id=owner, wrapped=wrapped, master=master, created_at=ledger.now)
        ledger.session.add(row)

    database.transact(SYSTEM, make)
