"""What we tell others: written with what it tells of, given a place in the order of all, and then sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, update
from sqlmodel import Session, col, select

from ledger.pen import Pen
from ledger.process_tables import OutboxRow
from ledger.tables import CaseRow


class Outbox:
    def __init__(self, session: Session, now: datetime, pen: Pen) -> None:
        self._session = session
        self._now = now
        self._pen = pen

    def tell(self, case: CaseRow, event: str, body: dict[str, Any]) -> None:
        """Writes an event about a case. Of a simulated case nobody outside hears.

        The number comes from the database: other transactions of the case wait here, so that the order of
        numbers is the order of commits.
        """
        if case.simulated:
            return
        if case in self._session.new:
            self._session.flush()
        table = CaseRow.__table__  # type: ignore[attr-defined]
        count = (
            update(table)
            .where(table.c.id == case.id)
            .values(events_out=table.c.events_out + 1)
            .returning(table.c.events_out)
        )
        seq = int(self._session.connection().execute(count).scalar_one())
        row = {
            "workspace": case.workspace,
            "event_id": f"{case.id}:{seq}",
            "type": event,
            "case_id": case.id,
            "seq": seq,
            "body": body,
            "at": self._now,
        }
        self._pen.add(OutboxRow, row)

    def unsent(self, limit: int) -> list[OutboxRow]:
        """The oldest first; those of one case in their order."""
        found = select(OutboxRow).where(col(OutboxRow.published_at).is_(None)).order_by(col(OutboxRow.id)).limit(limit)
        return list(self._session.exec(found))

    def sent(self, ids: Sequence[int]) -> None:
        """They are out. Each gets the next place in the order that subscribers read in."""
        last = int(self._session.exec(select(func.max(OutboxRow.position))).one() or 0)
        table = OutboxRow.__table__  # type: ignore[attr-defined]
        out = update(table).where(table.c.id == bindparam("row"), table.c.published_at.is_(None))
        out = out.values(published_at=self._now, position=bindparam("place"))
        places = [{"row": row, "place": number} for number, row in enumerate(ids, last + 1)]
        self._session.connection().execute(out, places)

    def last(self) -> int:
        """The position of the newest that is out."""
        return int(self._session.exec(select(func.max(OutboxRow.position))).one() or 0)

    def published(self, after: int, limit: int, opened_by: str = "") -> list[OutboxRow]:
        """What is out, in order, from after a position; `opened_by` narrows it to the cases of one person."""
        found = select(OutboxRow).where(col(OutboxRow.position) > after)
        if opened_by:
            mine = select(CaseRow.id).where(CaseRow.opened_by == opened_by)
            found = found.where(col(OutboxRow.case_id).in_(mine))
        return list(self._session.exec(found.order_by(col(OutboxRow.position)).limit(limit)))
