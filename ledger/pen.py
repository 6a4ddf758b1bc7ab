"""Rows that are only ever added: gathered while a transaction runs, written in one go before it commits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

from ledger.tables import SYSTEM


class Pen:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: dict[type[SQLModel], list[dict[str, Any]]] = {}

    def add(self, table: type[SQLModel], row: dict[str, Any]) -> None:
        """A row that is there already, by any unique key, stays as it is."""
        row["workspace"] = row.get("workspace") or self._session.info["workspace"]
        if row["workspace"] == SYSTEM:
            raise AssertionError(f"a {table.__name__} of no workspace")
        self._rows.setdefault(table, []).append(row)

    def write(self) -> None:
        for table, rows in self._rows.items():
            self._session.execute(self.insert(table), rows)
        self._rows.clear()

    def insert(self, table: type[SQLModel]) -> Any:
        name = self._session.get_bind().dialect.name
        target: Table = table.__table__  # type: ignore[attr-defined]
        if name == "sqlite":
            return sqlite.insert(target).on_conflict_do_nothing()
        return postgresql.insert(target).on_conflict_do_nothing()
