"""Carries runs out in this process, a bounded number at a time, and goes on with those that another process lost.

A run belongs to the process that began it for a lease, which is renewed three times before it is over. What ends it is
written in one transaction with its last events.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from uuid import uuid4

from core.actions import JSON
from core.people import Person
from core.settings import ThreadSettings
from engine.served import Served
from engine.stream import Stream
from engine.thread_carrying import Carried, Carrying
from engine.thread_keeping import ThreadKeeping
from engine.thread_log import END, Feeds
from engine.thread_starts import Place, Started, Wish, call_off, start, take
from engine.threads import Action, Threads, run_of, thread_id_of, written_by
from ledger.database import Database, Ledger
from ledger.tables import SYSTEM
from ledger.thread_tables import ThreadRunRow
from ledger.trouble import RECORDS_AWAY

log = logging.getLogger("countersign.threads")

_LOOK_S = 2.0
"""How often runs that are due are looked for anyway."""


class ThreadRuns:
    def __init__(
        self,
        database: Database,
        threads: Threads,
        stream: Stream,
        settings: ThreadSettings,
        *,
        worker: str,
        alone: bool,
    ) -> None:
        """`alone` says that no other process can be at work over these records."""
        self._database = database
        self._threads = threads
        self._served: Mapping[str, Served] = threads.served
        self._stream = stream
        self._place = Place(worker, settings.lease_s, settings.queue_limit, settings.queue_of_person)
        self._alone = alone
        self.feeds = Feeds(database)
        self.keeping = ThreadKeeping(database, threads.served, timedelta(days=settings.keep_events_days))
        self._poke = asyncio.Event()
        self._carrying = Carrying(
            database,
            threads.served,
            self.feeds,
            room=settings.concurrency,
            alone=alone,
            poke=self._poke.set,
            tell=self._tell,
        )
        self._chores: list[asyncio.Task[None]] = []

    # what clients ask for

    async def start(self, person: Person, thread_id: str, wish: Wish, *, stays: bool = True) -> ThreadRunRow:
        """Starts a run, or queues it; on a thread of its own if none is named.

        Whoever stays for its end sees if a power cut loses it; for who does not, it is on disk before this returns.
        Raises `NotFound`, `Forbidden`, `Conflict`, `InvalidInput`, `Busy`; nothing has changed then.
        """
        served = self._threads.graph(wish.graph)
        named = thread_id_of(thread_id) if thread_id else str(uuid4())
        within = None
        if wish.command or wish.checkpoint or wish.beside:
            served.steer(wish.command, wish.checkpoint, wish.beside)
        if wish.resumes:
            within = await served.accept(person, named, wish.resume)
        room = self._carrying.room > 0
        made: list[Carried] = []

        def work(ledger: Ledger) -> Started:
            made.clear()
            started = start(ledger, person, named, wish, served, self._place, room=room, within=within)
            if started.begins:
                made.append(self._carrying.opened(ledger, started.run, person.workspace, started.superseded))
            return started

        started = await self._database.write(person.workspace, work, durable=wish.resumes or not stays)
        for each in made:
            self._carrying.launch(each)
        for other in started.called_off:
            self._carrying.stop(other)
        if not started.begins:
            self._poke.set()
        self._tell()
        return started.run

    async def cancel(self, person: Person, thread_id: str, run_id: str, action: Action) -> ThreadRunRow:
        """Calls a run off. It ends soon after, which `over` waits for. Nothing happens to one that has ended."""
        named = thread_id_of(thread_id)

        def work(ledger: Ledger) -> ThreadRunRow:
            written_by(person, ledger.threads.get(named, lock=True))
            run = run_of(ledger, person, named, run_id, lock=True)
            call_off(ledger, run, action)
            return run

        run = await self._database.write(person.workspace, work)
        self._carrying.stop(run)
        self._poke.set()
        self._tell()
        return run

    async def over(self, workspace: str, run_id: str) -> JSON:
        """Waits for its end; what its last event says. None for a run that is no more."""
        last: JSON = None
        async for batch in self.feeds.follow(workspace, run_id):
            if batch and batch[-1][1] == END:
                last = json.loads(batch[-1][2])
        if (here := self._carrying.in_hand.get(run_id)) is not None:
            await here.done.wait()
        return last

    def _tell(self) -> None:
        if not self._alone:
            self._stream.untold.set()

    # the process

    async def open(self) -> None:
        """Takes runs that are due, renews leases and hears what others want, from now on."""
        if self._alone:
            await self._database.write(SYSTEM, self._bury_the_dead)
        chores = [self._take_due(), self._beat(), self.keeping.run(), *([] if self._alone else [self._listen()])]
        self._chores = [asyncio.create_task(each) for each in chores]

    def _bury_the_dead(self, ledger: Ledger) -> None:
        """The folder is held by this process alone: whoever carried out a run before is gone."""
        for run in ledger.threads.at_work():
            run.lease_until = ledger.threads.lease(-1.0)
            ledger.session.add(run)

    async def close(self) -> None:
        """Hands over what is in hand."""
        self._closing = True
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self.feeds.close()
        await self._carrying.close()

    async def _take_due(self) -> None:
        while True:
            self._poke.clear()
            try:
                await self._take_some()
            except RECORDS_AWAY as away:
                log.warning("no runs are taken up now: %s", away)
            except Exception:  # the next look may go well
                log.exception("runs that are due could not be taken up")
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._poke.wait()
            except TimeoutError:
                continue

    async def _take_some(self) -> None:
        await self._carrying.excuse()
        if not (free := self._carrying.room):
            return
        due = await self._database.read(SYSTEM, lambda ledger: ledger.threads.due(4 * free))
        for workspace, _thread, run_id in due:
            if not self._carrying.room:
                return
            if run_id in self._carrying.in_hand:
                continue
            if (taken := await self._database.write(workspace, partial(self._taken, workspace, run_id))) is not None:
                self._carrying.launch(taken)

    def _taken(self, workspace: str, run_id: str, ledger: Ledger) -> Carried | None:
        taken = take(ledger, run_id, self._place)
        return None if taken is None else self._carrying.opened(ledger, taken[0], workspace, taken[1], waited=True)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._place.lease_s / 3)
            try:
                await self._renew()
            except RECORDS_AWAY as away:
                log.warning("leases of runs could not be renewed: %s", away)

    async def _renew(self) -> None:
        """Three times in a lease."""
        mine = [(each.workspace, each.run.id, each.run.attempt) for each in self._carrying.in_hand.values()]

        def work(ledger: Ledger) -> dict[str, bool]:
            until = ledger.threads.lease(self._place.lease_s)
            return {run_id: ledger.threads.beat(run_id, attempt, until) for _, run_id, attempt in mine}

        if not mine:
            return
        for run_id, held in (await self._database.write(SYSTEM, work, durable=False)).items():
            if not held and (carried := self._carrying.in_hand.get(run_id)) is not None:
                self._carrying.cut(carried, "lost")

    async def _listen(self) -> None:
        """What another process wants of a run that is carried out here, and events of those that are not."""
        while True:
            ticket = self._stream.ticket()
            self.feeds.ring_others()
            self._poke.set()
            if self._carrying.in_hand:
                try:
                    for run in await self._database.read(SYSTEM, lambda it: it.threads.wanted(self._place.worker)):
                        self._carrying.stop(run)
                except RECORDS_AWAY:
                    await asyncio.sleep(_LOOK_S)
            await ticket.wait()
