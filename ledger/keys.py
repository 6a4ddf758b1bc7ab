"""The keys of one database: who owns what is written, and what opens what is read.

A case's key is made with the first row that belongs to it, in the same transaction; what belongs to no case is the
house's. Keys are kept in memory for a while, so that a case costs one look-up. Reading may happen where no statement
can be sent, in the middle of a result: a key that is not at hand is read over a connection of its own.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.util import identity_key
from sqlmodel import Session, SQLModel

from core.people import HOME
from core.sealing import DataKey, MasterRing, missing, owner_of_bytes
from ledger.columns import KEYS, Sealed, owned
from ledger.key_statements import CASE_ASKED, CASE_OF, DESTROY, HOUSE, KEY, ONE, THE_HOUSES, insert_key
from ledger.tables import ActionRow, CaseRow, VoteRow
from ledger.trouble import explained, passes, pauses

_KEPT = 20_000
_PATIENCE_S = 10.0
_TURNS = 5
"""So often at most the master key in force changes while one data key is made."""


@cache
def sealed_columns(table: type[SQLModel]) -> frozenset[str]:
    columns = table.__table__.columns  # type: ignore[attr-defined]
    return frozenset(column.key for column in columns if isinstance(column.type, Sealed))


def masters_in_use(engine: Engine) -> frozenset[str]:
    """Ids of the master keys without which something in this database can't be read."""
    with engine.connect().execution_options(writes=False) as connection:
        return frozenset(
            connection.execute(select(KEY.c.master).where(KEY.c.destroyed_at.is_(None)).distinct()).scalars()
        )


Reload = Callable[[], MasterRing | None]


class Keys:
    """Implements `columns.Openers`. Used by many threads."""

    def __init__(self, masters: MasterRing, aside: Engine, keep_s: float = 300.0, reload: Reload | None = None) -> None:
        """`aside` has a connection to spare while all others are in use.

        For `keep_s` a case's key is taken for what it was: after that every process knows that it was destroyed.
        `reload` looks for the master keys anew, when one turns up that was made since.
        """
        self._keep_s = keep_s
        self._reload = reload
        self.masters = masters
        self._aside = aside
        self._guard = threading.Lock()
        self._known: OrderedDict[str, tuple[DataKey | None, float]] = OrderedDict()
        self._made: dict[str, DataKey] = {}
        """Of transactions that are not committed yet."""
        self._house = ""
        self._in_force = ("", "")
        """A key of the house, and the master key that wrapped it when it was last looked at."""

    def serve(self, engine: Engine) -> Keys:
        """From now on this database's columns are sealed."""
        KEYS[engine.dialect] = self
        return self

    def close(self) -> None:
        self._aside.dispose()

    # reading

    def reading(self, owner: str) -> DataKey | None:
        """Raises `KeyMissing`."""
        hit, key = self._at_hand(owner)
        if hit:
            return key
        with self._aside.connect().execution_options(writes=False) as connection:
            found, key = self._look(connection, owner)
        if not found:
            raise missing([f"of {owner}"], self.masters)
        return key

    def house(self) -> DataKey:
        hit, key = self._at_hand(self._house)
        if hit and key is not None:
            return key
        with self._aside.connect().execution_options(writes=False) as connection:
            if connection.execute(THE_HOUSES).scalar():
                return self._house_key(connection)
        with explained():
            for turn, pause in enumerate(pauses(_PATIENCE_S)):
                try:
                    return self._made_aside()
                except DBAPIError as error:
                    if not passes(error, committing=False, turn=turn):
                        raise
                time.sleep(pause)
            return self._made_aside()

    def _made_aside(self) -> DataKey:
        with self._aside.begin() as connection:
            return self._house_key(connection)

    # what lies beside the records: checkpoints and files

    def seal(self, content: bytes, place: str, case_id: str = "") -> bytes:
        """Under the case's key, which is there with the case; under the house's, if there is none any more."""
        key = self.reading(case_id) if case_id else None
        return (key or self.house()).seal_bytes(content, place)

    def unseal(self, content: bytes, place: str) -> bytes | None:
        """What lies in the clear as it is; None if its key was destroyed. Raises `KeyMissing` and `Tampered`."""
        owner = owner_of_bytes(content)
        if owner is None:
            return content
        key = self.reading(owner)
        return None if key is None else key.open_bytes(content, place)

    # writing

    def own(self, session: Session, table: type[SQLModel], row: dict[str, Any]) -> None:
        """Gives each sealed value of a row that is about to be inserted its key, in place."""
        names = [name for name in sealed_columns(table) if row.get(name) and not hasattr(row[name], "key")]
        if table is ActionRow:
            _cases(session)[row["id"]] = row["case_id"]
        if names:
            key = self._of(session, row["workspace"], self._owner(session, table, row))
            row.update({name: owned(row[name], key) for name in names})

    def own_rows(self, session: Session) -> None:
        """The same for the rows that a session is about to write."""
        for instance in (*session.new, *session.dirty):
            table: type[SQLModel] = type(instance)
            names = sealed_columns(table)
            state: InstanceState[Any] = inspect(instance)
            fields = instance.__dict__
            changed = [n for n in names if fields.get(n) and (state.key is None or state.attrs[n].history.added)]
            if isinstance(instance, CaseRow) and state.key is None:
                self._of(session, instance.workspace, instance.id)  # whatever it holds, it has a key to destroy
            if changed:
                key = self._of(session, instance.workspace, self._owner(session, table, fields))
                for name in changed:
                    setattr(instance, name, owned(fields[name], key))

    def own_values(self, session: Session, action_id: str, values: dict[str, Any]) -> dict[str, Any]:
        """The same for an update of what belongs to an action's case."""
        if not any(isinstance(value, (str, dict)) and value for value in values.values()):
            return values
        case_id = self._case_of(session, action_id)
        key = self._of(session, session.info["workspace"], case_id)
        return {name: owned(v, key) if isinstance(v, (str, dict)) and v else v for name, v in values.items()}

    def ready(self) -> None:
        """Makes the house's key, if there is none. Raises `KeyMissing` where another master key was in use."""
        self.house()

    def destroy(self, session: Session, case_id: str) -> bool:
        """From the commit on nobody reads what it sealed, on this disk or on any copy. False if it is gone already."""
        session.flush()
        now = session.info["now"]
        gone: Any = session.connection().execute(DESTROY, {"owner": case_id, "wrapped": "", "at": now})
        session.info.setdefault("keys_destroyed", []).append(case_id)
        session.info.get("keys_made", {}).pop(case_id, None)
        self.forget(case_id)
        return bool(gone.rowcount)

    def of_case(self, session: Session, workspace: str, case_id: str) -> DataKey:
        """The house's, where there is no case or its key was destroyed."""
        return self._of(session, workspace, case_id)

    def _owner(self, session: Session, table: type[SQLModel], fields: dict[str, Any]) -> str:
        if table is CaseRow:
            return str(fields["id"])
        if case_id := fields.get("case_id"):
            return str(case_id)
        if table is VoteRow:
            return str(session.connection().execute(CASE_ASKED, {"review": fields["review_id"]}).scalar() or "")
        return self._case_of(session, fields["action_id"]) if fields.get("action_id") else ""

    def _case_of(self, session: Session, action_id: str) -> str:
        known = _cases(session)
        if action_id not in known:
            known[action_id] = str(session.connection().execute(CASE_OF, {"action": action_id}).scalar() or "")
        return known[action_id]

    def _of(self, session: Session, workspace: str, owner: str) -> DataKey:
        """A key that is in the database when this transaction is committed."""
        connection = session.connection()
        mine: dict[str, DataKey] = session.info.setdefault("keys_made", {})
        if not owner:
            if own := [key for name, key in mine.items() if name.startswith(HOUSE)]:
                return own[0]
            hit, key = self._at_hand(self._house, committed=True)
            return key if hit and key is not None else self._house_key(connection, session)
        if owner in mine:
            return mine[owner]
        hit, key = self._at_hand(owner, committed=True)
        if not hit or (key is not None and _may_be_gone(session, owner)):
            found, key = self._look(connection, owner)
            if not found:
                return self._make(connection, session, workspace, owner)
        return key if key is not None else self._of(session, workspace, "")

    def _make(self, connection: Connection, session: Session | None, workspace: str, owner: str) -> DataKey:
        key = DataKey.new(owner)
        made_at = session.info["now"] if session is not None else _now()
        row = {"new_workspace": workspace, "new_id": owner, "new_created_at": made_at}
        for _ in range(_TURNS):
            house, in_force = self._in_force if self._in_force[0] else self._look_in_force(connection)
            master, wrapped = self.masters.wrap(key, in_force)
            row |= {"new_wrapped": wrapped, "new_master": master}
            insert = insert_key(connection.dialect.name, first=not house)
            if connection.execute(insert, {**row, "house": house} if house else row).rowcount == 1:
                break
            found, theirs = self._look(connection, owner)
            if theirs is not None:
                return theirs  # another process was faster
            if found:
                raise missing([f"of {owner}"], self.masters)
            self._look_in_force(connection)
        else:
            raise missing([f"of {owner}"], self.masters)
        if session is None:
            self._keep(owner, key)
        else:
            session.info.setdefault("keys_made", {})[owner] = key
            with self._guard:
                self._made[owner] = key
        return key

    def _look_in_force(self, connection: Connection) -> tuple[str, str]:
        """The house's keys say which master key is, for every process: those that it replaced may be gone soon."""
        house = self._house or str(connection.execute(THE_HOUSES).scalar() or "")
        row = connection.execute(ONE, {"owner": house}).first() if house else None
        self._in_force = (house, row.master) if row is not None else ("", "")
        self._have(self._in_force[1])
        return self._in_force

    def _have(self, master: str) -> None:
        if master and not self.masters.holds(master) and self._reload is not None:
            self.masters = self._reload() or self.masters

    def _house_key(self, connection: Connection, session: Session | None = None) -> DataKey:
        found = connection.execute(THE_HOUSES).scalar()
        if found is None:
            name = DataKey.new("x").secret.hex()[:12]
            return self._make(connection, session, HOME, f"{HOUSE}{name}")
        self._house = str(found)
        _, key = self._look(connection, self._house)
        if key is None:
            raise missing([f"of {found}"], self.masters)
        return key

    # what is at hand

    def committed(self, session: Session) -> None:
        for owner, key in session.info.pop("keys_made", {}).items():
            with self._guard:
                self._made.pop(owner, None)
            self._keep(owner, key)
            if owner.startswith(HOUSE):
                self._house = owner

    def rolled_back(self, session: Session) -> None:
        if gone := session.info.pop("keys_destroyed", None):
            self.forget(*gone)
        for owner in session.info.pop("keys_made", {}):
            with self._guard:
                self._made.pop(owner, None)

    def forget(self, *owners: str) -> None:
        """They were destroyed, or there is a new one; all of them, if none is named."""
        with self._guard:
            for owner in owners or tuple(self._known):
                self._known.pop(owner, None)
        self._house = "" if not owners else self._house

    def _at_hand(self, owner: str, committed: bool = False) -> tuple[bool, DataKey | None]:
        with self._guard:
            if not committed and owner in self._made:
                return True, self._made[owner]
            key, until = self._known.get(owner, (None, 0.0))
            return until > time.monotonic(), key

    def _look(self, connection: Connection, owner: str) -> tuple[bool, DataKey | None]:
        """Whether there is such a key, and the key; none if it was destroyed."""
        row = connection.execute(ONE, {"owner": owner}).first()
        if row is None:
            return False, None
        key = None
        if row.destroyed_at is None:
            self._have(row.master)
            key = self.masters.unwrap(owner, row.master, row.wrapped)
        self._keep(owner, key)
        return True, key

    def _keep(self, owner: str, key: DataKey | None) -> None:
        with self._guard:
            until = math.inf if owner.startswith(HOUSE) else time.monotonic() + self._keep_s
            self._known[owner] = (key, until)
            self._known.move_to_end(owner)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)


def _cases(session: Session) -> dict[str, str]:
    """Of actions that this transaction has seen, their cases."""
    found: dict[str, str] = session.info.setdefault("case_of", {})
    return found


def _may_be_gone(session: Session, case_id: str) -> bool:
    """Whether another process may have destroyed a key that is at hand: looked at once in a transaction.

    Not where the transaction has read the case, and it is not erased.
    """
    looked: set[str] = session.info.setdefault("keys_looked", set())
    case = session.identity_map.get(identity_key(CaseRow, case_id))
    if case_id in looked or (case is not None and case.__dict__.get("erased_at", "") is None):
        return False
    looked.add(case_id)
    return True


def _now() -> datetime:
    from core.clock import SystemClock

    return SystemClock().now()
