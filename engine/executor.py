"""The executor: given only an action's id, it decides again, checks the votes, reserves, runs, remembers.

The reservation is the `run` row, whose primary key is the action: an action runs at most once, ever.
What a provider did is found out by its idempotency key, never guessed.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from core.actions import OutcomeStatus, ProposedAction, ToolOutcome
from core.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from core.ids import digest
from core.money import Money
from core.ports import CallContext, Tools
from core.states import Desired, ReviewStatus, RunStatus
from core.verdicts import Allow, Deny, Fact, Review, Verdict
from engine.gate import Gate
from engine.stream import Stream
from engine.votes import approval
from ledger.database import Database, Ledger
from ledger.tables import ReviewRow, RunRow

_PAUSES_S = (0.05, 0.25, 1.0)
"""Between attempts at a provider that said that nothing happened."""

FOUND = "found at the provider by its key"

UNDER_WAY = "concurrent_request"
"""A provider's word for: a call with this key is running here right now."""


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
            return _outcome(action, OutcomeStatus.FAILED, reason=no.detail, result={"code": no.reason})
        return _outcome(action, OutcomeStatus.DONE, result=result)

    async def run(self, workspace: str, action_id: str) -> ToolOutcome:
        """Runs an action once, or tells what came of it.

        Raises `AskAgain` if it needs (more) approval, `CaseStopped` if the case may not go on,
        `ProviderUnavailable` if facts can't be had.
        """
        action, payload, earlier = await self._database.read(workspace, lambda ledger: _load(ledger, action_id))
        if earlier is not None and self._ledger_on:
            return await self._settle_earlier(action, earlier)
        facts = await self._gate.gather(action, payload)
        stop = await self._database.write(workspace, lambda ledger: self._reserve(ledger, action, facts))
        if stop is not None:
            self._stream.publish()
            if isinstance(stop, ToolOutcome):
                return stop
            raise AskAgain(stop)
        return await self._perform(action)

    async def recall(self, workspace: str, action_id: str) -> None:
        """Where nobody knew what came of an action: asks the provider again, whose word goes before people's."""
        action, _, run = await self._database.read(workspace, lambda ledger: _load(ledger, action_id))
        if run is None or run.status != RunStatus.UNKNOWN or not self._tools.specs()[action.tool].lookup:
            return
        try:
            found = await self._tools.lookup(action.tool, run.key)
        except (OutcomeUnknown, ProviderUnavailable):
            return
        if found is not None:
            await self._finish(action, RunStatus.DONE, found, FOUND)

    async def settle(self, workspace: str, action_id: str) -> None:
        """Finds out what came of an effect that nobody waits for any more: its case was cancelled, or went on."""
        action, _payload, run = await self._database.read(workspace, lambda ledger: _load(ledger, action_id))
        if run is not None and run.status == RunStatus.INTENT:
            await self._settle_earlier(action, run)

    # before

    def _reserve(self, ledger: Ledger, action: ProposedAction, facts: dict[str, Fact]) -> ToolOutcome | str | None:
        """Decides again and inserts the run, in one transaction. An outcome or a reason says why not."""
        case = ledger.cases.get(action.case_id, lock=True)
        if case.desired != Desired.RUN:
            raise CaseStopped(case.desired)
        verdict = self._gate.decide(ledger, action, case.subject, facts)
        ledger.effects.decided(action.id, "execute", verdict)
        match verdict:
            case Deny():
                _log(ledger, action, "effect.denied", {"reason": verdict.reason})
                return _outcome(action, OutcomeStatus.DENIED, reason=verdict.reason)
            case Review():
                review, why = approval(ledger, action, verdict)
                if review is not None and not why:
                    why = _moved(review, facts)
                if why:
                    if review is not None:
                        ledger.reviews.settle(review, ReviewStatus.SUPERSEDED)
                    _log(ledger, action, "effect.held", {"reason": why})
                    return why
            case Allow():
                pass
        if self._ledger_on and not ledger.effects.reserve(self._intent(ledger, action, case.subject, verdict)):
            return _outcome(action, OutcomeStatus.DENIED, reason="another worker runs this action")
        _log(ledger, action, "effect.started", {"key": action.effect_key})
        return None

    def _intent(self, ledger: Ledger, action: ProposedAction, subject: str, verdict: Verdict) -> RunRow:
        return RunRow(
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
            return _stored(action, run)
        while run.worker != self._worker and run.lease_until is not None:
            left = (run.lease_until - self._database.clock.now()).total_seconds()
            if left <= 0:
                break
            await asyncio.sleep(min(left, 0.5))
            fresh = await self._database.read(action.workspace, lambda ledger: ledger.effects.run(action.id))
            if fresh is None or fresh.status != RunStatus.INTENT:
                return _stored(action, fresh or run)
            run = fresh
        if not await self._database.write(action.workspace, lambda ledger: self._take_over(ledger, run)):
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

    def _take_over(self, ledger: Ledger, seen: RunRow) -> bool:
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
        def close(ledger: Ledger) -> ToolOutcome:
            ledger.effects.finish(action.id, status, result, reason)
            _log(ledger, action, f"effect.{status}", {"result": result, "reason": reason})
            if status == RunStatus.DONE:
                spec = self._tools.specs()[action.tool]
                for component, cost in spec.costs(spec.result.model_validate(result)).items():
                    ledger.costs.post(
                        key=f"{action.id}:{component}", case_id=action.case_id, component=component, amount=cost
                    )
            return _outcome(action, _AS_OUTCOME[status], result=result, reason=reason)

        outcome = await self._database.write(action.workspace, close, durable=False)
        self._stream.publish()
        return outcome


_AS_OUTCOME = {
    RunStatus.DONE: OutcomeStatus.DONE,
    RunStatus.FAILED: OutcomeStatus.FAILED,
    RunStatus.UNKNOWN: OutcomeStatus.UNKNOWN,
}


def _load(ledger: Ledger, action_id: str) -> tuple[ProposedAction, dict[str, Any], RunRow | None]:
    row, payload, run = ledger.effects.whole(action_id)
    return ledger.effects.proposed(row), payload, run


def _log(ledger: Ledger, action: ProposedAction, entry: str, body: dict[str, Any]) -> None:
    whole = {"action": action.id, "tool": action.tool, "step": action.step_key, **body}
    ledger.audit.append(entry, whole, case_id=action.case_id)
    ledger.trace.add(action.case_id, entry, whole)


def _moved(review: ReviewRow, facts: dict[str, Fact]) -> str:
    """What changed, field by field, of the facts that people decided on."""
    changes = []
    for path, then in review.facts.items():
        if then.get("witnessed"):
            now = facts[path].model_dump(mode="json")["value"] if path in facts else None
            if now != then["value"]:
                changes.append(f"{path} was {_in_words(then['value'])}, is {_in_words(now)}")
    return f"the facts moved since it was approved: {'; '.join(changes)}" if changes else ""


def _in_words(value: Any) -> str:
    return str(Money.model_validate(value)) if isinstance(value, dict) else "unknown" if value is None else str(value)


def _outcome(
    action: ProposedAction, status: OutcomeStatus, *, result: dict[str, Any] | None = None, reason: str = ""
) -> ToolOutcome:
    return ToolOutcome(
        status=status,
        tool=action.tool,
        step_key=action.step_key,
        action_id=action.id,
        result=result or {},
        reason=reason,
    )


def _stored(action: ProposedAction, run: RunRow) -> ToolOutcome:
    status = _AS_OUTCOME.get(RunStatus(run.status), OutcomeStatus.UNKNOWN)
    return _outcome(action, status, result=run.result, reason=run.reason)
