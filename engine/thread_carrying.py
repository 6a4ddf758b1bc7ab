"""Carries out the runs that this process has begun: from their first event to the transaction that ends them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from core.actions import JSON
from core.errors import CountersignError
from core.people import Person
from engine.served import Outcome, Served, Turn
from engine.thread_log import END, Feeds, RunLog, RunLost, encoded
from engine.thread_starts import DEATHS, deaths, end, excuse, questions
from ledger.database import Database, Ledger
from ledger.thread_tables import ThreadRunRow
from ledger.trouble import RECORDS_AWAY

log = logging.getLogger("countersign.threads")

Why = Literal["", "interrupt", "rollback", "handed_over", "lost"]


@dataclass
class Carried:
    run: ThreadRunRow
    workspace: str
    log: RunLog
    why: Why = ""
    """Why it was stopped, if it was."""
    waited: bool = False
    """It was queued, or had been begun before: whoever started it may be gone since."""
    task: asyncio.Task[None] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Carrying:
    def __init__(
        self,
        database: Database,
        served: Mapping[str, Served],
        feeds: Feeds,
        *,
        room: int,
        alone: bool,
        poke: Callable[[], None],
        tell: Callable[[], None],
    ) -> None:
        """`room` is for so many at a time; `poke` has runs looked for that are due, `tell` tells other processes."""
        self._database = database
        self._served = served
        self._feeds = feeds
        self._room = room
        self._alone = alone
        self._poke = poke
        self._tell = tell
        self._closing = False
        self.in_hand: dict[str, Carried] = {}
        self._cut_off: list[Carried] = []
        """Runs that ended here because the records were away, which is to be told of them."""

    @property
    def room(self) -> int:
        """For how many more there is."""
        return 0 if self._closing else max(0, self._room - len(self.in_hand))

    async def close(self) -> None:
        """Hands over what is in hand, and takes nothing more."""
        self._closing = True
        for carried in list(self.in_hand.values()):
            self.cut(carried, "handed_over")
        await asyncio.gather(*(each.task for each in self.in_hand.values() if each.task), return_exceptions=True)

    async def excuse(self) -> None:
        """Those that were cut off by the records' absence go on soon, and it is no death of a process."""
        while self._cut_off:
            one = self._cut_off[0]
            await self._database.write(one.workspace, partial(excuse, run_id=one.run.id, attempt=one.run.attempt))
            self._cut_off.remove(one)

    def opened(
        self, ledger: Ledger, run: ThreadRunRow, workspace: str, superseded: list[str], *, waited: bool = False
    ) -> Carried:
        """Its log, with the first events in this transaction."""
        last = ledger.threads.last_event(run.id) if run.attempt > 1 else 0
        feed = self._feeds.of(run.id)
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
        writer.write(ledger, mine=True)
        return Carried(run, workspace, writer, why=_wanted(run), waited=waited)

    def launch(self, carried: Carried) -> None:
        carried.log.begun()
        self.in_hand[carried.run.id] = carried
        carried.task = asyncio.get_running_loop().create_task(self._carry(carried), context=Context())

    async def _carry(self, carried: Carried) -> None:
        run, more = carried.run, False
        try:
            try:
                more = await self._run(carried)
            finally:
                await carried.log.close()  # another attempt may be about to write
        except RunLost:
            log.warning("run %s went on elsewhere: nothing more of it is written here", run.id)
        except RECORDS_AWAY as away:
            log.warning("run %s was cut off, and goes on when the records are there: %s", run.id, away)
            self._cut_off.append(carried)
        except Exception:  # a defect of ours: the lease ends, and another attempt is made
            log.exception("run %s could not be ended", run.id)
        finally:
            if run.ended_at is None:
                self._feeds.of(run.id).leave()
            was_full = not self.room
            del self.in_hand[run.id]
            carried.done.set()
            if more or was_full:
                self._poke()
            self._tell()

    async def _run(self, carried: Carried) -> bool:
        """Whether others of its thread wait for their turn."""
        run = carried.run
        served = self._served.get(run.graph)
        outcome: Outcome | None = None
        problem: dict[str, str] | None = None
        status = "error"
        try:
            if carried.why:
                log.info("run %s was called off before it went on", run.id)
            elif served is None:
                problem = {"error": "NotFound", "message": f"There is no graph '{run.graph}' any more."}
            elif deaths(run) >= DEATHS:
                problem = {"error": "RunDied", "message": f"{DEATHS} processes died with this run."}
            elif carried.waited and await self._gone(run):
                problem = {"error": "Forbidden", "message": f"{run.person['id']}, who started it, was suspended since."}
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

    async def _gone(self, run: ThreadRunRow) -> bool:
        """Whether whoever started it was shut out meanwhile."""
        person = _person(run)
        found = await self._database.read(person.workspace, lambda it: it.people.named(person.workspace, person.id))
        return any(not each.active for each in found)

    async def _as_it_stands(self, served: Served, run: ThreadRunRow) -> Outcome | None:
        if served.personal:
            return None
        state = await served.state(_person(run), run.thread_id)
        return Outcome("interrupted" if state.next else "success", state.values, state.asked)

    async def _end(
        self, carried: Carried, status: str, outcome: Outcome | None, problem: dict[str, str] | None
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
            if not self._alone:  # nobody else can take it, or change its thread within this transaction
                ledger.threads.quick.lock(run.thread_id)
                if ledger.threads.quick.held(run.id) != (run.attempt, "running"):
                    raise RunLost(run.id)
            writer.write(ledger, mine=True)
            waiting = end(ledger, run, status, outcome, problem)
            if carried.why == "rollback":
                ledger.threads.delete_run(run.id)
            return waiting

        waiting = await self._database.write(carried.workspace, work, durable=False)
        run.ended_at = run.updated_at
        writer.written(writer.waiting)
        return waiting

    async def _hand_over(self, carried: Carried) -> bool:
        """This process ends: another one goes on with the run at once."""
        await carried.log.flush()

        def work(ledger: Ledger) -> None:
            row = ledger.threads.run(carried.run.id, lock=True)
            if row is not None and row.attempt == carried.run.attempt and row.status == "running":
                row.status, row.lease_until = "pending", None
                row.problem = {**row.problem, "handed_over": int(row.problem.get("handed_over", 0)) + 1}
                ledger.session.add(row)

        await self._database.write(carried.workspace, work)
        return False

    def stop(self, run: ThreadRunRow) -> None:
        """Ends a run for what was asked, if it is carried out here; whoever else has it looks for itself."""
        carried = self.in_hand.get(run.id)
        if carried is None:
            self._feeds.of(run.id).ring()
            return
        if why := _wanted(run):
            self.cut(carried, why)

    def cut(self, carried: Carried, why: Why) -> None:
        if not carried.why and not carried.log.closed and carried.task is not None:
            carried.why = why
            carried.task.cancel()


def _wanted(run: ThreadRunRow) -> Why:
    match run.wanted:
        case "interrupt" | "rollback" as why:
            return why
        case _:
            return ""


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
