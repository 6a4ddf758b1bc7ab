"""Who is at work, and the cases that nobody is at work on although they are said to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, update
from sqlmodel import Session, col, delete, select

from core.people import HOME
from core.states import CaseStatus
from ledger.pen import Pen
from ledger.prepared import SCOPED
from ledger.process_tables import WorkerRow
from ledger.tables import CaseRow

_WORKERS = WorkerRow.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Adrift:
    """A case that runs, and in whose hands it is said to be."""

    workspace: str
    case_id: str
    worker: str
    epoch: int


class Workers:
    def __init__(self, session: Session, now: datetime, pen: Pen) -> None:
        self._session = session
        self._now = now
        self._pen = pen

    def get(self, name: str, *, lock: bool = False) -> WorkerRow | None:
        found = select(WorkerRow).where(WorkerRow.id == name)
        return self._session.exec(found.with_for_update() if lock else found).first()

    def enlist(
        self, name: str, *, role: str, host: str, pid: int, release: str, parts: Mapping[str, Any]
    ) -> WorkerRow | None:
        """Takes the name; the row of whoever has it now, if somebody has. The lock on it is held until the commit."""
        fresh = {
            "role": role,
            "host": host,
            "pid": pid,
            "release": release,
            "parts": dict(parts),
            "started_at": self._now,
            "beat_at": self._now,
            "draining": False,
            "stopped_at": None,
        }
        if self._pen.insert(WorkerRow, [{"id": name, "workspace": HOME, **fresh}]):
            return None
        return self.get(name, lock=True)

    def replace(self, row: WorkerRow, **fresh: Any) -> None:
        """The name goes to another process."""
        for column, value in fresh.items():
            setattr(row, column, value)
        row.started_at = row.beat_at = self._now
        row.draining, row.stopped_at = False, None
        self._session.add(row)

    def beat(self, name: str, started_at: datetime) -> bool:
        """Says that the process which took the name then is alive. False if another one has the name now."""
        beat = (
            update(_WORKERS)
            .where(_WORKERS.c.id == name, _WORKERS.c.started_at == started_at)
            .values(beat_at=self._now, stopped_at=None)
            .execution_options(**{SCOPED: True})
        )
        return bool(self._session.connection().execute(beat).rowcount == 1)

    def mark(self, row: WorkerRow, *, draining: bool = False, stopped: bool = False) -> None:
        row.draining = row.draining or draining
        row.stopped_at = self._now if stopped else row.stopped_at
        self._session.add(row)

    def alive(self, row: WorkerRow, lease: timedelta) -> bool:
        return row.stopped_at is None and row.beat_at > self._now - lease

    def everyone(self) -> list[WorkerRow]:
        return list(self._session.exec(select(WorkerRow).order_by(col(WorkerRow.started_at), col(WorkerRow.id))))

    def silent(self, lease: timedelta) -> list[WorkerRow]:
        """Those that have not stopped and were not heard of for a lease."""
        found = select(WorkerRow).where(
            col(WorkerRow.stopped_at).is_(None), col(WorkerRow.beat_at) <= self._now - lease
        )
        return list(self._session.exec(found))

    def adrift(self, lease: timedelta | None, me: str) -> list[Adrift]:
        """Cases that run in the hands of a worker that stopped, or was not heard of for a lease if one is given; or in
        mine."""
        alive = select(WorkerRow.id).where(col(WorkerRow.stopped_at).is_(None), WorkerRow.id != me)
        if lease is not None:
            alive = alive.where(col(WorkerRow.beat_at) > self._now - lease)
        found = select(CaseRow.workspace, CaseRow.id, CaseRow.worker, CaseRow.epoch).where(
            CaseRow.worker != "", CaseRow.status == CaseStatus.RUNNING, col(CaseRow.worker).not_in(alive)
        )
        return [Adrift(*row) for row in self._session.exec(found)]

    def in_hand(self) -> dict[str, int]:
        """How many cases each of them has at work."""
        found = (
            select(CaseRow.worker, func.count())
            .where(CaseRow.worker != "", CaseRow.status == CaseStatus.RUNNING)
            .group_by(CaseRow.worker)
        )
        return {str(worker): int(count) for worker, count in self._session.exec(found)}

    def forget(self, before: datetime) -> None:
        """Drops those that stopped before then."""
        gone = delete(WorkerRow).where(col(WorkerRow.stopped_at) < before)
        self._session.exec(gone)
