"""A process that stood still between a reservation and its call: others may have looked for the effect meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path

from core.clock import FakeClock
from core.states import CaseStatus
from tests.support.till import open_till, write


class Frozen(FakeClock):
    """Told the time for the first time after a run was reserved, the process finds that an hour has passed and that
    another one has noted that the call was never sent."""

    def __init__(self, ledger: Path, status: str) -> None:
        super().__init__()
        self.slept = False
        self._ledger = ledger
        self._status = status

    def now(self) -> datetime:
        if not self.slept and self._ledger.exists():
            with closing(sqlite3.connect(self._ledger, timeout=0)) as db, suppress(sqlite3.OperationalError), db:
                at = (super().now() + timedelta(hours=1)).isoformat(timespec="microseconds")
                noted = db.execute(
                    "UPDATE run SET status = ?, finished_at = ?, reason = 'it never reached the provider'"
                    " WHERE status = 'intent'",
                    (self._status, at),
                )
                self.slept = noted.rowcount == 1
            if self.slept:
                self.advance(timedelta(hours=1))
        return super().now()


async def test_what_others_noted_as_never_sent_is_not_sent_by_who_wakes_up(folder: Path) -> None:
    clock = Frozen(folder / "ledger.db", "failed")
    async with open_till(folder, clock=clock) as till:
        case = await till.run([write()])

        assert clock.slept
        assert await till.happened(case) == []
        assert await till.status(case) is CaseStatus.CLOSED
        assert [run.status for run in await till.runs(case)] == ["failed"]
        assert (await till.check()).findings == []
