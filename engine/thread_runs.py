"""Carries runs out in this process, a bounded number at a time, and goes on with those that another process lost.

A run belongs to the process that began it for a lease, which is renewed three times before it is over. What ends it is
written in one transaction with its last events.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal
from uuid import uuid4

from core.actions import JSON
from core.errors import CountersignError
from core.people import Person
from core.settings import ThreadSettings
from engine.served import Outcome, Served, Turn
from engine.stream import Stream
from engine.thread_log import END, Feeds, RunLog, RunLost, encoded
from engine.thread_starts import DEATHS, Place, Started, Wish, call_off, deaths, end, questions, start, take
from engine.threads import Action, Threads, run_of, thread_id_of, written_by
from ledger.database import Database, Ledger
from ledger.tables import SYSTEM
from ledger.thread_tables import ThreadRunRow
from ledger.trouble import RECORDS_AWAY

log = logging.getLogger("countersign.threads")

_LOOK_S = 2.0
"""How often runs that are due are looked for anyway."""

Why = Literal["", "interrupt", "rollback", "handed_over", "lost"]


@dataclass
class _Carried:
    run: ThreadRunRow
    workspace: str
    log: RunLog
    why: Why = ""
    """Why it was stopped, if it was."""
    task: asyncio.Task[None] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)


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
        self._room = settings.concurrency
        self._place = Place(worker, settings.lease_s, settings.queue_limit)
        self._alone = alone
        self.feeds = Feeds(database)
        self._carried: dict[str, _Carried] = {}
        self._poke = asyncio.Event()
        self._closing = False
        self._chores: list[asyncio.Task[None]] = []

    # what clients ask for

    async def start(self, person: Person, thread_id: str, wish: Wish) -> ThreadRunRow:
        """Starts a run, or queues it; on a thread of its own if none is named.

        Raises `NotFound`, `Forbidden`, `Conflict`, `InvalidInput`, `Busy`; nothing has changed then.
        """
        served = self._threads.graph(wish.graph)
        named = thread_id_of(thread_id) if thread_id else str(uuid4())
        within = None
        if wish.command or wish.checkpoint:
            served.steer(wish.command, wish.checkpoint)
        if wish.resumes:
            within = await served.accept(person, named, wish.resume)
        room = not self._closing and len(self._carried) < self._room
        made: list[_Carried] = []

        def work(ledger: Ledger) -> Started:
            made.clear()
            started = start(ledger, person, named, wish, served, self._place, room=room, within=within)
            if started.begins:
                made.append(self._opened(ledger, started.run, person.workspace, started.superseded))
            return started

        # Whoever waits for the answer sees a failure; who leaves wants it kept.
        started = await self._database.write(person.workspace, work, durable=wish.resumes or wish.strategy != "enqueue")
        for each in made:
            self._launch(each)
        for other in started.called_off:
            self._stop(other)
        if not started.begins:
            self._poke.set()
        self._tell()
        return started.run

    async def cancel(self, person: Person, thread_id: str, run_id: str, action: Action) -> ThreadRunRow:
        """Calls a run off. It ends soon after, which `over` waits for. Nothing happens to one that has ended."""
        named = thread_id_of(thread_id)

        def work(ledger: Ledger) -> ThreadRunRow:
            written_by(person, ledger.threads.get(named, lock=True))
            run = run_of(ledger, person, named, run_id)
            call_off(ledger, run, action)
            return run

        run = await self._database.write(person.workspace, work)
        self._stop(run)
        self._poke.set()
        self._tell()
        return run

    async def over(self, workspace: str, run_id: str) -> JSON:
        """Waits for its end; what its last event says. None for a run that is no more."""
        last: JSON = None
        async for batch in self.feeds.follow(workspace, run_id):
            if batch and batch[-1][1] == END:
                last = json.loads(batch[-1][2])
        if (here := self._carried.get(run_id)) is not None:
            await here.done.wait()
        return last

    # carrying out

    def _opened(self, ledger: Ledger, run: ThreadRunRow, workspace: str, superseded: list[str]) -> _Carried:
        """Its log, with the first events in this transaction."""
        last = ledger.threads.last_event(run.id) if run.attempt > 1 else 0
        feed = self.feeds.of(run.id)
        writer = RunLog(
            self._database,
            feed,
            workspace=workspace,
            run_id=run.id,
            attempt=run.attempt,
            last=last,
            alone=self._alone,
            tell=self._tell,
        )
        writer.put("metadata", encoded({"run_id": run.id, "attempt": run.attempt}))
        if superseded:
            writer.put("custom", encoded({"superseded": superseded}))
        ledger.session.flush()
        writer.write(ledger)
        return _Carried(run, workspace, writer)

    def _launch(self, carried: _Carried) -> None:
        carried.log.written(carried.log.waiting)
        self._carried[carried.run.id] = carried
        carried.task = asyncio.get_running_loop().create_task(self._carry(carried), context=Context())

    async def _carry(self, carried: _Carried) -> None:
        run, more = carried.run, False
        try:
            more = await self._run(carried)
        except RunLost:
            log.warning("run %s went on elsewhere: nothing more of it is written here", run.id)
        except RECORDS_AWAY as away:
            log.warning("run %s was cut off, and goes on when its lease is over: %s", run.id, away)
        except Exception:  # a defect of ours: the lease ends, and another attempt is made
            log.exception("run %s could not be ended", run.id)
        finally:
            if run.ended_at is None:
                self.feeds.of(run.id).leave()
            del self._carried[run.id]
            carried.done.set()
            if more or len(self._carried) + 1 >= self._room:
                self._poke.set()
            self._tell()

    async def _run(self, carried: _Carried) -> bool:
        """Whether others of its thread wait for their turn."""
        run = carried.run
        served = self._served.get(run.graph)
        outcome: Outcome | None = None
        problem: dict[str, str] | None = None
        status = "error"
        try:
            if served is None:
                problem = {"error": "NotFound", "message": f"There is no graph '{run.graph}' any more."}
            elif deaths(run) >= DEATHS:
                problem = {"error": "RunDied", "message": f"{DEATHS} processes died with this run."}
            else:
                outcome = await served.run(_turn(run), carried.log.emit)
                status = outcome.ended
        except asyncio.CancelledError:
            if not carried.why:
                raise
            if (me := asyncio.current_task()) is not None:
                me.uncancel()  # it was for the graph alone
        except RECORDS_AWAY:
            raise
        except CountersignError as error:
            problem = {"error": type(error).__name__, "message": str(error)}
        except Exception as error:  # of the graph: whatever it is, the run ends with it
            log.warning("run %s of %s failed", run.id, run.graph, exc_info=True)
            problem = {"error": type(error).__name__, "message": str(error)[:500]}
        await carried.log.close()
        if carried.why == "lost":
            raise RunLost(run.id)
        if carried.why == "handed_over":
            return await self._hand_over(carried)
        if carried.why:
            status, problem, outcome = "interrupted", None, None
            if served is not None:
                if carried.why == "rollback":
                    await served.roll_back(_person(run), run.thread_id, run.id)
                outcome = await self._as_it_stands(served, run)
        return await self._end(carried, status, outcome, problem)

    async def _as_it_stands(self, served: Served, run: ThreadRunRow) -> Outcome | None:
        if served.personal:
            return None
        state = await served.state(_person(run), run.thread_id)
        return Outcome("interrupted" if state.next else "success", state.values, state.asked)

    async def _end(
        self, carried: _Carried, status: str, outcome: Outcome | None, problem: dict[str, str] | None
    ) -> bool:
        run, writer = carried.run, carried.log
        output: dict[str, JSON] = {"values": None, "status": status}
        if outcome is not None:
            values = None if outcome.values is None else json.loads(encoded(outcome.values))
            outcome = Outcome(outcome.ended, values, outcome.asked)
            asked = json.loads(encoded([each for some in questions(outcome).values() for each in some]))
            output["values"] = None if values is None else {**values, **({"__interrupt__": asked} if asked else {})}
        if problem is not None:
            output["error"] = problem
            writer.put("error", encoded(problem))
        writer.put(END, encoded(output))

        def work(ledger: Ledger) -> bool:
            row = ledger.threads.run(run.id, lock=True)
            if row is None or row.attempt != run.attempt or row.status != "running":
                raise RunLost(run.id)
            writer.write(ledger)
            waiting = end(ledger, row, status, outcome, problem)
            if row.wanted == "rollback" and carried.why == "rollback":
                ledger.session.flush()
                ledger.session.delete(row)
            return waiting

        waiting = await self._database.write(carried.workspace, work, durable=False)
        run.ended_at = run.updated_at
        writer.written(writer.waiting)
        return waiting

    async def _hand_over(self, carried: _Carried) -> bool:
        """This process ends: another one goes on with the run at once."""
        await carried.log.flush()

        def work(ledger: Ledger) -> None:
            row = ledger.threads.run(carried.run.id, lock=True)
            if row is not None and row.attempt == carried.run.attempt and row.status == "running":
                row.status, row.lease_until = "pending", None
                row.problem = {"handed_over": int(row.problem.get("handed_over", 0)) + 1}
                ledger.session.add(row)

        await self._database.write(carried.workspace, work)
        return False

    def _stop(self, run: ThreadRunRow) -> None:
        """Ends a run for what was asked, if it is carried out here; whoever else has it looks for itself."""
        carried = self._carried.get(run.id)
        if carried is None:
            self.feeds.of(run.id).ring()
            return
        if run.wanted in ("interrupt", "rollback"):
            self._cut(carried, "rollback" if run.wanted == "rollback" else "interrupt")

    def _cut(self, carried: _Carried, why: Why) -> None:
        if not carried.why and not carried.log.closed and carried.task is not None:
            carried.why = why
            carried.task.cancel()

    def _tell(self) -> None:
        if not self._alone:
            self._stream.untold.set()

    # the process

    async def open(self) -> None:
        """Takes runs that are due, renews leases and hears what others want, from now on."""
        if self._alone:
            await self._database.write(SYSTEM, self._bury_the_dead)
        chores = [self._take_due(), self._beat(), *([] if self._alone else [self._listen()])]
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
        for carried in list(self._carried.values()):
            self._cut(carried, "handed_over")
        await asyncio.gather(*(each.task for each in self._carried.values() if each.task), return_exceptions=True)

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
                await asyncio.wait_for(self._poke.wait(), _LOOK_S)
            except TimeoutError:
                continue

    async def _take_some(self) -> None:
        free = self._room - len(self._carried)
        if free <= 0:
            return
        due = await self._database.read(SYSTEM, lambda ledger: ledger.threads.due(4 * free))
        for workspace, _thread, run_id in due:
            if len(self._carried) >= self._room or self._closing:
                return
            if run_id in self._carried:
                continue
            if (taken := await self._database.write(workspace, partial(self._taken, workspace, run_id))) is not None:
                self._launch(taken)

    def _taken(self, workspace: str, run_id: str, ledger: Ledger) -> _Carried | None:
        taken = take(ledger, run_id, self._place)
        return None if taken is None else self._opened(ledger, taken[1], workspace, taken[2])

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._place.lease_s / 3)
            try:
                await self._renew()
            except RECORDS_AWAY as away:
                log.warning("leases of runs could not be renewed: %s", away)

    async def _renew(self) -> None:
        """Three times in a lease."""
        mine = [(each.workspace, each.run.id, each.run.attempt) for each in self._carried.values()]

        def work(ledger: Ledger) -> dict[str, bool]:
            until = ledger.threads.lease(self._place.lease_s)
            return {run_id: ledger.threads.beat(run_id, attempt, until) for _, run_id, attempt in mine}

        if not mine:
            return
        for run_id, held in (await self._database.write(SYSTEM, work, durable=False)).items():
            if not held and (carried := self._carried.get(run_id)) is not None:
                self._cut(carried, "lost")

    async def _listen(self) -> None:
        """What another process wants of a run that is carried out here, and events of those that are not."""
        while True:
            ticket = self._stream.ticket()
            self.feeds.ring_others()
            self._poke.set()
            if self._carried:
                try:
                    for run in await self._database.read(SYSTEM, lambda it: it.threads.wanted(self._place.worker)):
                        self._stop(run)
                except RECORDS_AWAY:
                    await asyncio.sleep(_LOOK_S)
            await ticket.wait()


def _person(run: ThreadRunRow) -> Person:
    return Person.model_validate(run.person)


def _turn(run: ThreadRunRow) -> Turn:
    asked: Mapping[str, Any] = run.asked
    return Turn(
        person=_person(run),
        thread_id=run.thread_id,
        run_id=run.id,
        attempt=run.attempt,
        input=asked["input"],
        resumes=asked["resumes"],
        command=asked["command"],
        config=asked["config"],
        context=asked["context"],
        modes=tuple(asked["modes"]),
        subgraphs=asked["subgraphs"],
        before=tuple(asked["before"]),
        after=tuple(asked["after"]),
        durability=asked["durability"],
        checkpoint=asked["checkpoint"],
        metadata=run.meta,
    )
