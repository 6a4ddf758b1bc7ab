"""Notes of a running graph into the case's event log: plans, model calls and what they cost, streamed text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from core.ports import CaseView
from engine import fence
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
            self._post(ledger, case_id, note)

    def _post(self, ledger: Ledger, case_id: str, note: Note) -> None:
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
        def write(ledger: Ledger) -> None:
            fence.hold(ledger.cases.get(case.id, lock=True))
            self.write(ledger, case.id, notes)

        if notes:
            await self._database.write(case.workspace, write, durable=False)
            self._stream.publish()

    async def bill(self, case: CaseView, notes: Sequence[Note]) -> None:
        """Posts the model calls among notes whose graph was cut short, before they are written: it may never go on."""
        called = [note for note in notes if note.type == MODEL_CALLED]

        def post(ledger: Ledger) -> None:
            fence.hold(ledger.cases.get(case.id, lock=True))
            for note in called:
                self._post(ledger, case.id, note)

        if called:
            await self._database.write(case.workspace, post, durable=False)
