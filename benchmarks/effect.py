"""One effect through the executor (decide again, reserve, call, remember) beside the bare call of the provider.

Both shops are files, and both promise that a write outlives a power cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measure import Cost, Figure, Lap, Report, in_turns
from core.actions import OutcomeStatus, ProposedAction
from core.clock import SystemClock
from engine.executor import Executor
from engine.gate import Gate
from engine.journal import Journal
from engine.provenance import Told
from engine.rates import RateCard
from engine.stream import Stream
from graphs.kind import Outside
from graphs.returns.kind import KIND
from graphs.returns.rehearsal import rehearse
from ledger.database import Ledger, sqlite_database
from ledger.migrate import migrate
from policies.book import load_book
from policies.shelf import BookJudge
from policies.vocabulary import Vocabulary
from tools.contract import Toolbelt
from tools.fulfillment.shop import EmbeddedShop
from tools.vision.ports import NoScorer

TOOL = "messages.send"
_WORKSPACE = "default"


class Counter:
    """A ledger, a gate and an executor over a shop, and a case whose actions are judged and not yet run."""

    def __init__(self, folder: Path, shop: EmbeddedShop, payload: Mapping[str, Any]) -> None:
        path = folder / "ledger.db"
        migrate(path)
        self._database = sqlite_database(path)
        self._payload = dict(payload)
        self._belt = Toolbelt(KIND.tools(Outside(shop, NoScorer(), SystemClock(), folder)))
        book = load_book(KIND.book, Vocabulary.of(KIND.name, self._belt.specs(), KIND.fact_specs))
        facts = {KIND.name: KIND.facts(Outside(shop, NoScorer(), SystemClock(), folder))}
        stream = Stream()
        journal = Journal(self._database, stream, RateCard())
        self._gate = Gate(self._database, self._belt, BookJudge({KIND.name: book}), facts, journal, stream)
        self._executor = Executor(
            self._database, self._belt, self._gate, stream, worker="benchmark", lease=timedelta(seconds=30)
        )
        self._steps = count()

    async def run(self, effects: int) -> Cost:
        """So many effects of one case, judged before the clock runs."""
        actions = await self._judged(effects)
        lap = Lap()
        outcomes = [await self._executor.run(_WORKSPACE, action) for action in actions]
        cost = lap.cost(effects)
        assert {outcome.status for outcome in outcomes} == {OutcomeStatus.DONE}, outcomes[0]
        return cost

    async def _judged(self, effects: int) -> list[str]:
        def opened(ledger: Ledger) -> str:
            return ledger.cases.open(
                kind=KIND.name,
                payload=self._payload,
                subject=self._payload["customer_id"],
                opened_by="benchmark",
                request_key=None,
            )[0].id

        case = await self._database.write(_WORKSPACE, opened)
        actions = [
            ProposedAction(
                workspace=_WORKSPACE,
                case_id=case,
                kind=KIND.name,
                tool=TOOL,
                schema_version=self._belt.specs()[TOOL].version,
                args=letter(self._payload["customer_id"]),
                proposer="agent:returns",
                step_key=f"{next(self._steps)}.0",
            )
            for _ in range(effects)
        ]
        told = Told.of(self._payload, frozenset({"customer_id"}), ())  # the channel answers for who it is
        rulings = await self._gate.propose(_WORKSPACE, case, actions, self._payload, told=lambda: told)
        return [ruling.action_id for ruling in rulings]

    def close(self) -> None:
        self._database.close()


def letter(customer: str) -> dict[str, Any]:
    return {"customer_id": customer, "subject": "Your return", "body": "We have sent you the label for your parcel."}


async def measured(quick: bool) -> Report:
    effects = 5 if quick else 60
    world = rehearse(7, 1, datetime.now(UTC))
    payload = world.requests[0][1]
    with TemporaryDirectory() as name:
        folder = Path(name)
        shop, bare_shop = (EmbeddedShop(folder / f"{each}.db", [KIND.dialect]) for each in ("shop", "bare"))
        for each in (shop, bare_shop):
            await each.load(world.records)
        counter = Counter(folder, shop, payload)
        keys = count()

        async def bare() -> Cost:
            lap = Lap()
            for _ in range(effects):
                key = f"bare:{next(keys)}"
                await bare_shop.write(TOOL, letter(payload["customer_id"]), key=key, case_id="bare")
            return lap.cost(effects)

        await counter.run(2)
        ours, floor = await in_turns(2 if quick else 7, lambda: counter.run(effects), bare)
        counter.close()
        for each in (shop, bare_shop):
            await each.close()
    return Report([Figure("an effect, through the executor", ours, "the bare call of the provider, on a file", floor)])
