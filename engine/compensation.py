"""Takes back what a case did, where people ended it: its reversible effects, the last one first.

Each compensation passes the gate, waits for people where policy asks for them, and runs once, like any other action.
What can't be taken back goes to people. Nothing is kept in memory: where it stands is read from the rows, and a timer
brings back what a process left unfinished. Only the end of a case, or an operator, sets it off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from core.actions import ToolSpec
from core.errors import Conflict, CountersignError
from core.people import Permission, Person, require
from core.states import FINISHED
from core.verdicts import Review
from engine import incidents
from engine.executing import Executing
from engine.executor import AskAgain
from engine.gate import Gate
from engine.provenance import Told
from engine.reversal import (
    SETTLED,
    UNDO_TIMER,
    WANTED,
    Standing,
    Undo,
    in_the_air,
    not_asked_about,
    undoing,
    wake,
)
from engine.reviews import ReviewDesk
from engine.stream import Stream
from ledger.database import Database, Ledger
from ledger.trouble import RECORDS_AWAY

log = logging.getLogger("countersign.engine")

_MOST_STEPS = 1000


class Compensation:
    def __init__(self, database: Database, gate: Gate, executor: Executing, desk: ReviewDesk, stream: Stream) -> None:
        self._database = database
        self._gate = gate
        self._executor = executor
        self._desk = desk
        self._stream = stream
        self._at_work: dict[str, asyncio.Task[None]] = {}

    # what people ask

    async def standing(self, workspace: str, case_id: str) -> list[Undo]:
        """What the case did that can be taken back, the last effect first, and where each stands."""
        return await self._database.read(workspace, lambda ledger: self._undoing(ledger, case_id))

    async def ask(self, person: Person, case_id: str) -> list[Undo]:
        """An operator wants taken back what a finished case did. Raises `Conflict`, `Forbidden`, `NotFound`."""
        require(person, Permission.OPERATE)

        def want(ledger: Ledger) -> list[Undo]:
            case = ledger.cases.get(case_id, lock=True)
            if case.status not in FINISHED:
                raise Conflict(
                    f"The case is {case.status}: what it did may still be needed.",
                    hint="Cancel it: what it did is then taken back.",
                    present=str(case.status),
                )
            found = self._undoing(ledger, case_id)
            if all(each.standing in SETTLED for each in found):
                raise Conflict(
                    "Nothing of this case is left to take back.",
                    hint="See what it did, and where that stands: countersign cases compensate CASE --look.",
                )
            wake(ledger, case)
            ledger.audit.append(WANTED, {"by": person.id}, case_id=case.id)
            ledger.trace.add(case.id, WANTED, {"by": person.id})
            return found

        found = await self._database.write(person.workspace, want)
        self._stream.publish()
        return found

    def _undoing(self, ledger: Ledger, case_id: str) -> list[Undo]:
        return undoing(ledger, ledger.cases.get(case_id), self._specs())

    def _specs(self) -> Mapping[str, ToolSpec[Any]]:
        return self._gate.specs

    # the work

    def begin(self, workspace: str, case_id: str) -> None:
        """Goes on with a case, beside everything else. A second call for the same case changes nothing."""
        if case_id not in self._at_work:
            task = self._at_work[case_id] = asyncio.create_task(self._work(workspace, case_id))
            task.add_done_callback(lambda _: self._at_work.pop(case_id, None))

    async def settled(self) -> None:
        """Waits for what is at work in this process."""
        while self._at_work:
            await asyncio.gather(*self._at_work.values(), return_exceptions=True)

    async def stop(self) -> None:
        """What is unfinished goes on with the timer that stands for it."""
        for task in self._at_work.values():
            task.cancel()
        await self.settled()

    async def _work(self, workspace: str, case_id: str) -> None:
        try:
            for _ in range(_MOST_STEPS):
                if not await self._step(workspace, case_id):
                    break
        except (CountersignError, *RECORDS_AWAY) as later:
            log.warning("what %s did can't be taken back yet: %s", case_id, later)
        except Exception:  # a defect: the timer brings it back, and nothing else of the house is held up
            log.exception("what %s did could not be taken back", case_id)
        self._stream.publish()

    async def _step(self, workspace: str, case_id: str) -> bool:
        """Does the next thing. Whether there may be another one."""
        undo = await self._database.write(workspace, lambda ledger: self._next(ledger, case_id))
        if undo is None or undo.action is None:
            return False
        action = undo.action
        if undo.standing is Standing.TO_PROPOSE:
            case = await self._database.read(workspace, lambda ledger: ledger.cases.get(case_id))
            # The house made it of its own records: what was asked of a provider, and what that answered.
            told = Told.of(action.args, frozenset(action.args), ())
            await self._gate.propose(workspace, case_id, [action], case.payload, told=lambda: told)
        elif undo.standing is Standing.TO_RUN:
            try:
                await self._executor.run(workspace, action.id)
            except AskAgain as again:
                why = again.reason
                await self._database.write(workspace, lambda ledger: self._ask_for_it(ledger, action.id, why))
        else:
            raise AssertionError(undo.standing)
        return True

    def _next(self, ledger: Ledger, case_id: str) -> Undo | None:
        """What is to be done now, outside of a transaction; questions to people are put here. None: nothing for now."""
        case = ledger.cases.get(case_id, lock=True)
        for run in not_asked_about(ledger, case, self._specs()):
            incidents.ask_of_effect(ledger, case, incidents.RECONCILE, run.action_id, run.reason)
        for undo in undoing(ledger, case, self._specs()):
            match undo.standing:
                case Standing.TAKEN_BACK | Standing.LEFT:
                    continue
                case Standing.TO_PROPOSE | Standing.TO_RUN:
                    return undo
                case Standing.TO_ASK if undo.action is not None:
                    self._ask_for_it(ledger, undo.action.id, "")
                case Standing.FAILED:
                    about = undo.action.id if undo.action is not None else undo.effect.id
                    incidents.ask_of_effect(ledger, case, incidents.UNDO, about, undo.why)
                case Standing.UNKNOWN:
                    about = undo.action.id if undo.action is not None else undo.effect.id
                    incidents.ask_of_effect(ledger, case, incidents.RECONCILE, about, undo.why)
                case Standing.UNSETTLED:
                    return None  # its timer looks again: an earlier effect may rest on this one
                case _:
                    pass
            break  # people are asked; what was done before it waits for their answer
        if in_the_air(ledger, case):
            return None
        for timer in ledger.timers.pending(case.id):
            if timer.purpose == UNDO_TIMER and timer.due_at > ledger.now:
                ledger.timers.fire(timer)
        return None

    def _ask_for_it(self, ledger: Ledger, action_id: str, why: str) -> None:
        """Policy lets it run if people do."""
        row = ledger.effects.action(action_id)
        verdict = Review.model_validate(ledger.effects.decisions(action_id)[-1].body)
        if why:
            verdict = verdict.model_copy(update={"reason": f"{why[:1].upper()}{why[1:]}. {verdict.reason}"})
        case = ledger.cases.get(row.case_id, lock=True)
        self._desk.open(ledger, case, action_id, "", verdict)
