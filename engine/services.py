"""What a graph's nodes may ask of the engine."""

from __future__ import annotations

from dataclasses import dataclass

from core.model_call import ModelCall
from core.states import RunStatus
from core.verdicts import Allow, Deny, Review
from engine.executing import Executing
from engine.gate import Gate
from engine.journal import Journal
from engine.rulings import Ruled, ruling
from engine.superseding import Heard, hear, unheard
from engine.votes import approval
from ledger.database import Database, Ledger


@dataclass(frozen=True)
class Services:
    gate: Gate
    executor: Executing
    journal: Journal
    database: Database

    async def ruling(self, workspace: str, action_id: str) -> Ruled:
        """What people decided of an action, edits followed; of an outcome that nobody knew, what is known by now."""
        await self.executor.recall(workspace, action_id)
        return await self.database.read(workspace, lambda ledger: ruling(ledger, action_id))

    async def heard(self, workspace: str, case_id: str, after: int) -> bool:
        """Whether the customer has written nothing since the message with this number."""
        return not await self.database.read(workspace, lambda ledger: unheard(ledger, case_id, after))

    async def hear(self, workspace: str, case_id: str, after: int, turn: int) -> list[Heard]:
        """What the customer wrote since then: now the agent knows it, and what it planned earlier is old."""
        if await self.heard(workspace, case_id, after):
            return []
        return await self.database.write(workspace, lambda ledger: hear(ledger, case_id, after, turn))

    async def permitted(self, workspace: str, action_id: str) -> bool:
        """Whether a model may be called: people let it, it ran, and they are all whom policy asks for now."""

        def look(ledger: Ledger) -> bool:
            run = ledger.effects.run(action_id)
            if run is None or run.status != RunStatus.DONE:
                return False
            action = ledger.effects.proposed(ledger.effects.action(action_id))
            match self.gate.models.verdict(action.kind, ModelCall.model_validate(action.args)):
                case Allow():
                    return True
                case Deny():
                    return False
                case Review() as verdict:
                    return not approval(ledger, action, verdict)[1]

        return await self.database.read(workspace, look)
