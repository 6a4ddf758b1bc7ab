"""What no thread needs any more goes: threads that were for one run, and the events of runs that ended long ago."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from core.people import Person
from engine.served import Served
from ledger.database import Database, Ledger
from ledger.tables import SYSTEM
from ledger.trouble import RECORDS_AWAY

log = logging.getLogger("countersign.threads")

_EVERY_S = 15.0
_READ_AGAIN = timedelta(minutes=2)
"""So long after its end a run without a thread of its own can be joined and streamed once more."""
_SOME = 200
"""Of a piece: no lock is held for longer than it takes."""


class ThreadKeeping:
    def __init__(self, database: Database, served: Mapping[str, Served], keep_events: timedelta) -> None:
        self._database = database
        self._served = served
        self._keep_events = keep_events

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.tidy()
            except RECORDS_AWAY as away:
                log.warning("threads are not tidied up now: %s", away)
            except Exception:  # the next round may go well
                log.exception("threads could not be tidied up")

    async def tidy(self) -> dict[str, int]:
        """All that there is to do. Says how many threads, and how many runs' events, went."""
        gone = {"threads": 0, "logs": 0}
        while some := await self._forget_some():
            gone["threads"] += some
        while some := await self._database.write(SYSTEM, self._drop_logs, durable=False):
            gone["logs"] += some
        return gone

    async def _forget_some(self) -> int:
        def find(ledger: Ledger) -> list[tuple[str, str, str]]:
            return ledger.threads.spent(ledger.now - _READ_AGAIN, _SOME)

        some = 0
        found = await self._database.read(SYSTEM, find)
        for workspace, thread_id, graph in found:
            # The rows first: a run that began meanwhile would find its memory gone.
            gone = await self._database.write(workspace, partial(self._forget, thread_id), durable=False)
            some += gone
            if gone and graph in self._served:
                await self._served[graph].forget(Person(id="", workspace=workspace), thread_id)
        return some

    def _forget(self, thread_id: str, ledger: Ledger) -> bool:
        """Unless somebody has it at work again since."""
        ledger.threads.get(thread_id, lock=True)
        if not ledger.threads.at_rest(thread_id, ledger.now - _READ_AGAIN):
            return False
        ledger.threads.forget(thread_id)
        return True

    def _drop_logs(self, ledger: Ledger) -> int:
        found = ledger.threads.logs_to_drop(ledger.now - self._keep_events, _SOME)
        for run in found:
            ledger.threads.drop_log(run)
        return len(found)
