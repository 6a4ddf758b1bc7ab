"""Seals what was written before there were keys, row by row, where it lies.

Rows that are only ever added can't be changed: their triggers stand aside for each piece, in its own transaction, so
that a crash leaves them in place. What is sealed already is passed over, so whoever was cut off begins again. Entries
of the audit chain stay as they are: their text is what was hashed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table, Text, cast, select, tuple_, update
from sqlmodel import SQLModel, col

from core.personal import is_clear, texts
from core.sealing import FORM
from ledger.columns import SealedObject, SealedText, SealedTexts
from ledger.database import Database, Ledger
from ledger.keys import Keys, sealed_columns
from ledger.tables import SYSTEM, CaseRow, Row

_PIECE = 500
_OWNERS = ("workspace", "id", "case_id", "action_id", "review_id")
"""By what a row tells whose it is."""

Place = tuple[Any, ...]


def seal_all(database: Database, tell: Callable[[str, int], None]) -> int:
    """Returns how many rows it sealed; tells of each table with how many so far."""
    done = 0
    for model in sorted(_models(), key=lambda each: str(each.__tablename__)):
        after: Place | None = None
        while True:
            many, after = database.transact(SYSTEM, lambda ledger, m=model, a=after: _piece(ledger, m, a))  # type: ignore[misc]
            if many:
                done += many
                tell(str(model.__tablename__), done)
            if after is None:
                break
    if done and database.engine.dialect.name == "sqlite":  # what was written over may still lie between the rows
        with database.engine.connect() as connection:
            plain = connection.connection.driver_connection
            assert plain is not None
            for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                plain.execute(statement)
    return done


def has_cases(database: Database) -> bool:
    """Whether there is anything that could be about somebody."""
    with database.engine.connect().execution_options(writes=False) as connection:
        return connection.execute(select(col(CaseRow.id)).limit(1)).first() is not None


def _models() -> list[type[SQLModel]]:
    return [model for model in Row.__subclasses__() if hasattr(model, "__table__") and sealed_columns(model)]


def _piece(ledger: Ledger, model: type[SQLModel], after: Place | None) -> tuple[int, Place | None]:
    """How many rows it sealed, and where the next piece begins; None at the end."""
    keys: Keys = ledger.session.info["keys"]
    table: Table = model.__table__  # type: ignore[attr-defined]
    primary = list(table.primary_key.columns)
    sealed = [column for column in table.columns if column.key in sealed_columns(model)]
    stored = [cast(column, Text).label(f"stored_{column.key}") for column in sealed]
    about = [table.c[name] for name in _OWNERS if name in table.c and table.c[name] not in primary]
    found = select(*primary, *about, *stored).order_by(*primary).limit(_PIECE).with_for_update()
    if after is not None:
        found = found.where(tuple_(*primary) > tuple_(*after))
    connection = ledger.session.connection()
    rows = connection.execute(found).all()
    changes: list[tuple[Any, dict[str, Any]]] = []
    for row in rows:
        plain = {c.key: value for c in sealed if (value := _plain(c.type, getattr(row, f"stored_{c.key}")))}
        if plain:
            whose = {column.key: getattr(row, column.key) for column in (*primary, *about)}
            keys.own(ledger.session, model, fields := whose | plain)
            changes.append((row, {name: fields[name] for name in plain}))
    if changes:
        with _untouched(connection, table.name):
            for row, values in changes:
                same = [column == getattr(row, column.key) for column in primary]
                connection.execute(update(table).where(*same).values(values))
    last = rows[-1] if len(rows) == _PIECE else None
    return len(changes), tuple(getattr(last, column.key) for column in primary) if last is not None else None


def _plain(kind: Any, stored: str | None) -> Any:
    """The value, if it lies in the clear and says something about somebody; else None."""
    if not stored:
        return None
    match kind:
        case SealedText():
            return None if stored.startswith(FORM) else stored
        case SealedObject():
            value = json.loads(stored)
            return None if isinstance(value, dict) and "$sealed" in value else value
        case SealedTexts():
            value = json.loads(stored)
            part = {name: value[name] for name in kind.within if name in value} if kind.within else value
            told = [text for text in texts(part) if not is_clear(text)]
            return value if told and not any(text.startswith(FORM) for text in told) else None
        case _:
            raise AssertionError(f"no sealed column: {kind!r}")


@contextmanager
def _untouched(connection: Connection, table: str) -> Iterator[None]:
    """In here the table's triggers don't look; whatever happens, they are there when the transaction ends."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
        yield
        connection.exec_driver_sql(f'ALTER TABLE "{table}" ENABLE TRIGGER USER')
        return
    listed = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
    triggers = connection.exec_driver_sql(listed, (table,)).all()
    for name, _ in triggers:
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
    yield
    for _, made in triggers:
        connection.exec_driver_sql(made)
