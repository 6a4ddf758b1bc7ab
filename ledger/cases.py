"""Cases and their inbox: what happened, in order, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func
from sqlmodel import Session, col, select

from core.errors import KeyReused, NotFound
from core.ids import digest, new_id
from core.states import CaseStatus, Desired, move_case
from ledger.prepared import Prepared
from ledger.tables import CaseRow, InboxRow

_CASE: Prepared[CaseRow] = Prepared(select(CaseRow).where(CaseRow.id == bindparam("id")))
_LOCKED: Prepared[CaseRow] = Prepared(select(CaseRow).where(CaseRow.id == bindparam("id")).with_for_update())
_SEEN: Prepared[int] = Prepared(
    select(InboxRow.id).where(InboxRow.source == bindparam("source"), InboxRow.event_id == bindparam("event"))
)
_UNPROCESSED: Prepared[InboxRow] = Prepared(
    select(InboxRow)
    .where(InboxRow.case_id == bindparam("case"), col(InboxRow.processed_at).is_(None))
    .order_by(col(InboxRow.seq))
)
_BACKLOG: Prepared[int] = Prepared(
    select(func.count()).select_from(InboxRow).where(col(InboxRow.processed_at).is_(None))
)


def _listens() -> ColumnElement[bool]:
    """A case that takes up an event: not one that people stopped, unless they want its end."""
    stopped = col(CaseRow.status).in_([CaseStatus.PAUSED, CaseStatus.FAILED])
    return col(CaseRow.status).in_([CaseStatus.OPEN, CaseStatus.RUNNING, CaseStatus.WAITING]) | (
        stopped & (col(CaseRow.desired) == Desired.CANCEL)
    )


_MOVING: Prepared[str] = Prepared(
    select(CaseRow.id).where(col(CaseRow.status).in_([CaseStatus.OPEN, CaseStatus.RUNNING]))
)
_CALLED: Prepared[str] = Prepared(
    select(CaseRow.id)
    .join(InboxRow, col(CaseRow.id) == col(InboxRow.case_id))
    .where(col(InboxRow.processed_at).is_(None), _listens())
)


class Cases:
    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    def get(self, case_id: str, *, lock: bool = False) -> CaseRow:
        """Raises `NotFound`: also for a case of another workspace."""
        row = (_LOCKED if lock else _CASE).first(self._session, id=case_id)
        if row is None:
            raise NotFound(f"There is no case '{case_id[:60]}'.", hint="countersign cases lists them.")
        return row

    def open(
        self, *, kind: str, payload: Mapping[str, Any], subject: str, opened_by: str, request_key: str | None
    ) -> tuple[CaseRow, bool]:
        """The case, and whether it is new. The same key and payload give the same case.

        Raises `KeyReused` for the same key with another payload.
        """
        content = digest({"kind": kind, "payload": dict(payload)})
        if request_key is not None:
            own = select(CaseRow).where(CaseRow.request_key == request_key, CaseRow.opened_by == opened_by)
            earlier = self._session.exec(own).first()
            if earlier is not None:
                if earlier.payload_digest != content:
                    raise KeyReused(
                        f"Idempotency key '{request_key[:60]}' was used for another request.",
                        hint="Use a new key for a new request.",
                        present=earlier.id,
                    )
                return earlier, False
        row = CaseRow(
            id=new_id("case"),
            kind=kind,
            status=CaseStatus.OPEN,
            payload=dict(payload),
            subject=subject,
            request_key=request_key,
            payload_digest=content,
            opened_by=opened_by,
            opened_at=self._now,
        )
        self._session.add(row)
        self._session.flush()
        return row, True

    def move(self, case: CaseRow, to: CaseStatus) -> None:
        """Raises `StaleState` for a move that the table of states does not have."""
        case.status = move_case(CaseStatus(case.status), to)
        case.version += 1
        self._session.add(case)

    def post(self, case: CaseRow, *, source: str, event_id: str, event: str, payload: Mapping[str, Any]) -> bool:
        """Puts an event into the case's inbox; False if it was there already."""
        if _SEEN.first(self._session, source=source, event=event_id) is not None:
            return False
        self._session.add(
            InboxRow(
                workspace=case.workspace,
                source=source,
                event_id=event_id,
                case_id=case.id,
                seq=case.next_seq,
                type=event,
                payload=dict(payload),
                received_at=self._now,
            )
        )
        case.next_seq += 1
        self._session.add(case)
        return True

    def unprocessed(self, case_id: str) -> list[InboxRow]:
        return list(_UNPROCESSED.all(self._session, case=case_id))

    def processed(self, event: InboxRow, note: str = "") -> None:
        event.processed_at = self._now
        event.note = note[:400]
        self._session.add(event)

    def backlog(self) -> int:
        """Events that wait for a segment."""
        return int(_BACKLOG.first(self._session) or 0)

    def unrung(self, limit: int = 1000) -> list[tuple[str, str]]:
        """Workspace and id of each case that has something to do."""
        found = (
            select(CaseRow.workspace, CaseRow.id)
            .join(InboxRow, col(CaseRow.id) == col(InboxRow.case_id))
            .where(col(InboxRow.processed_at).is_(None), _listens())
            .distinct()
            .limit(limit)
        )
        return list(self._session.exec(found))

    def find(
        self, *, status: Sequence[str] = (), kind: str = "", before: str = "", opened_by: str = "", limit: int = 50
    ) -> list[CaseRow]:
        """Newest first; `before` is the id of the last case seen (ids sort by birth)."""
        found = select(CaseRow)
        if status:
            found = found.where(col(CaseRow.status).in_(status))
        if kind:
            found = found.where(CaseRow.kind == kind)
        if opened_by:
            found = found.where(CaseRow.opened_by == opened_by)
        if before:
            found = found.where(CaseRow.id < before)
        return list(self._session.exec(found.order_by(col(CaseRow.id).desc()).limit(limit)))

    def unfinished(self) -> list[CaseRow]:
        done = [CaseStatus.CLOSED, CaseStatus.CANCELLED]
        return list(self._session.exec(select(CaseRow).where(col(CaseRow.status).not_in(done))))

    def moving(self) -> set[str]:
        """Cases that a segment works on, or will soon."""
        return {*_MOVING.all(self._session), *_CALLED.all(self._session)}

    def by_status(self) -> dict[str, int]:
        found = select(CaseRow.status, func.count()).group_by(CaseRow.status)
        return {str(status): int(count) for status, count in self._session.exec(found)}

    def known(self, case_ids: set[str]) -> set[str]:
        """Those of the ids that are cases here."""
        ids = sorted(case_ids)
        found: set[str] = set()
        for start in range(0, len(ids), 500):
            part = select(CaseRow.id).where(col(CaseRow.id).in_(ids[start : start + 500]))
            found.update(self._session.exec(part))
        return found
