"""The executor's side of the wire: takes requests of processes that it does not have to trust.

Of an effect it takes the id alone. A read it judges again, and facts it tells only of cases that there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from core.actions import Effect, OutcomeStatus, ProposedAction, ToolOutcome
from core.errors import Forbidden
from core.states import FINISHED
from core.verdicts import Allow, Fact, Verdict
from engine.executor import Executor
from engine.fence import Fence, SegmentLost, inside
from engine.gate import Gate
from engine.outcomes import outcome_of
from engine.reversal import original
from ledger.database import Database, Ledger
from ledger.tables import SYSTEM, CaseRow


class ExecutorDesk:
    def __init__(
        self, database: Database, gate: Gate, executor: Executor, refresh: Callable[[], Awaitable[None]]
    ) -> None:
        """`refresh` takes up policy that was published since."""
        self._database = database
        self._gate = gate
        self._executor = executor
        self._refresh = refresh
        self._running: dict[tuple[str, str], asyncio.Task[ToolOutcome]] = {}

    async def run(self, workspace: str, action_id: str, asking: Fence | None) -> ToolOutcome:
        """For the segment that asks. Who asks again while it runs (an answer got lost) waits for the same run."""
        name = _of(workspace), action_id
        while task := self._running.get(name):
            with suppress(SegmentLost):  # it was another one, and no longer the case's
                return await asyncio.shield(task)
        task = self._running[name] = asyncio.create_task(self._run(workspace, action_id, asking))
        task.add_done_callback(lambda _: self._running.pop(name, None))
        return await asyncio.shield(task)

    async def _run(self, workspace: str, action_id: str, asking: Fence | None) -> ToolOutcome:
        await self._refresh()
        if asking is None:
            return await self._executor.run(workspace, action_id)
        with inside(asking):
            return await self._executor.run(workspace, action_id)

    async def landed(self, within_s: float) -> None:
        """Waits for calls that are under way."""
        await self._executor.landed(within_s)

    async def recall(self, workspace: str, action_id: str) -> None:
        await self._executor.recall(_of(workspace), action_id)

    async def settle(self, workspace: str, action_id: str) -> None:
        if (_of(workspace), action_id) not in self._running:
            await self._executor.settle(workspace, action_id)

    async def read(self, action: ProposedAction, labels: Mapping[str, Fact]) -> ToolOutcome:
        """Runs a tool without an effect if policy lets it, whatever the worker says that its gate said."""
        spec = self._gate.specs.get(action.tool)
        if spec is None or spec.effect is not Effect.READ:
            raise Forbidden(f"{action.tool[:60]} is no read.", hint="Of an effect only the id is taken.")
        spec.parse(action.args)
        case = await self._case(action)
        await self._refresh()
        facts = await self._gate.gather(action, case.payload)
        labels = {path: label for path, label in labels.items() if path.startswith("args.")}  # no facts of the worker's

        def judge(ledger: Ledger) -> Verdict:
            verdict = self._gate.decide(ledger, action, case.subject, facts, labels)
            if not isinstance(verdict, Allow):
                told = {"tool": action.tool, "args": action.args, "verdict": verdict.verdict, "reason": verdict.reason}
                ledger.audit.append("read.refused", told, case_id=case.id)
                ledger.trace.add(case.id, "read.refused", told)
            return verdict

        verdict = await self._database.write(case.workspace, judge, durable=False)
        if not isinstance(verdict, Allow):
            return outcome_of(action, OutcomeStatus.DENIED, reason=verdict.reason)
        return await self._executor.read(action)

    async def facts(self, action: ProposedAction, wanted: frozenset[str]) -> dict[str, Fact]:
        """Those that policy wants of it, for a case as it is in the records."""
        if action.tool not in self._gate.specs:
            raise Forbidden(f"There is no tool {action.tool[:60]}.")
        case = await self._case(action)
        await self._refresh()
        found = await self._gate.gather(action, case.payload)
        return {path: fact for path, fact in found.items() if path in wanted}

    async def _case(self, action: ProposedAction) -> CaseRow:
        """Raises `NotFound`, or `Forbidden` where the action is none of its case's.

        In a case that is over, that is only what takes back one of its effects.
        """

        def look(ledger: Ledger) -> CaseRow | None:
            case = ledger.cases.get(action.case_id)
            over = case.status in FINISHED and original(ledger, action, self._gate.specs)[0] is None
            return case if case.kind == action.kind and not over else None

        if (case := await self._database.read(_of(action.workspace), look)) is None:
            raise Forbidden("That is no action of a case that is open.", hint="Ask for a case's own actions.")
        return case


def _of(workspace: str) -> str:
    """Raises `Forbidden` for what is no single workspace."""
    if not workspace or workspace == SYSTEM:
        raise Forbidden("An action belongs to one workspace.")
    return workspace
