"""The event log of a case: what happened, for streams, timelines and people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

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
        found = select(TraceRow).where(TraceRow.case_id == case_id, col(TraceRow.seq) > after)
        return list(self._session.exec(found.order_by(col(TraceRow.seq)).limit(limit)))

    def since(self, after: int, limit: int = 500) -> list[TraceRow]:
        """Of the whole workspace, for the desk."""
        found = select(TraceRow).where(col(TraceRow.seq) > after)
        return list(self._session.exec(found.order_by(col(TraceRow.seq)).limit(limit)))

    def last(self) -> int:
        return int(self._session.exec(select(func.max(TraceRow.seq))).one() or 0)
