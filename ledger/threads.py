"""Threads, their runs, the event log of each run, and who answered what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, select, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col
from sqlmodel import select as rows

from ledger.pen import Pen
from ledger.prepared import Prepared
from ledger.thread_quick import Quick
from ledger.thread_tables import ThreadAnswerRow, ThreadEventRow, ThreadRow, ThreadRunRow, ThreadSeenRow

_EVENTS: Any = ThreadEventRow.__table__  # type: ignore[attr-defined]
_RUNS: Any = ThreadRunRow.__table__  # type: ignore[attr-defined]

OPEN = ("pending", "running")
"""A run that has not ended."""
SORTS: Mapping[str, Any] = {
    "thread_id": ThreadRow.id,
    "status": ThreadRow.status,
    "created_at": ThreadRow.created_at,
    "updated_at": ThreadRow.updated_at,
    "state_updated_at": ThreadRow.state_at,
}

_READ: Prepared[Any] = Prepared(
    select(_EVENTS.c.seq, _EVENTS.c.event, _EVENTS.c.data)
    .where(_EVENTS.c.run_id == bindparam("run"), _EVENTS.c.seq > bindparam("after"))
    .order_by(_EVENTS.c.seq)
    .limit(bindparam("limit"))
)
_BY_ID: Prepared[ThreadRunRow] = Prepared(rows(ThreadRunRow).where(ThreadRunRow.id == bindparam("run")))
_THREAD: Prepared[ThreadRow] = Prepared(rows(ThreadRow).where(ThreadRow.id == bindparam("thread")), by_workspace=True)
_BEAT = (
    update(_RUNS)
    .where(_RUNS.c.id == bindparam("run"), _RUNS.c.attempt == bindparam("now_attempt"), _RUNS.c.status == "running")
    .values(lease_until=bindparam("until"))
)


@dataclass(frozen=True)
class Selection:
    """Threads that are looked for."""

    opened_by: str = ""
    ids: Sequence[str] | None = None
    status: str = ""


class Threads:
    def __init__(self, session: Session, now: datetime, pen: Pen) -> None:
        self._session = session
        self._now = now
        self._pen = pen
        self.quick = Quick(session, now)

    # threads

    def get(self, thread_id: str, *, lock: bool = False) -> ThreadRow | None:
        if not lock:
            return _THREAD.first(self._session, thread=thread_id)
        found: ThreadRow | None = self._session.exec(_locked(rows(ThreadRow).where(ThreadRow.id == thread_id))).first()
        return found

    def of_case(self, case_id: str) -> ThreadRow | None:
        """The conversation that became this case."""
        return self._session.exec(rows(ThreadRow).where(ThreadRow.case_id == case_id)).first()

    def of_talk(self, talk: str) -> ThreadRow | None:
        return self._session.exec(rows(ThreadRow).where(ThreadRow.talk == talk)).first()

    def open(self, thread_id: str, person: str, meta: Mapping[str, Any], talk: str = "") -> bool:
        """A new thread; False if there is one under that id, or of that talk."""
        row = {
            "id": thread_id,
            "opened_by": person,
            "starters": [],
            "graph": "",
            "status": "idle",
            "meta": dict(meta),
            "state": {},
            "interrupts": {},
            "case_id": "",
            "talk": talk,
            "notes": {},
            "created_at": self._now,
            "updated_at": self._now,
            "state_at": None,
        }
        return bool(self._pen.insert(ThreadRow, [row]))

    def bind(self, thread: ThreadRow, case_id: str, notes: Mapping[str, Any]) -> None:
        """It is this case from now on; or, with none, it notes what was said so far."""
        thread.case_id = case_id
        self.note(thread, notes)
        self.touch(thread)

    def note(self, thread: ThreadRow, notes: Mapping[str, Any]) -> None:
        """What its graph keeps beside it, added to what is there."""
        thread.notes = {**thread.notes, **notes}
        self._session.add(thread)

    def touch(self, thread: ThreadRow) -> None:
        thread.updated_at = self._now
        self._session.add(thread)

    def find(self, which: Selection, *, sort: str, descending: bool) -> Iterator[ThreadRow]:
        """Read on as they are asked for. Those that are only for one run are in no list."""
        order = col(SORTS[sort])
        one_run = exists().where(
            col(ThreadRunRow.workspace) == col(ThreadRow.workspace),
            col(ThreadRunRow.thread_id) == col(ThreadRow.id),
            col(ThreadRunRow.temporary),
        )
        found = rows(ThreadRow).where(~one_run)
        if which.opened_by:
            found = found.where(ThreadRow.opened_by == which.opened_by)
        if which.ids is not None:
            found = found.where(col(ThreadRow.id).in_(which.ids))
        if which.status:
            found = found.where(ThreadRow.status == which.status)
        found = found.order_by(order.desc() if descending else order.asc(), col(ThreadRow.id))
        yield from self._session.exec(found.execution_options(yield_per=100))

    def forget(self, thread_id: str) -> None:
        """The thread, its runs, their events and its answers."""
        of_thread = rows(ThreadRunRow.id).where(ThreadRunRow.thread_id == thread_id)
        self._session.execute(delete(ThreadEventRow).where(col(ThreadEventRow.run_id).in_(of_thread)))
        for table in (ThreadRunRow, ThreadAnswerRow, ThreadSeenRow):
            self._session.execute(delete(table).where(col(table.thread_id) == thread_id))
        self._session.execute(delete(ThreadRow).where(col(ThreadRow.id) == thread_id))

    # runs

    def run(self, run_id: str, *, lock: bool = False) -> ThreadRunRow | None:
        if not lock:
            return _BY_ID.first(self._session, run=run_id)
        found: ThreadRunRow | None = self._session.exec(
            _locked(rows(ThreadRunRow).where(ThreadRunRow.id == run_id))
        ).first()
        return found

    def runs(self, thread_id: str, *, status: str = "", limit: int = 100, offset: int = 0) -> list[ThreadRunRow]:
        """Newest first."""
        found = rows(ThreadRunRow).where(ThreadRunRow.thread_id == thread_id)
        if status:
            found = found.where(ThreadRunRow.status == status)
        return list(self._session.exec(found.order_by(col(ThreadRunRow.number).desc()).limit(limit).offset(offset)))

    def open_runs(self, thread_id: str) -> list[ThreadRunRow]:
        """Those that have not ended, in their order."""
        found = rows(ThreadRunRow).where(ThreadRunRow.thread_id == thread_id, col(ThreadRunRow.status).in_(OPEN))
        return list(self._session.exec(found.order_by(col(ThreadRunRow.number))))

    def at_work(self) -> list[ThreadRunRow]:
        return list(self._session.exec(rows(ThreadRunRow).where(ThreadRunRow.status == "running")))

    def wanted(self, worker: str) -> list[ThreadRunRow]:
        """Runs of this process that somebody wants to end."""
        found = rows(ThreadRunRow).where(ThreadRunRow.status == "running", ThreadRunRow.worker == worker)
        return list(self._session.exec(found.where(ThreadRunRow.wanted != "")))

    def backlog(self) -> int:
        """How many runs could begin now, and wait."""
        due = col(ThreadRunRow.not_before).is_(None) | (col(ThreadRunRow.not_before) <= self._now)
        found = rows(func.count()).select_from(ThreadRunRow).where(ThreadRunRow.status == "pending", due)
        return int(self._session.exec(found).one())

    def backlog_of(self, person: str) -> int:
        """How many runs of theirs wait, for others or for their time."""
        theirs = col(ThreadRunRow.person)["id"].as_string() == person
        found = rows(func.count()).select_from(ThreadRunRow).where(ThreadRunRow.status == "pending", theirs)
        return int(self._session.exec(found).one())

    def due(self, limit: int) -> list[tuple[str, str, str]]:
        """Workspace, thread and id of runs that may begin now, in their order; and of those that a process lost."""
        waits = (col(ThreadRunRow.status) == "pending") & (
            col(ThreadRunRow.not_before).is_(None) | (col(ThreadRunRow.not_before) <= self._now)
        )
        lost = (col(ThreadRunRow.status) == "running") & (col(ThreadRunRow.lease_until) < self._now)
        found = rows(ThreadRunRow.workspace, ThreadRunRow.thread_id, ThreadRunRow.id).where(
            col(ThreadRunRow.status).in_(OPEN), waits | lost
        )
        return [tuple(row) for row in self._session.exec(found.order_by(col(ThreadRunRow.number)).limit(limit))]  # type: ignore[misc]

    def beat(self, run_id: str, attempt: int, until: datetime) -> bool:
        """Its process is alive. False if it lost the run."""
        values = {"run": run_id, "now_attempt": attempt, "until": until}
        return bool(self._session.connection().execute(_BEAT, values).rowcount == 1)

    def held(self, run_id: str, attempt: int) -> bool:
        """Whether its process has the run still; nobody takes it before this transaction's end."""
        found = rows(ThreadRunRow.attempt).where(ThreadRunRow.id == run_id, ThreadRunRow.status == "running")
        return self._session.exec(found.with_for_update(read=True)).first() == attempt

    def spent(self, before: datetime, limit: int) -> list[tuple[str, str, str]]:
        """Workspace, id and graph of threads that were only for one run, which ended before then with no question."""
        found = rows(ThreadRow.workspace, ThreadRow.id, ThreadRow.graph).where(
            ThreadRow.workspace == ThreadRunRow.workspace,
            ThreadRow.id == ThreadRunRow.thread_id,
            ThreadRow.status != "interrupted",
            col(ThreadRunRow.log_gone_at).is_(None),
            col(ThreadRunRow.ended_at) < before,
            col(ThreadRunRow.temporary),
            ~_later_run(ThreadRow.workspace, ThreadRow.id, before),
        )
        return [tuple(row) for row in self._session.exec(found.limit(limit))]  # type: ignore[misc]

    def at_rest(self, thread_id: str, before: datetime) -> bool:
        """Whether all of its runs ended before then, with no question."""
        asks = rows(ThreadRow.id).where(ThreadRow.id == thread_id, ThreadRow.status == "interrupted")
        late = rows(ThreadRunRow.id).where(ThreadRunRow.thread_id == thread_id, _goes_beyond(ThreadRunRow, before))
        return self._session.exec(asks).first() is None and self._session.exec(late).first() is None

    def drop_run(self, run: ThreadRunRow) -> None:
        self._session.execute(delete(ThreadEventRow).where(col(ThreadEventRow.run_id) == run.id))
        self._session.delete(run)

    def delete_run(self, run_id: str) -> None:
        self._session.execute(delete(ThreadEventRow).where(col(ThreadEventRow.run_id) == run_id))
        self._session.execute(delete(ThreadRunRow).where(col(ThreadRunRow.id) == run_id))

    # events

    def events(self, run_id: str, after: int = 0, limit: int = 200) -> Sequence[tuple[int, str, str]]:
        """Number, name and JSON of each."""
        return _READ.all(self._session, run=run_id, after=after, limit=limit)

    def last_event(self, run_id: str) -> int:
        found = rows(func.max(ThreadEventRow.seq)).where(ThreadEventRow.run_id == run_id)
        return int(self._session.exec(found).one() or 0)

    def logs_to_drop(self, before: datetime, limit: int) -> list[ThreadRunRow]:
        """Runs that ended before then and have their events still."""
        found = rows(ThreadRunRow).where(col(ThreadRunRow.log_gone_at).is_(None), col(ThreadRunRow.ended_at) < before)
        return list(self._session.exec(found.order_by(col(ThreadRunRow.ended_at)).limit(limit)))

    def drop_log(self, run: ThreadRunRow) -> None:
        self._session.execute(delete(ThreadEventRow).where(col(ThreadEventRow.run_id) == run.id))
        run.log_gone_at = self._now
        self._session.add(run)

    # answers

    def answers(self, thread_id: str) -> list[ThreadAnswerRow]:
        """Oldest first."""
        found = rows(ThreadAnswerRow).where(ThreadAnswerRow.thread_id == thread_id)
        return list(self._session.exec(found.order_by(col(ThreadAnswerRow.at))))

    def answer(self, thread_id: str, interrupt_id: str, kind: str, person: str, value: Any, run_id: str) -> bool:
        """The first one counts; False if there is one."""
        row = {
            "thread_id": thread_id,
            "interrupt_id": interrupt_id,
            "kind": kind,
            "person": person,
            "value": {"value": value},
            "run_id": run_id,
            "at": self._now,
        }
        return bool(self._pen.insert(ThreadAnswerRow, [row]))

    def seen(self, thread_id: str, person: str) -> list[str]:
        """Ids of the questions that this person was last shown."""
        found = rows(ThreadSeenRow).where(ThreadSeenRow.thread_id == thread_id, ThreadSeenRow.person == person)
        row = self._session.exec(found).first()
        return list(row.interrupts) if row else []

    def show(self, thread_id: str, person: str, interrupts: Sequence[str]) -> None:
        """This person is shown these questions now, and no other is open."""
        found = rows(ThreadSeenRow).where(ThreadSeenRow.thread_id == thread_id, ThreadSeenRow.person == person)
        row = self._session.exec(found.with_for_update()).first()
        if row is None:
            row = ThreadSeenRow(workspace="", thread_id=thread_id, person=person)
        row.interrupts, row.at = list(interrupts), self._now
        self._session.add(row)

    def lease(self, seconds: float) -> datetime:
        return self._now + timedelta(seconds=seconds)


def _goes_beyond(run: Any, before: datetime) -> Any:
    """It has not ended, or not before then."""
    return run.ended_at.is_(None) | (run.ended_at >= before)


def _later_run(workspace: Any, thread_id: Any, before: datetime) -> Any:
    """Whether a thread has a run that goes on beyond a time."""
    other = aliased(ThreadRunRow)
    return exists().where(other.workspace == workspace, other.thread_id == thread_id, _goes_beyond(other, before))


def _locked(found: Any) -> Any:
    """Until the end of the transaction, and as it is now: what was read before may be old."""
    return found.with_for_update().execution_options(populate_existing=True)
