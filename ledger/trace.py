"""The event log of a case: what happened, for streams, timelines and people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from ledger.order_postgres import SETTLED
from ledger.pen import Pen
from ledger.tables import TraceRow


class Trace:
    def __init__(self, session: Session, now: datetime, pen: Pen) -> None:
        self._session = session
        self._now = now
        self._pen = pen

    def add(self, case_id: str, entry: str, body: dict[str, Any], *, workspace: str = "") -> None:
        row = {"workspace": workspace, "case_id": case_id, "type": entry, "body": body, "at": self._now}
        self._pen.add(TraceRow, row)

    def of_case(self, case_id: str, after: int = 0, limit: int = 500) -> list[TraceRow]:
        return self._after(select(TraceRow).where(TraceRow.case_id == case_id), after, limit)

    def of_type(self, case_id: str, entry: str) -> list[TraceRow]:
        """Oldest first."""
        found = select(TraceRow).where(TraceRow.case_id == case_id, TraceRow.type == entry)
        return list(self._session.exec(found.order_by(col(TraceRow.seq))))

    def last_of_case(self, case_id: str, limit: int) -> list[TraceRow]:
        """The last so many, in their order."""
        settled, found = self._settled(), select(TraceRow).where(TraceRow.case_id == case_id)
        if settled is not None:
            found = found.where(col(TraceRow.seq) <= settled)
        return list(self._session.exec(found.order_by(col(TraceRow.seq).desc()).limit(limit)))[::-1]

    def since(self, after: int, limit: int = 500) -> list[TraceRow]:
        """Of the whole workspace, for the desk."""
        return self._after(select(TraceRow), after, limit)

    def last(self) -> int:
        """The number up to which everything is there: who reads on from it misses nothing."""
        settled = self._settled()
        return int(self._session.exec(select(func.max(TraceRow.seq))).one() or 0) if settled is None else settled

    def _after(self, found: Any, after: int, limit: int) -> list[TraceRow]:
        settled = self._settled()
        if settled is not None:
            found = found.where(col(TraceRow.seq) <= settled)
        return list(self._session.exec(found.where(col(TraceRow.seq) > after).order_by(col(TraceRow.seq)).limit(limit)))

    def _settled(self) -> int | None:
        """None in SQLite, where one writes after the other."""
        connection = self._session.connection()
        return None if connection.dialect.name == "sqlite" else int(connection.execute(SETTLED).scalar_one())
