"""Cases and their inbox: what happened, in order, once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, exists, func
from sqlmodel import Session, col, select

from core.errors import KeyReused, NotFound
from core.ids import digest, new_id
from core.states import CaseStatus, Desired, ReviewStatus, move_case
from ledger.prepared import Prepared
from ledger.process_tables import OutboxRow
from ledger.tables import CaseRow, InboxRow, ReviewRow, TimerRow

_CASE: Prepared[CaseRow] = Prepared(select(CaseRow).where(CaseRow.id == bindparam("id")))
_LOCKED: Prepared[CaseRow] = Prepared(select(CaseRow).where(CaseRow.id == bindparam("id")).with_for_update())
_SEEN: Prepared[int] = Prepared(
    select(InboxRow.id).where(InboxRow.source == bindparam("source"), InboxRow.event_id == bindparam("event")),
    by_workspace=True,
)
_UNPROCESSED: Prepared[InboxRow] = Prepared(
    select(InboxRow)
    .where(InboxRow.case_id == bindparam("case"), col(InboxRow.processed_at).is_(None))
    .order_by(col(InboxRow.seq))
)
_SAID: Prepared[InboxRow] = Prepared(
    select(InboxRow)
    .where(InboxRow.case_id == bindparam("case"), InboxRow.type == "customer.wrote")
    .order_by(col(InboxRow.seq))
)
_BACKLOG: Prepared[int] = Prepared(
    select(func.count()).select_from(InboxRow).where(col(InboxRow.processed_at).is_(None))
)


_KEYED: Prepared[CaseRow] = Prepared(
    select(CaseRow).where(CaseRow.opened_by == bindparam("by"), CaseRow.request_key == bindparam("key")),
    by_workspace=True,
)


_PAGE = 1000


def _listens() -> ColumnElement[bool]:
    """A case that takes up an event: not one that people stopped or hold back, unless they want its end."""
    stopped = col(CaseRow.status).in_([CaseStatus.PAUSED, CaseStatus.FAILED])
    ready = col(CaseRow.status).in_([CaseStatus.OPEN, CaseStatus.RUNNING, CaseStatus.WAITING])
    return (ready & ~_held_back()) | (stopped & (col(CaseRow.desired) == Desired.CANCEL))


def _held_back() -> ColumnElement[bool]:
    return (col(CaseRow.held) != "") & (col(CaseRow.desired) != Desired.CANCEL)


def _at_work() -> ColumnElement[bool]:
    """A segment has it, or takes it next. One that is held back before it began stays where it is."""
    status = col(CaseRow.status)
    return (status == CaseStatus.RUNNING) | ((status == CaseStatus.OPEN) & ~_held_back())


_MOVING: Prepared[str] = Prepared(select(CaseRow.id).where(_at_work()), by_workspace=True)
_CALLED: Prepared[str] = Prepared(
    select(CaseRow.id).where(
        col(CaseRow.id).in_(select(InboxRow.case_id).where(col(InboxRow.processed_at).is_(None))), _listens()
    )
)
_MOVES: Prepared[str] = Prepared(
    select(CaseRow.id)
    .where(CaseRow.id == bindparam("id"))
    .where(
        _at_work()
        | (
            select(InboxRow.id)
            .where(InboxRow.case_id == bindparam("id"), col(InboxRow.processed_at).is_(None))
            .exists()
            & _listens()
        )
    )
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

    def keyed(self, opened_by: str, request_key: str) -> CaseRow | None:
        """The case that somebody opened with this key."""
        return _KEYED.first(self._session, by=opened_by, key=request_key)

    def open(
        self,
        *,
        kind: str,
        payload: Mapping[str, Any],
        subject: str,
        opened_by: str,
        request_key: str | None,
        priority: int = 0,
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
            priority=priority,
        )
        self._session.add(row)
        self._session.flush()
        return row, True

    def move(self, case: CaseRow, to: CaseStatus) -> None:
        """Raises `StaleState` for a move that the table of states does not have."""
        case.status = move_case(CaseStatus(case.status), to)
        if to != CaseStatus.RUNNING:
            case.worker = ""
        case.version += 1
        if to is CaseStatus.RUNNING:
            case.pruned_at = None  # it makes new checkpoints
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

    def said(self, case_id: str) -> list[InboxRow]:
        """What its customer wrote since it was opened, worked off or not."""
        return list(_SAID.all(self._session, case=case_id))

    def backlog(self) -> int:
        """Events that wait for a segment."""
        return int(_BACKLOG.first(self._session) or 0)

    def unrung(self, limit: int = 1000) -> list[tuple[str, str]]:
        """Workspace and id of each case that has something to do; not of those that wait for one release."""
        any_may = (col(CaseRow.release) == "") | (col(CaseRow.desired) == Desired.CANCEL)
        return self._called(any_may, limit)

    def bound(self, release: str, limit: int = 100) -> list[tuple[str, str]]:
        """Workspace and id of each case that has something to do, and that only this release may go on with."""
        return self._called(col(CaseRow.release) == release, limit) if release else []

    def _called(self, which: ColumnElement[bool], limit: int) -> list[tuple[str, str]]:
        # From the few events to their cases: whatever the number of those that wait, they are not looked through.
        events = select(InboxRow.case_id).where(col(InboxRow.processed_at).is_(None))
        found = select(CaseRow.workspace, CaseRow.id).where(col(CaseRow.id).in_(events), _listens(), which)
        return list(self._session.exec(found.limit(limit)))

    def begun(self) -> Iterator[CaseRow]:
        """Those that have had a segment, and are not over; in pages."""
        done, after = [CaseStatus.CLOSED, CaseStatus.CANCELLED], ""
        found = select(CaseRow).where(CaseRow.epoch > 0, col(CaseRow.status).not_in(done)).order_by(col(CaseRow.id))
        while page := list(self._session.exec(found.where(CaseRow.id > after).limit(_PAGE))):
            yield from page
            after = page[-1].id
            self._session.expunge_all()

    def find(
        self,
        *,
        status: Sequence[str] = (),
        kind: str = "",
        subject: str = "",
        before: str = "",
        opened_by: str = "",
        limit: int = 50,
    ) -> list[CaseRow]:
        """Newest first; `before` is the id of the last case seen (ids sort by birth)."""
        found = select(CaseRow)
        if status:
            found = found.where(col(CaseRow.status).in_(status))
        if kind:
            found = found.where(CaseRow.kind == kind)
        if subject:
            found = found.where(CaseRow.subject == subject)
        if opened_by:
            found = found.where(CaseRow.opened_by == opened_by)
        if before:
            found = found.where(CaseRow.id < before)
        return list(self._session.exec(found.order_by(col(CaseRow.id).desc()).limit(limit)))

    def stuck(self) -> list[tuple[str, str]]:
        """Id and status of each case that is not over, and waits for no review, no timer and no segment."""
        done = [CaseStatus.CLOSED, CaseStatus.CANCELLED]
        asks = exists().where(col(ReviewRow.case_id) == col(CaseRow.id), col(ReviewRow.status) == ReviewStatus.OPEN)
        timed = exists().where(col(TimerRow.case_id) == col(CaseRow.id), col(TimerRow.fired_at).is_(None))
        called = exists().where(col(InboxRow.case_id) == col(CaseRow.id), col(InboxRow.processed_at).is_(None))
        stopped = col(CaseRow.status).in_([CaseStatus.PAUSED, CaseStatus.FAILED])
        rung = called & (~stopped | (col(CaseRow.desired) != Desired.RUN))  # nothing rings one that trouble stopped
        found = select(CaseRow.id, CaseRow.status).where(col(CaseRow.status).not_in(done), ~asks, ~timed, ~rung)
        return list(self._session.exec(found.order_by(col(CaseRow.id))))

    def untold(self) -> list[str]:
        """Ids of cases that are over, and of whose end nobody outside is told. One whose older events are kept has
        this one too."""
        done = [CaseStatus.CLOSED, CaseStatus.CANCELLED]
        of_case = col(OutboxRow.case_id) == col(CaseRow.id)
        kept = exists().where(of_case, col(OutboxRow.at) <= col(CaseRow.closed_at))
        told = exists().where(of_case, col(OutboxRow.type) == "case.closed")
        found = select(CaseRow.id).where(col(CaseRow.status).in_(done), ~col(CaseRow.simulated), kept, ~told)
        return list(self._session.exec(found.order_by(col(CaseRow.id))))

    def moves(self, case_id: str) -> bool:
        """Whether a segment works on this case, or will soon."""
        return _MOVES.first(self._session, id=case_id) is not None

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
