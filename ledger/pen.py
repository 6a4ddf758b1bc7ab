"""Rows that are only ever added: gathered while a transaction runs, written in one go before it commits."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

from ledger.tables import SYSTEM


@cache
def _insert(table: type[SQLModel], dialect: str) -> Insert:
    """Built once for each table: building it costs more than running it."""
    target: Table = table.__table__  # type: ignore[attr-defined]
    insert = sqlite.insert(target) if dialect == "sqlite" else postgresql.insert(target)
    return insert.on_conflict_do_nothing().execution_options(preserve_rowcount=True)


class Pen:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: dict[type[SQLModel], list[dict[str, Any]]] = {}

    def add(self, table: type[SQLModel], row: dict[str, Any]) -> None:
        """A row that is there already, by any unique key, stays as it is."""
        self._rows.setdefault(table, []).append(self._owned(table, row))

    def write(self, *only: type[SQLModel]) -> None:
        """Writes what was gathered, for some tables or for all."""
        for table in only or tuple(self._rows):
            if rows := self._rows.pop(table, None):
                self.insert(table, rows)

    def insert(self, table: type[SQLModel], rows: list[dict[str, Any]]) -> int:
        """Adds them right away. Returns how many were new."""
        connection = self._session.connection()
        statement = _insert(table, connection.dialect.name)
        return connection.execute(statement, [self._owned(table, row) for row in rows]).rowcount

    def _owned(self, table: type[SQLModel], row: dict[str, Any]) -> dict[str, Any]:
        mine = self._session.info["workspace"]
        row["workspace"] = row.get("workspace") or mine
        if row["workspace"] == SYSTEM or mine not in (SYSTEM, row["workspace"]):
            raise AssertionError(f"{table.__name__} of {row['workspace']!r} written by {mine!r}")
        if (keys := self._session.info.get("keys")) is not None:
            keys.own(self._session, table, row)
        return row
