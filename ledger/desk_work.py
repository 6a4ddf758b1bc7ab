"""Questions that were passed on, and saved filters of the queue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from core.errors import Conflict, NotFound
from ledger.desk_tables import EscalationRow, SavedFilterRow
from ledger.prepared import Prepared
from ledger.review_windows import ReviewWindows

MOST_FILTERS = 100
"""That one person keeps, or that all share."""
SHARED = ""
"""The owner of what is everybody's."""

_STANDING: Prepared[str] = Prepared(
    select(EscalationRow.person).where(
        EscalationRow.action_id == bindparam("action"), col(EscalationRow.undone_at).is_(None)
    )
)


class DeskWork:
    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    @property
    def windows(self) -> ReviewWindows:
        return ReviewWindows(self._session, self._now)

    # passed on

    def passed_on(self, row: EscalationRow) -> None:
        row.at = self._now
        self._session.add(row)
        self._session.flush()

    def passed_on_by(self, action_id: str) -> list[str]:
        """Who passed on the question of this action, and did not take that back: they have no vote on it."""
        return list(_STANDING.all(self._session, action=action_id))

    def escalations(self, review_id: str) -> list[EscalationRow]:
        found = select(EscalationRow).where(EscalationRow.review_id == review_id)
        return list(self._session.exec(found.order_by(col(EscalationRow.id))))

    def taken_back(self, row: EscalationRow) -> None:
        row.undone_at = self._now
        self._session.add(row)

    # filters

    def filters(self, person: str) -> list[SavedFilterRow]:
        """One's own, then those that all share, each by name."""
        found = select(SavedFilterRow).where(col(SavedFilterRow.owner).in_([person, SHARED]))
        rows = self._session.exec(found.order_by(col(SavedFilterRow.name)))
        return sorted(rows, key=lambda row: row.owner == SHARED)

    def filter(self, person: str, name: str) -> SavedFilterRow:
        """One's own goes before a shared one of the same name. Raises `NotFound`."""
        found = next((row for row in self.filters(person) if row.name == name), None)
        if found is None:
            raise NotFound(f"There is no filter '{name[:64]}'.", hint="GET /api/v1/approvals/filters lists them.")
        return found

    def save_filter(self, owner: str, name: str, wanted: Mapping[str, Any], by: str) -> tuple[SavedFilterRow, bool]:
        """The filter, and whether it is new. Raises `Conflict` where there are too many."""
        mine = list(self._session.exec(select(SavedFilterRow).where(SavedFilterRow.owner == owner)))
        row = next((each for each in mine if each.name == name), None)
        new = row is None
        if row is None:
            if len(mine) >= MOST_FILTERS:
                raise Conflict(f"There are {MOST_FILTERS} filters already.", hint="Delete one that nobody uses.")
            row = SavedFilterRow(workspace="", owner=owner, name=name, saved_by=by, saved_at=self._now)
        row.wanted, row.saved_by, row.saved_at = dict(wanted), by, self._now
        self._session.add(row)
        self._session.flush()
        return row, new

    def drop_filter(self, owner: str, name: str) -> None:
        """Raises `NotFound`."""
        found = select(SavedFilterRow).where(SavedFilterRow.owner == owner, SavedFilterRow.name == name)
        row = self._session.exec(found).first()
        if row is None:
            raise NotFound(f"There is no filter '{name[:64]}' of this owner.", hint="GET /api/v1/approvals/filters")
        self._session.delete(row)
