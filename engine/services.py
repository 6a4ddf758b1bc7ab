"""What a graph's nodes may ask of the engine."""

from __future__ import annotations

from dataclasses import dataclass

from core.states import RunStatus
from engine.executor import Executor
from engine.gate import Gate
from engine.journal import Journal
from engine.rulings import Ruled, ruling
from ledger.database import Database


@dataclass(frozen=True)
class Services:
    gate: Gate
    executor: Executor
    journal: Journal
    database: Database

    async def ruling(self, workspace: str, action_id: str) -> Ruled:
        """What people decided of an action, edits followed; of an outcome that nobody knew, what is known by now."""
        await self.executor.recall(workspace, action_id)
        return await self.database.write(workspace, lambda ledger: ruling(ledger, action_id))

    async def permitted(self, workspace: str, action_id: str) -> bool:
        """Whether people let the house go on, and it did: the run of the action is the permit."""
        run = await self.database.read(workspace, lambda ledger: ledger.effects.run(action_id))
        return run is not None and run.status == RunStatus.DONE
