"""The statements that every run of a thread takes, built once and told in plain columns: building one costs twice what
running it does, and loading a row as an object as much again.

They go past the session's own hold on the workspace, so each carries it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Update, bindparam, case, exists, insert, select, update
from sqlmodel import Session, SQLModel

from ledger.tables import SYSTEM
from ledger.thread_tables import ThreadEventRow, ThreadRow, ThreadRunRow

_THREADS: Any = ThreadRow.__table__  # type: ignore[attr-defined]
_RUNS: Any = ThreadRunRow.__table__  # type: ignore[attr-defined]
_OF_THREAD = (_THREADS.c.workspace == bindparam("within"), _THREADS.c.id == bindparam("key"))
_OF_RUN = (_RUNS.c.workspace == bindparam("within"), _RUNS.c.id == bindparam("key"))

_OPEN = (
    _RUNS.c.workspace == _THREADS.c.workspace,
    _RUNS.c.thread_id == _THREADS.c.id,
    _RUNS.c.status.in_(("pending", "running")),
)
_NOW = select(
    _THREADS.c.id,
    _THREADS.c.opened_by,
    _THREADS.c.graph,
    _THREADS.c.meta,
    _THREADS.c.interrupts,
    _THREADS.c.starters,
    exists().where(*_OPEN).label("busy"),
).where(*_OF_THREAD)
_LOCK = select(_THREADS.c.id).where(*_OF_THREAD).with_for_update()
_NOW_LOCKED = _NOW.with_for_update(of=_THREADS)
_WAITING = (
    select(_RUNS.c.id, _RUNS.c.status, _RUNS.c.not_before)
    .where(
        _RUNS.c.workspace == bindparam("within"),
        _RUNS.c.thread_id == bindparam("key"),
        _RUNS.c.status.in_(("pending", "running")),
    )
    .order_by(_RUNS.c.number)
)
_HELD = select(_RUNS.c.attempt, _RUNS.c.status).where(*_OF_RUN).with_for_update()
_ADD_THREAD, _ADD_RUN = insert(_THREADS), insert(_RUNS)
_ADD_EVENT = insert(ThreadEventRow.__table__)  # type: ignore[attr-defined]


@cache
def _settle(names: tuple[str, ...]) -> Update:
    waiting = exists().where(*_OPEN, _RUNS.c.id != bindparam("run"))
    left = case((waiting, "busy"), else_=bindparam("left", type_=_THREADS.c.status.type))
    changed: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    return update(_THREADS).where(*_OF_THREAD).values(**changed, status=left).returning(_THREADS.c.status)


@cache
def _change(table: str, names: tuple[str, ...]) -> Update:
    of, which = (_THREADS, _OF_THREAD) if table == "thread" else (_RUNS, _OF_RUN)
    return update(of).where(*which).values({name: bindparam(f"new_{name}") for name in names})


class ThreadNow(NamedTuple):
    """A thread, as far as it is decided about."""

    id: str
    opened_by: str
    graph: str
    meta: dict[str, Any]
    interrupts: dict[str, Any]
    starters: list[str]
    busy: bool
    """It has a run that is not over."""


class Unended(NamedTuple):
    """A run that has not ended."""

    id: str
    status: str
    not_before: datetime | None


class Quick:
    """For the unit of work of one workspace."""

    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    def now(self, thread_id: str) -> ThreadNow | None:
        """The thread, which is locked from now on."""
        row = self._run(_NOW_LOCKED, key=thread_id).first()
        return ThreadNow(*row) if row else None

    def lock(self, thread_id: str) -> bool:
        """False if there is none."""
        return self._run(_LOCK, key=thread_id).first() is not None

    def unended(self, thread_id: str) -> list[Unended]:
        """In their order."""
        return [Unended(*row) for row in self._run(_WAITING, key=thread_id)]

    def log(self, run_id: str, events: Iterable[tuple[int, str, str]]) -> None:
        """Adds events with their numbers. Raises `IntegrityError` where another process wrote one of them."""
        within = self._within()
        rows = [
            self._owned(
                ThreadEventRow, {"run_id": run_id, "workspace": within, "seq": seq, "event": event, "data": data}
            )
            for seq, event, data in events
        ]
        if rows:
            self._session.connection().execute(_ADD_EVENT, rows)

    def held(self, run_id: str) -> tuple[int, str] | None:
        """Attempt and status of the run, which is locked from now on."""
        row = self._run(_HELD, key=run_id).first()
        return (int(row.attempt), str(row.status)) if row else None

    def add_thread(self, thread_id: str, person: str, meta: Mapping[str, Any]) -> ThreadNow:
        row = ThreadRow(
            workspace=self._within(),
            id=thread_id,
            opened_by=person,
            meta=dict(meta),
            created_at=self._now,
            updated_at=self._now,
        )
        self._session.connection().execute(_ADD_THREAD, self._owned(ThreadRow, _columns(row)))
        return ThreadNow(thread_id, person, "", dict(meta), {}, [], busy=False)

    def add_run(self, run: ThreadRunRow) -> None:
        run.workspace, run.created_at, run.updated_at = self._within(), self._now, self._now
        values = {name: value for name, value in _columns(run).items() if name != "number"}
        self._session.connection().execute(_ADD_RUN, self._owned(ThreadRunRow, values))

    def change_thread(self, thread_id: str, **values: Any) -> None:
        self._change("thread", thread_id, {**values, "updated_at": self._now})

    def settle(self, thread_id: str, run_id: str, left: str, **values: Any) -> bool:
        """Leaves the thread in a status as one of its runs ends. Whether others wait: then it is busy."""
        given = self._new(ThreadRow, {**values, "updated_at": self._now})
        statement = _settle(tuple(sorted({*values, "updated_at"})))
        row = self._run(statement, key=thread_id, run=run_id, left=left, **given).first()
        return bool(row is not None and row.status == "busy")

    def change_run(self, run_id: str, **values: Any) -> None:
        self._change("run", run_id, {**values, "updated_at": self._now})

    def _change(self, table: str, key: str, values: Mapping[str, Any]) -> None:
        given = self._new(ThreadRow if table == "thread" else ThreadRunRow, values)
        self._run(_change(table, tuple(sorted(values))), key=key, **given)

    def _new(self, table: type[SQLModel], values: Mapping[str, Any]) -> dict[str, Any]:
        given = self._owned(table, {"workspace": self._within(), **values})
        return {f"new_{name}": given[name] for name in values}

    def _owned(self, table: type[SQLModel], row: dict[str, Any]) -> dict[str, Any]:
        """With its key for each value that is sealed: made in this transaction, if there is none yet."""
        if (keys := self._session.info.get("keys")) is not None:
            keys.own(self._session, table, row)
        return row

    def _run(self, statement: Any, **params: Any) -> Any:
        return self._session.connection().execute(statement, {"within": self._within(), **params})

    def _within(self) -> str:
        workspace = str(self._session.info["workspace"])
        if workspace == SYSTEM:
            raise AssertionError("a run belongs to a workspace")
        return workspace


def _columns(row: ThreadRow | ThreadRunRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in type(row).model_fields}
