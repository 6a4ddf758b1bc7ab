"""Notes of a running graph into the case's event log: plans, model calls, streamed text."""

from __future__ import annotations

from collections.abc import Sequence

from core.ports import CaseView
from engine.gate import Note
from engine.rates import RateCard
from engine.stream import Stream
from ledger.database import Database, Ledger


class Journal:
    def __init__(self, database: Database, stream: Stream, rates: RateCard) -> None:
        self._database = database
        self._stream = stream
        self._rates = rates

    async def note(self, case: CaseView, notes: Sequence[Note]) -> None:
        def write(ledger: Ledger) -> None:
            for note in notes:
                ledger.trace.add(case.id, note.type, note.body)

        await self._database.write(case.workspace, write)
        self._stream.publish()

    async def thought(self, case: CaseView, call_key: str, tokens_in: int, tokens_out: int) -> None:
        """Posts what one model call cost, once for each `call_key`."""
        amount = self._rates.tokens(tokens_in, tokens_out)

        def post(ledger: Ledger) -> None:
            ledger.costs.post(
                key=f"{case.id}:{call_key}",
                case_id=case.id,
                component="model",
                amount=amount,
                quantity=tokens_in + tokens_out,
                unit="token",
            )

        await self._database.write(case.workspace, post)
