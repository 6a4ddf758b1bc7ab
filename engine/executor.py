"""The executor: given only the id of an effect, it decides again, checks the votes, reserves, runs, remembers.

The reservation is the `run` row, whose primary key is the action: an action runs at most once, ever.
What a provider did is found out by its idempotency key, never guessed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pydantic import ValidationError

from core.actions import Effect, OutcomeStatus, ProposedAction, ToolOutcome
from core.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from core.ids import digest
from core.money import Money
from core.ports import CallContext, Tools
from core.states import FINISHED, Desired, ReviewStatus, RunStatus
from core.verdicts import Allow, Deny, Fact, Review, Verdict
from engine.gate import Gate
from engine.outcomes import AS_OUTCOME, load, log_effect, moved, outcome_of, stored
from engine.stream import Stream
from engine.votes import approval, further_reasons
from ledger.database import Database, Ledger
from ledger.tables import RunRow

log = logging.getLogger("countersign.engine")

_PAUSES_S = (0.05, 0.25, 1.0)
"""Between attempts at a provider that said that nothing happened."""

FOUND = "found at the provider by its key"

UNDER_WAY = "concurrent_request"
"""A provider's word for: a call with this key is running here right now."""


_TURN_S, _TURNS = 0.05, 1200
"""How often, and how many times, an effect waits for another one of the same subject: a minute in all."""


class _Another:
    """Another effect for the same subject is under way, or ended after the facts were read."""


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
        self._in_the_air: dict[str, asyncio.Task[ToolOutcome]] = {}
        self._ledger_on = ledger_on
        """Only storms switch the effects ledger off, to prove that they would notice."""

    async def read(self, action: ProposedAction) -> ToolOutcome:
        """Runs a tool without an effect; the gate has judged it."""
        context = CallContext(
            workspace=action.workspace,
            case_id=action.case_id,
            action_id=action.id,
            key=action.effect_key,
            actor=action.proposer,
            at=self._database.clock.now(),
        )
        try:
            result = await self._patiently(action, context)
        except ProviderRefused as no:
            return outcome_of(action, OutcomeStatus.FAILED, reason=no.detail, result={"code": no.reason})
        return outcome_of(action, OutcomeStatus.DONE, result=result)

    async def run(self, workspace: str, action_id: str) -> ToolOutcome:
        """Runs an action once, or tells what came of it.

        Raises `AskAgain` if it needs (more) approval, `CaseStopped` if the case may not go on,
        `ProviderUnavailable` if facts can't be had.
        """
        action, payload, earlier = await self._database.read(workspace, lambda ledger: load(ledger, action_id))
        if earlier is not None and self._ledger_on:
            outcome = await self._settle_earlier(action, earlier)
        else:
            outcome = await self._reserved(action, payload) or await self._shielded(action)
        if outcome.status is not OutcomeStatus.DONE:
            return outcome
        spec = self._tools.specs()[action.tool]
        return outcome.model_copy(update={"spent": spec.spends(spec.parse(action.args))})

    async def recall(self, workspace: str, action_id: str) -> None:
        """Where nobody knew what came of an action: asks the provider again, whose word goes before people's."""
        action, _, run = await self._database.read(workspace, lambda ledger: load(ledger, action_id))
        if run is None or run.status != RunStatus.UNKNOWN or not self._tools.specs()[action.tool].lookup:
            return
        try:
            found = await self._tools.lookup(action.tool, run.key)
        except (OutcomeUnknown, ProviderUnavailable):
            return
        if found is not None:
            await self._finish(action, RunStatus.DONE, found, FOUND)

    async def settle(self, workspace: str, action_id: str) -> None:
        """Finds out what came of an effect that nobody waits for any more. It only asks; it never calls again."""
        action, _payload, run = await self._database.read(workspace, lambda ledger: load(ledger, action_id))
        if run is None or run.status != RunStatus.INTENT or action_id in self._in_the_air:
            return
        if not await self._database.write(workspace, lambda ledger: self._take_over(ledger, run, calls=False)):
            return
        if not self._tools.specs()[action.tool].lookup:
            await self._finish(action, RunStatus.UNKNOWN, {}, "its worker is gone, and its provider can't be asked")
            return
        found = await self._tools.lookup(action.tool, run.key)
        if found is not None:
            await self._finish(action, RunStatus.DONE, found, FOUND)
        elif await self._database.read(workspace, lambda ledger: ledger.cases.get(action.case_id).status in FINISHED):
            await self._finish(action, RunStatus.FAILED, {"code": "never_sent"}, "it never reached the provider")

    # before

    async def _reserved(self, action: ProposedAction, payload: dict[str, Any]) -> ToolOutcome | None:
        """Facts and reservation belong together: if another effect for the same subject came between, once more."""
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
                return None
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
        case = ledger.cases.get(action.case_id, lock=True)
        if case.desired != Desired.RUN:
            raise CaseStopped(case.desired)
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
                    why = moved(review, facts) or further_reasons(ledger, review, verdict)
                if why:
                    if review is not None:
                        ledger.reviews.settle(review, ReviewStatus.SUPERSEDED)
                    log_effect(ledger, action, "effect.held", {"reason": why, **by})
                    return why
            case Allow():
                pass
        if self._ledger_on and not ledger.effects.reserve(self._intent(ledger, action, case.subject, verdict, facts)):
            return outcome_of(action, OutcomeStatus.DENIED, reason="another worker runs this action")
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

    async def _shielded(self, action: ProposedAction) -> ToolOutcome:
        """A sibling that stops the segment does not cut off a call that is under way."""
        call = asyncio.create_task(self._perform(action))
        self._in_the_air[action.id] = call
        call.add_done_callback(lambda _: self._in_the_air.pop(action.id, None))
        return await asyncio.shield(call)

    async def _perform(self, action: ProposedAction) -> ToolOutcome:
        context = CallContext(
            workspace=action.workspace,
            case_id=action.case_id,
            action_id=action.id,
            key=action.effect_key if self._ledger_on else f"{action.effect_key}:{self._worker}",
            actor=action.proposer,
            at=self._database.clock.now(),
        )
        try:
            result = await self._patiently(action, context)
        except ProviderRefused as no:
            if no.reason == UNDER_WAY:
                return await self._look_up(action, context, no.detail)
            return await self._finish(action, RunStatus.FAILED, {"code": no.reason}, no.detail)
        except ProviderUnavailable as down:
            return await self._finish(action, RunStatus.FAILED, {"code": "unavailable"}, down.detail)
        except OutcomeUnknown as unknown:
            return await self._look_up(action, context, unknown.detail)
        return await self._finish(action, RunStatus.DONE, result)

    async def _patiently(self, action: ProposedAction, context: CallContext) -> dict[str, Any]:
        """Calls again, with the same key, while the provider says that nothing happened."""
        for pause in _PAUSES_S:
            try:
                return await self._tools.call(action.tool, action.args, context)
            except ProviderUnavailable:
                await asyncio.sleep(pause)
        return await self._tools.call(action.tool, action.args, context)

    async def _look_up(self, action: ProposedAction, context: CallContext, why: str) -> ToolOutcome:
        """Asks the provider whether it happened. It did: its result. It did not: once more, same key."""
        spec = self._tools.specs()[action.tool]
        for pause in (*_PAUSES_S, 0.0):
            try:
                found = await self._tools.lookup(action.tool, context.key) if spec.lookup else None
                if found is not None:
                    return await self._finish(action, RunStatus.DONE, found, FOUND)
                if not spec.keyed:
                    break  # a second call could be a second effect
                again = await self._tools.call(action.tool, action.args, context)
                return await self._finish(action, RunStatus.DONE, again)
            except ProviderRefused as no:
                if no.reason != UNDER_WAY:
                    return await self._finish(action, RunStatus.FAILED, {"code": no.reason}, no.detail)
                why = no.detail
                await asyncio.sleep(pause)
            except (OutcomeUnknown, ProviderUnavailable) as still:
                why = still.detail
                await asyncio.sleep(pause)
        return await self._finish(action, RunStatus.UNKNOWN, {}, why)

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
        context = CallContext(
            workspace=action.workspace,
            case_id=action.case_id,
            action_id=action.id,
            key=run.key,
            actor=action.proposer,
            at=self._database.clock.now(),
        )
        return await self._look_up(action, context, "an earlier attempt died")

    def _take_over(self, ledger: Ledger, seen: RunRow, *, calls: bool) -> bool:
        """Whether this worker may find out; `calls` says that it may also call again, if the case may go on."""
        if calls and (desired := ledger.cases.get(seen.case_id).desired) != Desired.RUN:
            raise CaseStopped(desired)
        run = ledger.effects.run(seen.action_id)
        if run is None or run.status != RunStatus.INTENT or run.attempts != seen.attempts:
            return False
        run.worker, run.lease_until, run.attempts = self._worker, ledger.now + self._lease, run.attempts + 1
        ledger.session.add(run)
        return True

    # after

    async def _finish(
        self, action: ProposedAction, status: RunStatus, result: dict[str, Any], reason: str = ""
    ) -> ToolOutcome:
        costs = self._costs(action, result) if status == RunStatus.DONE else {}

        def close(ledger: Ledger) -> ToolOutcome:
            if not ledger.effects.finish(action.id, status, result, reason) and self._ledger_on:
                told = ledger.effects.run(action.id)  # somebody else found out first
                return stored(action, told) if told else outcome_of(action, OutcomeStatus.UNKNOWN)
            log_effect(ledger, action, f"effect.{status}", {"result": result, "reason": reason})
            for component, cost in costs.items():
                ledger.costs.post(
                    key=f"{action.id}:{component}", case_id=action.case_id, component=component, amount=cost
                )
            return outcome_of(action, AS_OUTCOME[status], result=result, reason=reason)

        outcome = await self._database.write(action.workspace, close, durable=False)
        self._stream.publish()
        return outcome

    def _costs(self, action: ProposedAction, result: dict[str, Any]) -> Mapping[str, Money]:
        """What it cost. A result that does not fit its schema happened all the same: it is kept, without a price."""
        spec = self._tools.specs()[action.tool]
        try:
            return spec.costs(spec.result.model_validate(result))
        except ValidationError as unfit:
            log.error("the result of %s does not fit its schema: %s", action.tool, unfit)
            return {}
