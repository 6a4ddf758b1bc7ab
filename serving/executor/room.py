"""The executor's room: tools that run, the gate before them, and the records. No graph, no model, no queue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.clock import Clock
from core.errors import SetupError
from core.ids import new_id
from core.settings import Settings
from engine.executor_desk import ExecutorDesk
from engine.journal import Journal
from engine.rates import RateCard
from engine.stream import Stream
from graphs.catalog import kinds as all_kinds
from graphs.kind import Outside, TaskKind
from ledger.database import Database
from policies.shelf import BookJudge
from policies.vocabulary import Vocabulary
from serving.effects import effects_here
from serving.in_use import book_in_use, shop_in_use
from serving.office import PolicyOffice
from serving.storage import open_storage
from tools.fulfillment.http import HttpShop
from tools.fulfillment.ports import Shop
from tools.fulfillment.shop import EmbeddedShop
from tools.vision.ports import NoScorer


@dataclass(frozen=True)
class ExecutorRoom:
    name: str
    """What runs say who carried them out."""
    database: Database
    desk: ExecutorDesk
    judge: BookJudge


@asynccontextmanager
async def open_executor(
    settings: Settings,
    *,
    clock: Clock | None = None,
    shop: Shop | None = None,
    kinds: Mapping[str, TaskKind] | None = None,
    ledger_on: bool = True,
) -> AsyncIterator[ExecutorRoom]:
    """Raises `SetupError`. A shop that is handed in stays open. `ledger_on` is for storms only."""
    if not settings.database.url.get_secret_value():
        raise SetupError(
            "An executor of its own needs a PostgreSQL server that other processes share.",
            hint="Name it in COUNTERSIGN_DATABASE__URL=postgresql://…; 'countersign up' needs no server.",
        )
    # Always a new one: under an old name it would take up at once what its namesake still has in the air.
    name = new_id(settings.engine.worker[:30] or "executor")
    with open_storage(settings, clock, remembers=False, migrates=False) as storage:
        database = storage.database
        kinds = all_kinds() if kinds is None else kinds
        found = shop or shop_in_use(settings, kinds, database.clock)
        attachments = settings.data / "attachments"
        attachments.mkdir(exist_ok=True)
        office, stream = PolicyOffice(database), Stream()
        outside = Outside(found, NoScorer(), database.clock, attachments, office)
        journal = Journal(database, stream, RateCard())
        effects, executor = effects_here(
            settings, database, kinds, outside, office.judge, journal, stream, worker=name, ledger_on=ledger_on
        )
        words = {
            each: Vocabulary.of(each, belt.specs(), kinds[each].fact_specs) for each, belt in effects.belts.items()
        }
        await office.open(words, {each: book_in_use(settings, kind) for each, kind in kinds.items()})
        try:
            yield ExecutorRoom(
                name, database, ExecutorDesk(database, effects.gate, executor, office.refresh), office.judge
            )
        finally:
            if found is not shop and isinstance(found, EmbeddedShop | HttpShop):
                await found.close()
