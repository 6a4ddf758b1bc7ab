"""Notes of a running graph into the case's event log: plans, model calls and what they cost, streamed text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from core.ports import CaseView
from engine.rates import RateCard
from engine.stream import Stream
from ledger.database import Database, Ledger

MODEL_CALLED = "model.called"


class Note(BaseModel):
    """An entry for a case's event log."""

    type: str
    body: dict[str, Any]


class Journal:
    def __init__(self, database: Database, stream: Stream, rates: RateCard) -> None:
        self._database = database
        self._stream = stream
        self._rates = rates

    def write(self, ledger: Ledger, case_id: str, notes: Sequence[Note]) -> None:
        """Inside a transaction. A model call is posted to the case's cost, once for each turn."""
        for note in notes:
            ledger.trace.add(case_id, note.type, note.body)
            if note.type == MODEL_CALLED:
                tokens_in, tokens_out = int(note.body["tokens_in"]), int(note.body["tokens_out"])
                ledger.costs.post(
                    key=f"{case_id}:model:{note.body['turn']}",
                    case_id=case_id,
                    component="model",
                    amount=self._rates.tokens(tokens_in, tokens_out),
                    quantity=tokens_in + tokens_out,
                    unit="token",
                )

    async def note(self, case: CaseView, notes: Sequence[Note]) -> None:
        if notes:
            await self._database.write(case.workspace, lambda ledger: self.write(ledger, case.id, notes), durable=False)
            self._stream.publish()
