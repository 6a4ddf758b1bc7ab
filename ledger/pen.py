"""Rows that are only ever added: gathered while a transaction runs, written in one go before it commits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

from ledger.prepared import SCOPED
from ledger.tables import SYSTEM


class Pen:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: dict[type[SQLModel], list[dict[str, Any]]] = {}

    def add(self, table: type[SQLModel], row: dict[str, Any]) -> None:
        """A row that is there already, by any unique key, stays as it is."""
        self._rows.setdefault(table, []).append(self._owned(table, row))

    def write(self) -> None:
        for table, rows in self._rows.items():
            self.insert(table, rows)
        self._rows.clear()

    def insert(self, table: type[SQLModel], rows: list[dict[str, Any]]) -> int:
        """Adds them right away. Returns how many were new."""
        target: Table = table.__table__  # type: ignore[attr-defined]
        dialect = sqlite if self._session.get_bind().dialect.name == "sqlite" else postgresql
        statement = dialect.insert(target).on_conflict_do_nothing().execution_options(**{SCOPED: True})
        inserted = self._session.execute(statement, [self._owned(table, row) for row in rows])
        return int(inserted.rowcount)  # type: ignore[attr-defined]  # an insert gives a cursor's result

    def _owned(self, table: type[SQLModel], row: dict[str, Any]) -> dict[str, Any]:
        mine = self._session.info["workspace"]
        row["workspace"] = row.get("workspace") or mine
        if row["workspace"] == SYSTEM or mine not in (SYSTEM, row["workspace"]):
            raise AssertionError(f"{table.__name__} of {row['workspace']!r} written by {mine!r}")
        return row
