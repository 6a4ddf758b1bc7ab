"""Sends what is in the outbox: at least once, each case's events in their order, by one process at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from core.errors import CountersignError
from core.events import CloudEvent, told
from engine.bus.port import Bus, Unsent
from engine.stream import Stream
from ledger.database import Database
from ledger.process_tables import OutboxRow
from ledger.seat import Seat
from ledger.tables import SYSTEM

log = logging.getLogger("countersign.bus")

_AT_ONCE = 200
_LOOK_S = 0.5
"""How often it looks for what other processes wrote; what this one writes wakes it up."""
_LOOK_ALONE_S = 30.0
"""The same where no other process writes."""
_GATHER_S = 0.2
"""A wake-up mostly is the first of several."""
_WAIT_S = 2.0
"""After a bus or a database that was away."""


def event_of(row: OutboxRow) -> CloudEvent:
    """The event as others see it: the same one each time it is sent."""
    return told(
        row.type,
        row.case_id,
        event_id=row.event_id,
        source=f"urn:countersign:{row.workspace}",
        sequence=row.seq,
        time=row.at,
        data=row.body,
    )


class Publisher:
    def __init__(self, database: Database, bus: Bus, stream: Stream) -> None:
        self._database = database
        self._bus = bus
        self._stream = stream
        self._seat = Seat(database)
        self._look_s = _LOOK_S if database.apart else _LOOK_ALONE_S

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                ticket = self._stream.ticket()
                await self._round()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._look_s):  # `wait_for` can swallow a cancellation on Python 3.11
                        await ticket.wait()
                    await asyncio.sleep(_GATHER_S)
        finally:
            await asyncio.shield(self.leave())

    async def leave(self) -> None:
        """Another process may take over."""
        await self._seat.leave()

    async def _round(self) -> None:
        try:
            while await self.publish() == _AT_ONCE:
                pass
        except Unsent as unsent:
            log.warning("the bus can't be reached, what we tell others waits: %s", unsent)
            await asyncio.sleep(_WAIT_S)
        except CountersignError as away:
            log.warning("nothing can be published: %s", away)
            await asyncio.sleep(_WAIT_S)
        except Exception:  # whatever breaks, what is in the outbox stays there and is tried again
            log.exception("nothing can be published")
            await asyncio.sleep(_WAIT_S)

    async def publish(self) -> int:
        """Sends what waits, as much as is taken at once. Returns how many went out. Raises `Unsent` if none could."""
        if not await self._seat.taken():
            return 0
        rows = await self._database.read(SYSTEM, lambda ledger: ledger.outbox.unsent(_AT_ONCE))
        by_case: dict[str, list[OutboxRow]] = {}
        for row in rows:
            by_case.setdefault(row.case_id, []).append(row)
        out: list[OutboxRow] = []
        failed = await asyncio.gather(*(self._send(each, out) for each in by_case.values()))
        if out:
            ids = sorted(row.id for row in out if row.id is not None)
            await self._database.write(SYSTEM, lambda ledger: ledger.outbox.sent(ids), durable=False)
            self._stream.publish()
        elif problem := next(filter(None, failed), None):
            raise problem
        return len(out)

    async def _send(self, rows: Sequence[OutboxRow], out: list[OutboxRow]) -> Unsent | None:
        """Events of one case: after one that could not be sent, none of those behind it is."""
        for row in rows:
            try:
                if not await self._seat.taken():
                    return Unsent("another process has taken over")
                await self._bus.publish(event_of(row))
            except Unsent as unsent:
                return unsent
            out.append(row)
        return None
