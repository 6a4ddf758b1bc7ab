"""Timers: moments at which something happens to a case, whoever is running then."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import update
from sqlmodel import Session, col, select

from core.ids import new_id
from ledger.prepared import SCOPED
from ledger.tables import TimerRow

_TIMERS = TimerRow.__table__  # type: ignore[attr-defined]


class Timers:
    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    def set(
        self, *, case_id: str, purpose: str, due_at: datetime, review_id: str = "", workspace: str = ""
    ) -> TimerRow:
        row = TimerRow(
            workspace=workspace,
            id=new_id("tmr"),
            case_id=case_id,
            review_id=review_id,
            purpose=purpose,
            due_at=due_at,
        )
        self._session.add(row)
        return row

    def due(self, limit: int = 500) -> list[TimerRow]:
        found = select(TimerRow).where(col(TimerRow.fired_at).is_(None), col(TimerRow.due_at) <= self._now)
        return list(self._session.exec(found.order_by(col(TimerRow.due_at)).limit(limit)))

    def pending(self, case_id: str) -> list[TimerRow]:
        found = select(TimerRow).where(TimerRow.case_id == case_id, col(TimerRow.fired_at).is_(None))
        return list(self._session.exec(found))

    def fire(self, timer: TimerRow) -> bool:
        """False where another process fired it first, or took it away: then nothing is to be done about it."""
        fire = (
            update(_TIMERS)
            .where(_TIMERS.c.id == timer.id, _TIMERS.c.fired_at.is_(None))
            .values(fired_at=self._now)
            .execution_options(**{SCOPED: True})
        )
        return bool(self._session.connection().execute(fire).rowcount == 1)

    def stop(self, *, review_id: str, purpose: str) -> bool:
        """Whether there was such a timer and it will not fire. False where it fired before, here or elsewhere."""
        found = select(TimerRow).where(
            TimerRow.review_id == review_id, TimerRow.purpose == purpose, col(TimerRow.fired_at).is_(None)
        )
        return sum(self.fire(timer) for timer in self._session.exec(found)) > 0

    def cancel(self, *, review_id: str) -> None:
        """Its review was decided: it will not fire."""
        found = select(TimerRow).where(TimerRow.review_id == review_id, col(TimerRow.fired_at).is_(None))
        for timer in self._session.exec(found):
            self.fire(timer)
