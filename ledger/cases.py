"""Cases and their inbox: what happened, in order, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from core.errors import KeyReused, NotFound
from core.ids import digest, new_id
from core.states import CaseStatus, move_case
from ledger.tables import CaseRow, InboxRow


class Cases:
    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    def get(self, case_id: str, *, lock: bool = False) -> CaseRow:
        """Raises `NotFound`: also for a case of another workspace."""
        found = select(CaseRow).where(CaseRow.id == case_id)
        row = self._session.exec(found.with_for_update() if lock else found).first()
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
            earlier = self._session.exec(select(CaseRow).where(CaseRow.request_key == request_key)).first()
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
        seen = select(InboxRow.id).where(InboxRow.source == source, InboxRow.event_id == event_id)
        if self._session.exec(seen).first() is not None:
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
        found = select(InboxRow).where(InboxRow.case_id == case_id, col(InboxRow.processed_at).is_(None))
        return list(self._session.exec(found.order_by(col(InboxRow.seq))))

    def processed(self, event: InboxRow, note: str = "") -> None:
        event.processed_at = self._now
        event.note = note[:400]
        self._session.add(event)

    def backlog(self) -> int:
        """Events that wait for a segment."""
        found = select(func.count()).select_from(InboxRow).where(col(InboxRow.processed_at).is_(None))
        return int(self._session.exec(found).one())

    def unrung(self, limit: int = 1000) -> list[tuple[str, int, int]]:
        """Case, first unprocessed seq and crashes of each case that has something to do."""
        found = (
            select(InboxRow.case_id, func.min(InboxRow.seq), func.min(CaseRow.crashes))
            .join(CaseRow, col(CaseRow.id) == col(InboxRow.case_id))
            .where(col(InboxRow.processed_at).is_(None))
            .where(col(CaseRow.status).in_([CaseStatus.OPEN, CaseStatus.RUNNING, CaseStatus.WAITING]))
            .group_by(InboxRow.case_id)
            .limit(limit)
        )
        return [(case, int(seq), int(crashes)) for case, seq, crashes in self._session.exec(found)]

    def find(self, *, status: Sequence[str] = (), kind: str = "", before: str = "", limit: int = 50) -> list[CaseRow]:
        """Newest first; `before` is the id of the last case seen (ids sort by birth)."""
        found = select(CaseRow)
        if status:
            found = found.where(col(CaseRow.status).in_(status))
        if kind:
            found = found.where(CaseRow.kind == kind)
        if before:
            found = found.where(CaseRow.id < before)
        return list(self._session.exec(found.order_by(col(CaseRow.id).desc()).limit(limit)))

    def unfinished(self) -> list[CaseRow]:
        done = [CaseStatus.CLOSED, CaseStatus.CANCELLED]
        return list(self._session.exec(select(CaseRow).where(col(CaseRow.status).not_in(done))))

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
