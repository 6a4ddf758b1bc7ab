"""The executor: given only the id of an effect, it decides again, checks the votes, reserves, runs, remembers.

The reservation is the `run` row, whose primary key is the action: an action runs at most once, ever.
What a provider did is found out by its idempotency key, never guessed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from core.actions import Effect, OutcomeStatus, ProposedAction, ToolOutcome
from core.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from core.ids import digest, new_id
from core.ports import Tools
from core.states import FINISHED, CaseStatus, Desired, ReviewStatus, RunStatus
from core.verdicts import Allow, Deny, Fact, Review, Verdict
from engine import fence
from engine.calls import FOUND, Calls
from engine.gate import Gate
from engine.incidents import BOOK
from engine.outcomes import AS_OUTCOME, load, log_effect, moved, outcome_of, post_costs, stored, unfit
from engine.reversal import original, takes_back
from engine.rulings import reconcile
from engine.stream import Stream
from engine.superseding import WHY, overtaken
from engine.undo_window import waits
from engine.votes import approval, further_reasons
from ledger.database import Database, Ledger
from ledger.tables import RunRow

log = logging.getLogger("countersign.engine")

_TURN_S, _TURNS = 0.05, 1200
"""How often, and how many times, an effect waits for another one of the same subject: a minute in all."""


class _Another:
    """Another effect for the same subject is under way, or ended after the facts were read."""


class _Taken(Exception):
    """Another process reserved the action at this moment: there is a run to wait for."""


class CaseStopped(BaseException):
    """People paused or cancelled the case. No `except Exception` on the way may swallow it."""


class AskAgain(Exception):
    """The approval does not carry the action any more: the facts moved, or policy asks for more."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Executor:
    def __init__(
        self,
        database: Database,
        tools: Tools,
        gate: Gate,
        stream: Stream,
        *,
        worker: str,
        lease: timedelta,
        ledger_on: bool = True,
    ) -> None:
        self._database = database
        self._tools = tools
        self._gate = gate
        self._stream = stream
        self._worker = worker
        self._lease = lease
        self._calls = Calls(tools, database.clock)
        self._in_the_air: dict[str, asyncio.Task[ToolOutcome]] = {}
        self._ledger_on = ledger_on
        """Only storms switch the effects ledger off, to prove that they would notice."""

    async def read(self, action: ProposedAction) -> ToolOutcome:
        """Runs a tool without an effect; the gate has judged it."""
        try:
            result = await self._calls.patiently(action, action.effect_key)
        except ProviderRefused as no:
            return outcome_of(action, OutcomeStatus.FAILED, reason=no.detail, result={"code": no.reason})
        return outcome_of(action, OutcomeStatus.DONE, result=result)

    async def run(self, workspace: str, action_id: str) -> ToolOutcome:
        """Runs an action once, or tells what came of it.

        Raises `AskAgain` if it needs (more) approval, `CaseStopped` if the case may not go on,
        `ProviderUnavailable` if facts can't be had.
        """
        action, payload, earlier = await self._database.read(workspace, lambda ledger: load(ledger, action_id))
        call = self._in_the_air.get(action_id)
        if call is not None and call is not asyncio.current_task():  # of an earlier segment, which did not wait for it
            outcome = await asyncio.shield(call)
        elif earlier is not None and self._ledger_on:
            outcome = await self._settle_earlier(action, earlier)
        else:
            try:
                reserved = await self._reserved(action, payload)
                outcome = reserved if isinstance(reserved, ToolOutcome) else await self._shielded(action, reserved)
            except _Taken:
                return await self.run(workspace, action_id)
        if outcome.status is not OutcomeStatus.DONE:
            return outcome
        spec = self._tools.specs()[action.tool]
        return outcome.model_copy(update={"spent": spec.spends(spec.parse(action.args))})

    async def recall(self, workspace: str, action_id: str) -> None:
        """Where nobody knew what came of an action: asks the provider again, whose word goes before people's."""
        action, _, run = await self._database.read(workspace, lambda ledger: load(ledger, action_id))
        if run is None or run.status != RunStatus.UNKNOWN:
            return
        specs, found = self._tools.specs(), None
        with suppress(OutcomeUnknown, ProviderUnavailable):
            found = await self._tools.lookup(action.tool, run.key) if specs[action.tool].lookup else None
        if found is not None:
            await self._finish(action, RunStatus.DONE, found, FOUND)
        else:
            await self._database.write(workspace, lambda ledger: reconcile(ledger, action, specs))

    async def settle(self, workspace: str, action_id: str) -> None:
        """Finds out what came of an effect that nobody waits for any more. It only asks; it never calls again.

        Where a provider can't be asked but knows the key, that is left to the case's next segment, which may call.
        """
        action, _payload, run = await self._database.read(workspace, lambda ledger: load(ledger, action_id))
        if run is None or run.status != RunStatus.INTENT or action_id in self._in_the_air:
            return
        spec = self._tools.specs()[action.tool]
        if (
            spec.keyed
            and not spec.lookup
            and await self._database.read(workspace, lambda ledger: _goes_on(ledger, run))
        ):
            return
        if not await self._database.write(workspace, lambda ledger: self._take_over(ledger, run, calls=False)):
            return
        if not spec.lookup:
            await self._finish(action, RunStatus.UNKNOWN, {}, "its worker is gone, and its provider can't be asked")
            return
        found = await self._tools.lookup(action.tool, run.key)
        if found is not None:
            await self._finish(action, RunStatus.DONE, found, FOUND)
        elif not run.compensates and await self._database.read(
            workspace, lambda ledger: ledger.cases.get(action.case_id).status in FINISHED
        ):
            await self._finish(action, RunStatus.FAILED, {"code": "never_sent"}, "it never reached the provider")

    # before

    async def _reserved(self, action: ProposedAction, payload: dict[str, Any]) -> ToolOutcome | datetime:
        """Facts and reservation belong together: if another effect for the same subject came between, once more.

        When it was reserved, by the ledger's clock and rather too early; or the outcome that it has instead.
        """
        for _ in range(_TURNS):
            asked_at = self._database.clock.now()
            facts = await self._gate.gather(action, payload)
            stop = await self._database.write(
                action.workspace, partial(self._reserve, action=action, facts=facts, asked_at=asked_at)
            )
            if isinstance(stop, _Another):
                await asyncio.sleep(_TURN_S)
                continue
            if stop is None:
                return asked_at
            self._stream.publish()
            if isinstance(stop, ToolOutcome):
                return stop
            raise AskAgain(stop)
        raise ProviderUnavailable(
            "Another effect for the same subject does not come to an end.", hint="It is tried again later."
        )

    def _reserve(
        self, ledger: Ledger, action: ProposedAction, facts: dict[str, Fact], asked_at: datetime
    ) -> ToolOutcome | _Another | str | None:
        """Decides again and inserts the run, in one transaction. An outcome or a reason says why not."""
        ledger.effects.one_at_a_time()  # first of all: two that count at the same moment would not see each other
        case = ledger.cases.get(action.case_id, lock=True)
        fence.hold(case)
        if why := unfit(case, action, self._tools.specs()):
            log_effect(ledger, action, "effect.denied", {"reason": why})
            return outcome_of(action, OutcomeStatus.DENIED, reason=why)
        undone, no = original(ledger, action, self._tools.specs()) if takes_back(action) else (None, "")
        if no:
            ledger.effects.decided(action.id, "execute", Deny(reason=no, book=BOOK))
            log_effect(ledger, action, "effect.denied", {"reason": no})
            return outcome_of(action, OutcomeStatus.DENIED, reason=no)
        if undone is None and case.desired != Desired.RUN:
            raise CaseStopped(case.desired)
        if undone is None and overtaken(ledger, action):
            log_effect(ledger, action, "effect.held", {"reason": WHY})
            return outcome_of(action, OutcomeStatus.SUPERSEDED, reason=WHY)
        final = self._tools.specs()[action.tool].effect is Effect.IRREVERSIBLE
        if final and case.subject and ledger.effects.another(case.subject, action.id, asked_at):
            return _Another()
        verdict = self._gate.decide(ledger, action, case.subject, facts)
        ledger.effects.decided(action.id, "execute", verdict)
        by = {"verdict": verdict.verdict, "book": verdict.book.model_dump()}
        match verdict:
            case Deny():
                log_effect(ledger, action, "effect.denied", {"reason": verdict.reason, **by})
                return outcome_of(action, OutcomeStatus.DENIED, reason=verdict.reason)
            case Review():
                review, why = approval(ledger, action, verdict)
                if review is not None and not why:
                    why = moved(review, facts, verdict) or further_reasons(ledger, review, verdict)
                if review is not None and not why and waits(ledger, review):
                    raise ProviderUnavailable("Whoever approved it may still take that back.", hint="It runs later.")
                if why:
                    if review is not None:
                        ledger.reviews.settle(review, ReviewStatus.SUPERSEDED)
                    log_effect(ledger, action, "effect.held", {"reason": why, **by})
                    return why
            case Allow():
                pass
        run = self._intent(ledger, action, case.subject, verdict, facts)
        run.simulated = case.simulated
        run.compensates = undone.action_id if undone is not None else None
        if self._ledger_on and not ledger.effects.reserve(run):
            raise _Taken
        log_effect(ledger, action, "effect.started", {"key": action.effect_key, **by})
        return None

    def _intent(
        self, ledger: Ledger, action: ProposedAction, subject: str, verdict: Verdict, facts: Mapping[str, Fact]
    ) -> RunRow:
        return RunRow(
            counted_by=self._gate.counted_by(action, facts, ledger.now),
            action_id=action.id,
            case_id=action.case_id,
            key=action.effect_key,
            tool=action.tool,
            args_digest=digest(action.args),
            subject=subject,
            proposer=action.proposer,
            status=RunStatus.INTENT,
            worker=self._worker,
            lease_until=ledger.now + self._lease,
            gated=isinstance(verdict, Review),
            started_at=ledger.now,
        )

    # during

    async def _shielded(self, action: ProposedAction, reserved_at: datetime) -> ToolOutcome:
        """A sibling that stops the segment does not cut off a call that is under way."""
        call = asyncio.create_task(self._perform(action, reserved_at))
        self._in_the_air[action.id] = call
        call.add_done_callback(lambda _: self._in_the_air.pop(action.id, None))
        return await asyncio.shield(call)

    async def landed(self, within_s: float) -> int:
        """Waits so long for the calls that are under way. Returns how many still are: others wait for their leases."""
        if self._in_the_air:
            await asyncio.wait(self._in_the_air.values(), timeout=within_s)
        return len(self._in_the_air)

    async def _perform(self, action: ProposedAction, reserved_at: datetime) -> ToolOutcome:
        if self._ledger_on and self._database.clock.now() > reserved_at + self._lease:
            # This process stood still: others may have looked, found nothing, and written that down.
            return await self._earlier(action.workspace, action.id)
        key = action.effect_key if self._ledger_on else f"{action.effect_key}:{self._worker}:{new_id('call')}"
        return await self._finish(action, *await self._calls.make(action, key))

    async def _earlier(self, workspace: str, action_id: str) -> ToolOutcome:
        action, _, run = await self._database.read(workspace, lambda ledger: load(ledger, action_id))
        if run is None:
            return outcome_of(action, OutcomeStatus.UNKNOWN)
        return await self._settle_earlier(action, run)

    async def _settle_earlier(self, action: ProposedAction, run: RunRow) -> ToolOutcome:
        """There is a run already: its stored result, or, if its worker died, what the provider says."""
        if run.status != RunStatus.INTENT:
            return stored(action, run)
        while run.worker != self._worker and run.lease_until is not None:
            left = (run.lease_until - self._database.clock.now()).total_seconds()
            if left <= 0:
                break
            await asyncio.sleep(min(left, 0.5))
            fresh = await self._database.read(action.workspace, lambda ledger: ledger.effects.run(action.id))
            if fresh is None or fresh.status != RunStatus.INTENT:
                return stored(action, fresh or run)
            run = fresh
        if not await self._database.write(action.workspace, lambda ledger: self._take_over(ledger, run, calls=True)):
            return await self.run(action.workspace, action.id)
        return await self._finish(action, *await self._calls.find_out(action, run.key, "an earlier attempt died"))

    def _take_over(self, ledger: Ledger, seen: RunRow, *, calls: bool) -> bool:
        """Whether this worker may find out; `calls` says that it may also call again, if the case may go on."""
        case = ledger.cases.get(seen.case_id, lock=True)
        fence.hold(case)
        if calls and not seen.compensates and case.desired != Desired.RUN:
            raise CaseStopped(case.desired)
        run = ledger.effects.run(seen.action_id)
        if run is None or run.status != RunStatus.INTENT or run.attempts != seen.attempts:
            return False
        if run.worker != self._worker and run.lease_until is not None and run.lease_until > ledger.now:
            return False  # its call may be under way
        run.worker, run.lease_until, run.attempts = self._worker, ledger.now + self._lease, run.attempts + 1
        ledger.session.add(run)
        return True

    # after

    async def _finish(
        self, action: ProposedAction, status: RunStatus, result: dict[str, Any], reason: str = ""
    ) -> ToolOutcome:
        spec = self._tools.specs()[action.tool]

        def close(ledger: Ledger) -> ToolOutcome:
            case = ledger.cases.get(action.case_id, lock=True)
            if not ledger.effects.finish(action.id, status, result, reason) and self._ledger_on:
                told = ledger.effects.run(action.id)  # somebody else found out first
                if told is not None and told.status == RunStatus.FAILED and status == RunStatus.DONE:
                    log_effect(ledger, action, "effect.contradicted", {"result": result, "recorded": told.reason})
                    log.error("%s of %s happened after it was recorded as failed", action.tool, case.id)
                return stored(action, told) if told else outcome_of(action, OutcomeStatus.UNKNOWN)
            log_effect(ledger, action, f"effect.{status}", {"result": result, "reason": reason})
            if status == RunStatus.DONE:
                post_costs(ledger, action, spec, result)
                ledger.outbox.tell(case, "effect.done", {"action": action.id, "tool": action.tool})
            return outcome_of(action, AS_OUTCOME[status], result=result, reason=reason)

        outcome = await self._database.write(action.workspace, close, durable=False)
        self._stream.publish()
        return outcome


def _goes_on(ledger: Ledger, run: RunRow) -> bool:
    """Whether a segment of the run's case is still to come."""
    case = ledger.cases.get(run.case_id)
    stopped = case.desired != Desired.RUN or case.status in (*FINISHED, CaseStatus.FAILED, CaseStatus.PAUSED)
    return not run.compensates and not stopped and bool(ledger.cases.unprocessed(case.id))
