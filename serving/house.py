"""The composition root: builds the whole house from settings, and binds its ports.

async with open_house(load_settings()) as house:
    case = await house.submit(person, "returns", payload)
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from agents.turns import ModelAgent
from core.clock import Clock, SystemClock
from core.errors import InvalidInput, NotFound
from core.ids import new_id
from core.people import HOME, Person
from core.settings import Settings
from engine.bells import DbosBell, Doorbell, TaskBell
from engine.checker import Checker
from engine.executor import Executor
from engine.gate import Gate
from engine.intake import Intake
from engine.journal import Journal
from engine.rates import RateCard
from engine.reviews import ReviewDesk
from engine.segments import Segments
from engine.services import Services
from engine.stream import Stream
from engine.sweeper import Sweeper
from graphs.catalog import kinds as all_kinds
from graphs.checkpoints import InlineSqliteSaver
from graphs.kind import Outside, TaskKind
from graphs.runner import GraphRunner, Prepared
from graphs.state import Context
from ledger.database import Database, Ledger, lock_folder, sqlite_database
from ledger.migrate import migrate
from ledger.tables import SYSTEM, CaseRow
from policies.shelf import BookJudge
from policies.vocabulary import Vocabulary
from serving.models.chat import chat_model, model_in_use
from serving.office import PolicyOffice
from tools.contract import Toolbelt
from tools.fulfillment.http import HttpShop
from tools.fulfillment.ports import Shop
from tools.fulfillment.shop import EmbeddedShop
from tools.permits import permit
from tools.vision.ports import NoScorer

_SETTLE_S = 0.1
"""Between two looks at whether cases have settled, while there is news all the time."""


@dataclass(frozen=True)
class House:
    """Everything that runs in one process. Fields are the rooms that the floors above may enter."""

    settings: Settings
    database: Database
    shop: Shop
    kinds: Mapping[str, TaskKind]
    tools: Toolbelt
    tools_of: Mapping[str, frozenset[str]]
    words: Mapping[str, Vocabulary]
    """What each kind's policy may speak of."""
    judge: BookJudge
    office: PolicyOffice
    intake: Intake
    desk: ReviewDesk
    sweeper: Sweeper
    stream: Stream
    checker: Checker
    attachments: Path
    _bell: Doorbell
    _background: list[asyncio.Task[None]] = field(default_factory=list)

    async def submit(
        self, person: Person, kind: str, payload: Mapping[str, Any], request_key: str | None = None
    ) -> tuple[CaseRow, bool]:
        """Opens a case of a kind; False if the request key had opened it before. Raises `InvalidInput`."""
        found = self.kinds.get(kind)
        if found is None:
            raise NotFound(f"There is no kind '{kind[:60]}'.", hint=f"There are: {', '.join(self.kinds)}.")
        try:
            request = found.intake.model_validate(dict(payload))
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(str(part) for part in first["loc"])
            problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise InvalidInput(
                f"{path or kind}: {first['msg']}", field=path, hint="Correct it and send it again.", problems=problems
            ) from error
        return await self.intake.submit(
            person,
            kind,
            request.model_dump(mode="json"),
            subject=found.subject(request),
            request_key=request_key,
            needs=found.opened_with,
        )

    async def settled(self, workspace: str, case_ids: set[str]) -> None:
        """Waits until none of these cases has a segment before it: each is closed, or waits for somebody."""
        while True:
            ticket = self.stream.ticket()
            if not case_ids & await self.database.read(workspace, lambda ledger: ledger.cases.moving()):
                return
            await ticket.wait()
            await asyncio.sleep(_SETTLE_S)


@asynccontextmanager
async def open_house(
    settings: Settings,
    *,
    bell: Literal["queue", "tasks"] = "queue",
    clock: Clock | None = None,
    shop: Shop | None = None,
    kinds: Mapping[str, TaskKind] | None = None,
    model: BaseChatModel | None = None,
    ledger_on: bool = True,
) -> AsyncIterator[House]:
    """Opens the house over its data folder, exclusively, and closes it in order.

    `model` stands in for the one that the settings name (suites bring replays and adversaries). With
    `bell="tasks"` segments run as tasks instead of a durable queue. `ledger_on` is for storms only.
    """
    clock = clock or SystemClock()
    lock = lock_folder(settings.data)
    worker = new_id("worker")
    try:
        path = settings.data / "ledger.db"
        migrate(path)
        database = sqlite_database(path, clock)
        saver = InlineSqliteSaver.at(settings.data / "checkpoints.db")
        kinds = all_kinds() if kinds is None else kinds
        shop = shop or _shop(settings, kinds, clock)
        attachments = settings.data / "attachments"
        attachments.mkdir(exist_ok=True)
        office = PolicyOffice(database)
        outside = Outside(shop, NoScorer(), clock, attachments, office)
        house, segments = _build(settings, database, outside, office, kinds, model, saver, bell, worker, ledger_on)
        await office.open(house.words, {name: _book(settings, kind) for name, kind in kinds.items()})
        await database.write(SYSTEM, lambda ledger: _bury_the_dead(ledger, worker))
        await house._bell.start(segments.work)
        house._background.append(asyncio.create_task(house.sweeper.run()))
        try:
            yield house
        finally:
            for task in house._background:
                task.cancel()
            await asyncio.gather(*house._background, return_exceptions=True)
            await house._bell.stop()
            database.close()
            saver.close()
            if isinstance(shop, EmbeddedShop | HttpShop):
                await shop.close()
    finally:
        lock.close()


def _build(
    settings: Settings,
    database: Database,
    outside: Outside,
    office: PolicyOffice,
    kinds: Mapping[str, TaskKind],
    model: BaseChatModel | None,
    saver: InlineSqliteSaver,
    bell: str,
    worker: str,
    ledger_on: bool,
) -> tuple[House, Segments]:
    belts = {name: Toolbelt(kind.tools(outside)) for name, kind in kinds.items()}
    tools = Toolbelt.joined([*belts.values(), Toolbelt([permit()])])
    judge = office.judge
    stream, rates = Stream(), RateCard()
    journal = Journal(database, stream, rates)
    gate = Gate(database, tools, judge, {name: kind.facts(outside) for name, kind in kinds.items()}, journal, stream)
    lease = timedelta(seconds=settings.engine.lease_s)
    executor = Executor(database, tools, gate, stream, worker=worker, lease=lease, ledger_on=ledger_on)
    services = Services(gate, executor, journal, database)
    prepared = {
        name: Prepared(
            graph=kind.build().compile(checkpointer=saver),
            context=Context(
                agent=ModelAgent(
                    kind.role.name, model or chat_model(settings.model, kind.procedure), kind.role, belts[name].specs()
                ),
                specs=belts[name].specs(),
                services=services,
                budget=settings.budget,
                handover=kind.handover,
                outcomes=kind.outcomes,
                model=model_in_use(settings.model),
                payload=kind.payload,
            ),
        )
        for name, kind in kinds.items()
    }
    streams_text = model is None and settings.model.backend != "embedded"
    runner = GraphRunner(prepared, saver, journal, stream_text=streams_text)
    doorbell = _bell(settings, database, bell)
    desk = ReviewDesk(database, tools, gate, stream, rates, doorbell.ring)
    segments = Segments(database, runner, desk, stream, rates, attempts=settings.engine.attempts)
    house = House(
        settings=settings,
        database=database,
        shop=outside.shop,
        kinds=kinds,
        tools=tools,
        tools_of={name: frozenset(belt.specs()) for name, belt in belts.items()},
        words={name: Vocabulary.of(name, belt.specs(), kinds[name].fact_specs) for name, belt in belts.items()},
        judge=judge,
        office=office,
        intake=Intake(database, stream, doorbell.ring, queue_limit=settings.engine.queue_limit),
        desk=desk,
        sweeper=Sweeper(
            database, desk, executor, stream, doorbell.ring, every_s=settings.engine.sweep_s, chores=[office.keep]
        ),
        stream=stream,
        checker=Checker(database, outside.shop, tools),
        attachments=outside.attachments,
        _bell=doorbell,
    )
    return house, segments


def _bell(settings: Settings, database: Database, bell: str) -> Doorbell:
    if bell == "tasks":
        return TaskBell(settings.engine.concurrency)
    url = f"sqlite:///{settings.data.resolve() / 'queue.db'}"
    return DbosBell(database, url, executor="embedded", concurrency=settings.engine.concurrency)


def _shop(settings: Settings, kinds: Mapping[str, TaskKind], clock: Clock) -> Shop:
    if settings.shop.url:
        return HttpShop(settings.shop.url, settings.shop.token.get_secret_value(), settings.shop.timeout_s)
    return EmbeddedShop(settings.data / "shop.db", [kind.dialect for kind in kinds.values()], clock)


def _book(settings: Settings, kind: TaskKind) -> Path:
    return settings.policies / kind.book.name if settings.policies else kind.book


def _bury_the_dead(ledger: Ledger, worker: str) -> None:
    """The folder is locked by this process: whoever held a lease in it before is gone, and need not be waited for."""
    for run in ledger.effects.orphaned(worker):
        run.lease_until = ledger.now
        ledger.session.add(run)


def owner(settings: Settings) -> Person:
    """Whoever runs the process on this machine: may do everything but approve what a policy gives to others."""
    name = os.environ.get("USER") or "local"
    return Person(id=name, workspace=HOME, roles=frozenset({"admin", "operator"}))
