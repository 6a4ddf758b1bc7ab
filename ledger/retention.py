"""What may go: checkpoints of cases that rest, the content of cases that are over, rows that have served their time.

A case that is unfinished, whose outcome at a provider is not known, or about which people are still asked, keeps
everything. Rows of the audit chain, actions, decisions, votes, runs and costs stay for ever; what people wrote in them
is read by nobody any more once the key of their case is destroyed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, CursorResult, Text, cast, delete, exists, func, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, SQLModel, col, select

from core.personal import texts
from core.states import FINISHED, CaseStatus, ReviewStatus, RunStatus
from ledger.keys import Keys
from ledger.pen import Pen
from ledger.process_tables import ArrivalRow, OutboxRow, SourceRow
from ledger.request_keys import RequestKeyRow, RequestKeys
from ledger.tables import AuditRow, CaseRow, InboxRow, ReviewRow, RunRow, TimerRow, TokenRow, TraceRow
from ledger.thread_tables import ThreadEventRow, ThreadRow, ThreadRunRow

_RESTS = (CaseStatus.WAITING, CaseStatus.PAUSED, CaseStatus.FAILED)
"""Nothing runs, and it goes on from its last checkpoint."""
_ENDS = {CaseStatus.CLOSED: "case.closed", CaseStatus.CANCELLED: "case.cancelled"}
"""What the audit calls it."""
_NOT_KNOWN = (RunStatus.INTENT, RunStatus.UNKNOWN)


class Named(NamedTuple):
    """A case, and what its payload may name among the attachments."""

    workspace: str
    case_id: str
    words: frozenset[str]


class Retention:
    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    # checkpoints

    def to_prune(self, before: datetime, limit: int) -> list[str]:
        """Ids of cases that rest or ended, are older, and have not been cut since they last ran. Oldest first."""
        found = select(CaseRow.id).where(*_prunable(before)).order_by(col(CaseRow.opened_at)).limit(limit)
        return list(self._session.exec(found))

    def prunable(self, before: datetime) -> int:
        return self._count(CaseRow, *_prunable(before))

    def pruned(self, case_ids: Sequence[str]) -> list[CaseRow]:
        """Marks those that have not run meanwhile, and returns them."""
        rows = self._locked(case_ids, col(CaseRow.pruned_at).is_(None), _rests_or_ended())
        for row in rows:
            row.pruned_at = self._now
            self._session.add(row)
        return rows

    # content

    def to_erase(self, before: Mapping[CaseStatus, datetime], limit: int) -> list[Named]:
        """Finished cases that nothing holds. `before` has, by how they ended, when at the latest."""
        if not before:
            return []
        found = select(CaseRow).where(*_erasable(before)).order_by(col(CaseRow.closed_at)).limit(limit)
        return [named(row) for row in self._session.exec(found)]

    def erasable(self, before: Mapping[CaseStatus, datetime]) -> int:
        return self._count(CaseRow, *_erasable(before)) if before else 0

    def named_elsewhere(self, refs: Sequence[str], but: Sequence[str]) -> set[str]:
        """Those attachments that other cases name too: content that came twice is one file."""
        if not refs:
            return set()
        text = cast(col(CaseRow.payload), Text)
        others = select(CaseRow.payload).where(
            col(CaseRow.id).not_in(but), or_(*(text.contains(ref, autoescape=True) for ref in refs))
        )
        return set(refs) & {word for payload in self._session.exec(others) for word in texts(payload)}

    def erase(self, case_id: str) -> dict[str, int] | None:
        """Destroys a finished case's key, and deletes its payload, its trace and what its events and threads said.

        None if somebody was faster, or it is needed again.
        """
        rows = self._locked([case_id], col(CaseRow.erased_at).is_(None), col(CaseRow.status).in_(FINISHED))
        if not rows or self.held([case_id]):  # something may have begun since it was chosen
            return None
        events = [
            (event, _digest_of(event.payload))
            for event in self._session.exec(select(InboxRow).where(col(InboxRow.case_id) == case_id))
        ]
        keys: Keys | None = self._session.info.get("keys")
        destroyed = {"key": int(keys.destroy(self._session, case_id))} if keys is not None else {}
        # After the key: what is written from here on is the house's, and stays readable.
        rows[0].payload, rows[0].erased_at, rows[0].pruned_at = {}, self._now, self._now
        self._session.add(rows[0])
        for event, digest in events:
            event.payload = digest
            self._session.add(event)
        self._empty_threads(case_id)
        published = (col(OutboxRow.case_id) == case_id, col(OutboxRow.published_at).is_not(None), _NOT_THE_LAST)
        return {
            "trace": self._delete(TraceRow, col(TraceRow.case_id) == case_id),
            "outbox": self._delete(OutboxRow, *published),
            "arrival": self._delete(ArrivalRow, col(ArrivalRow.case_id) == case_id),
            "source": self._delete(SourceRow, col(SourceRow.case_id) == case_id),
            "request_key": RequestKeys(self._session, self._now, Pen(self._session)).forget(case_id),
            **destroyed,
        }

    def _empty_threads(self, case_id: str) -> None:
        """Conversations that became the case: what was said in them, and what their streams told."""
        for thread in self._session.exec(select(ThreadRow).where(ThreadRow.case_id == case_id)):
            thread.state, thread.interrupts, thread.notes, thread.meta = {}, {}, {}, {}
            self._session.add(thread)
            own = (ThreadRunRow.workspace == thread.workspace, ThreadRunRow.thread_id == thread.id)
            for run in self._session.exec(select(ThreadRunRow).where(*own)):
                run.asked, run.problem, run.meta = {}, {}, {}
                self._session.add(run)
                self._delete(ThreadEventRow, col(ThreadEventRow.run_id) == run.id)

    # a person's

    def of_subject(self, subject: str) -> list[CaseRow]:
        """The cases about somebody, the oldest first."""
        found = select(CaseRow).where(CaseRow.subject == subject).order_by(col(CaseRow.opened_at), col(CaseRow.id))
        return list(self._session.exec(found))

    def held(self, case_ids: Sequence[str]) -> dict[str, str]:
        """Those that may not be erased, and why."""
        if not case_ids:
            return {}
        mine = col(CaseRow.id).in_(case_ids)
        open_ones = select(CaseRow.id).where(mine, col(CaseRow.status).not_in(FINISHED))
        asked = select(ReviewRow.case_id).where(
            col(ReviewRow.case_id).in_(case_ids), ReviewRow.status == ReviewStatus.OPEN
        )
        in_the_air = select(RunRow.case_id).where(col(RunRow.case_id).in_(case_ids), col(RunRow.status).in_(_NOT_KNOWN))
        return {
            **dict.fromkeys(self._session.exec(asked), "people are asked about it"),
            **dict.fromkeys(self._session.exec(in_the_air), "what came of an effect of it is not known"),
            **dict.fromkeys(self._session.exec(open_ones), "it is open"),
        }

    # what has served its time

    def spent(self, before: datetime) -> dict[str, int]:
        """How many rows of each table have."""
        return {table.__tablename__: self._count(table, *old) for table, old in _spent(before)}  # type: ignore[misc]

    def sweep_out(self, before: datetime, limit: int) -> dict[str, int]:
        """Deletes so many of each at most."""
        gone: dict[str, int] = {}
        for table, old in _spent(before):
            (key,) = table.__table__.primary_key.columns  # type: ignore[attr-defined]
            some = list(self._session.scalars(select(key).select_from(table).where(*old).limit(limit)))
            if some:
                gone[str(table.__tablename__)] = self._delete(table, key.in_(some))
        return gone

    def _locked(self, case_ids: Sequence[str], *still: ColumnElement[bool]) -> list[CaseRow]:
        found = select(CaseRow).where(col(CaseRow.id).in_(case_ids), *still).order_by(col(CaseRow.id))
        return list(self._session.exec(found.with_for_update()))

    def _count(self, table: type[SQLModel], *which: ColumnElement[bool]) -> int:
        return int(self._session.exec(select(func.count()).select_from(table).where(*which)).one())

    def _delete(self, table: type[SQLModel], *which: ColumnElement[bool]) -> int:
        gone: CursorResult[Any] = self._session.execute(delete(table).where(*which))  # type: ignore[assignment]
        return gone.rowcount


def _rests_or_ended() -> ColumnElement[bool]:
    return col(CaseRow.status).in_([*_RESTS, *FINISHED])


def _prunable(before: datetime) -> tuple[ColumnElement[bool], ...]:
    rests = col(CaseRow.status).in_(_RESTS)
    ended = col(CaseRow.status).in_(FINISHED) & (col(CaseRow.closed_at) < before)
    return col(CaseRow.pruned_at).is_(None), col(CaseRow.opened_at) < before, rests | ended


def _erasable(before: Mapping[CaseStatus, datetime]) -> tuple[ColumnElement[bool], ...]:
    asked = exists().where(col(ReviewRow.case_id) == col(CaseRow.id), col(ReviewRow.status) == ReviewStatus.OPEN)
    in_the_air = exists().where(col(RunRow.case_id) == col(CaseRow.id), col(RunRow.status).in_(_NOT_KNOWN))
    ended = (
        (col(CaseRow.status) == status) & (col(CaseRow.closed_at) < moment) & _recorded(status, moment)
        for status, moment in before.items()
    )
    return (
        col(CaseRow.erased_at).is_(None),
        col(CaseRow.closed_at).is_not(None),
        col(CaseRow.closed_at) < max(before.values()),
        or_(*ended),
        ~asked,
        ~in_the_air,
    )


_OUT = aliased(OutboxRow)
_NOT_THE_LAST = col(OutboxRow.position) < select(func.max(_OUT.position)).scalar_subquery()
"""Places go on from the highest one: that row stays, or who reads on from there would miss what comes."""


def _recorded(status: CaseStatus, before: datetime) -> ColumnElement[bool]:
    """Whether the audit says so too: the case's own row may be changed by whoever works on it."""
    entry, at = _ENDS[status], before.astimezone(UTC).isoformat(timespec="microseconds")
    of_case = (col(AuditRow.workspace) == col(CaseRow.workspace), col(AuditRow.case_id) == col(CaseRow.id))
    return exists().where(*of_case, col(AuditRow.type) == entry, col(AuditRow.at) < at)


def _spent(before: datetime) -> Iterator[tuple[type[SQLModel], tuple[ColumnElement[bool], ...]]]:
    yield TimerRow, (col(TimerRow.fired_at) < before,)
    yield OutboxRow, (col(OutboxRow.published_at) < before, _NOT_THE_LAST)
    yield RequestKeyRow, (col(RequestKeyRow.begun_at) < before,)
    yield TokenRow, ((col(TokenRow.expires_at) < before) | (col(TokenRow.revoked_at) < before),)


def _digest_of(payload: Mapping[str, Any]) -> dict[str, Any]:
    """By which an event from outside is known when it comes again."""
    event = payload.get("event")
    return {"event": {"digest": event["digest"]}} if isinstance(event, dict) and "digest" in event else {}


def named(case: CaseRow) -> Named:
    return Named(case.workspace, case.id, frozenset(texts(case.payload)))
