"""A process among others: it says that it is alive, and takes back the cases of those that say so no more.

Who is alive is told by the database's clock. A case that runs is in one worker's hands until that worker ends its
segment, hands it over, or is silent for a lease; then any other worker frees it, under a new number that fences the
first one off (`engine/fence.py`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from core.errors import SetupError
from core.states import CaseStatus
from engine.doorbell import Doorbell
from engine.fence import free
from engine.segments import Segments
from ledger.database import Database, Ledger
from ledger.process_tables import WorkerRow
from ledger.tables import SYSTEM
from ledger.trouble import RECORDS_AWAY
from ledger.workers import Adrift

log = logging.getLogger("countersign.engine")

_REMEMBERED = timedelta(days=7)
"""How long those that stopped are listed."""


class Workers:
    """This process's place among the workers."""

    def __init__(
        self,
        database: Database,
        bell: Doorbell,
        segments: Segments,
        *,
        name: str,
        role: str,
        release: str,
        lease: timedelta,
        alone: bool,
        parts: Mapping[str, Any],
    ) -> None:
        """`alone` says that nobody else can be at work here; `parts` are digests of what each kind is run with here."""
        self._database = database
        self._bell = bell
        self.name = name
        self._role = role
        self._release = release
        self.lease = lease
        self._alone = alone
        self._segments = segments
        self.parts = parts
        self._since: datetime | None = None
        self._beaten_at: datetime | None = None
        self._judges_from: datetime | None = None
        self.ousted = asyncio.Event()
        """Another process has the name now: this one was silent for too long, and is to end."""

    def at_work(self) -> int:
        """How many cases this process has in hand."""
        return len(self._segments.in_hand())

    # coming and going

    async def join(self) -> None:
        """Takes the name, and what was left in the hands of whoever had it. Raises `SetupError` if it is taken.

        It judges nobody yet: where it was away with the database, the others may have been too.
        """
        self._since = await self._database.write(SYSTEM, self._enlist)
        self._beaten_at = self._since
        self._judges_from = self._since if self._alone else self._since + self.lease
        await self._free_all()

    def _enlist(self, ledger: Ledger) -> datetime:
        fresh: dict[str, Any] = {
            "role": self._role,
            "host": platform.node()[:200],
            "pid": os.getpid(),
            "release": self._release,
            "parts": dict(self.parts),
        }
        for row in ledger.workers.everyone() if self._alone else ():
            if row.stopped_at is None:
                ledger.workers.mark(row, stopped=True)
        holder = ledger.workers.enlist(self.name, **fresh)
        if holder is not None:
            if not self._alone and ledger.workers.alive(holder, self.lease):
                silent = (ledger.now - holder.beat_at).total_seconds()
                raise SetupError(
                    f"A worker named {self.name} is at work already, on {holder.host} (process {holder.pid}); "
                    f"it was heard of {silent:.0f} s ago.",
                    hint="Give this one another name, or none. If that one is dead, its name is free "
                    f"{self.lease.total_seconds():.0f} s after it was last heard of.",
                )
            ledger.workers.replace(holder, **fresh)
        return ledger.now

    async def drain(self) -> None:
        """Tells that it takes up nothing more."""
        await self._mark(draining=True)

    async def leave(self) -> None:
        """Hands over what it still has in hand, and is gone."""
        try:
            await self._free_all()
        except RECORDS_AWAY as away:
            log.warning("what is in hand is left for others to take back: %s", away)
        await self._mark(draining=True, stopped=True)

    async def _mark(self, **what: bool) -> None:
        def mark(ledger: Ledger) -> None:
            row = ledger.workers.get(self.name, lock=True)
            if row is not None and row.started_at == self._since:
                ledger.workers.mark(row, **what)

        try:
            await self._database.write(SYSTEM, mark)
        except RECORDS_AWAY as away:
            log.warning("the end of worker %s can't be written down: %s", self.name, away)

    # being alive

    async def run(self) -> None:
        """Says three times in a lease that it is alive."""
        while not self.ousted.is_set():
            await asyncio.sleep(self.lease.total_seconds() / 3)
            try:
                await self.beat()
            except Exception:  # the next beat may come in time
                log.exception("worker %s could not say that it is alive", self.name)

    async def beat(self) -> None:
        def beat(ledger: Ledger) -> datetime | None:
            assert self._since is not None
            return ledger.now if ledger.workers.beat(self.name, self._since) else None

        at = await self._database.write(SYSTEM, beat, durable=False)
        if at is None:
            log.error("worker %s was silent for too long, and another one has its name", self.name)
            self.ousted.set()
            return
        if self._beaten_at is not None and at - self._beaten_at > self.lease and not self._alone:
            # Where this one was away, the others may have been too, with the database: they get their time to say so.
            self._judges_from = at + self.lease
        self._beaten_at = at

    # the cases of others

    async def reclaim(self) -> None:
        """Frees the cases that nobody has at work any more, and what dead workers had taken from the queue."""
        if self._since is None or self.ousted.is_set():
            return
        now = self._database.clock.now()
        if self._beaten_at is None or now - self._beaten_at > self.lease / 3:
            await self.beat()
        if self._judges_from is not None and now < self._judges_from:
            return
        await self._free_all(silent=self.lease)
        silent = await self._database.read(SYSTEM, lambda ledger: ledger.workers.silent(self.lease))
        for row in silent:
            if row.id == self.name:
                continue
            rung = await self._bell.reclaim(row.id)  # first: who is buried is not looked at again
            if await self._database.write(SYSTEM, partial(self._bury, seen=row)):
                log.warning("worker %s is gone; %d rings that it had taken are given to others", row.id, rung)

    async def take_bound(self) -> None:
        """Takes up the cases that only its release may go on with: the queue brings them to anybody."""
        found = await self._database.read(SYSTEM, lambda ledger: ledger.cases.bound(self._release))
        for workspace, case_id in found:
            await self._bell.take(workspace, case_id)

    def _bury(self, ledger: Ledger, seen: WorkerRow) -> bool:
        row = ledger.workers.get(seen.id, lock=True)
        if row is None or row.started_at != seen.started_at or row.stopped_at is not None:
            return False
        if ledger.workers.alive(row, self.lease):
            return False
        ledger.workers.mark(row, stopped=True)
        ledger.workers.forget(ledger.now - _REMEMBERED)
        return True

    async def _free_all(self, silent: timedelta | None = None) -> None:
        """The cases in the hands of workers that stopped, or were silent for so long if that is given; and of its own
        those that no segment has in hand.

        Such a segment died or lost the records, or it was another process's under the same name.
        """
        found = await self._database.read(SYSTEM, lambda ledger: ledger.workers.adrift(silent, self.name))
        in_hand = self._segments.in_hand()
        for each in found:
            if each.worker != self.name or each.case_id not in in_hand:
                await self._database.write(each.workspace, partial(self._free, seen=each))

    def _free(self, ledger: Ledger, seen: Adrift) -> None:
        case = ledger.cases.get(seen.case_id, lock=True)
        if case.status != CaseStatus.RUNNING or (case.worker, case.epoch) != (seen.worker, seen.epoch):
            return
        if seen.worker == self.name:
            mine = ledger.workers.get(self.name)
            if mine is None or mine.started_at != self._since:
                return  # they are in the hands of whoever has this name now
        blameless = seen.worker == self.name and self._segments.forgive(case.id)
        free(ledger, case, died=not blameless)
        body = {"worker": seen.worker, "by": self.name, "crashes": case.crashes}
        ledger.trace.add(case.id, "case.reclaimed", body)
        ledger.audit.append("case.reclaimed", body, case_id=case.id)
