"""The composition root: builds the whole house from settings, and binds its ports.

async with open_house(load_settings()) as house:
    case = await house.submit(person, "returns", payload)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel

from core.clock import Clock
from core.errors import SetupError
from core.ids import new_id
from core.people import Person, require_kind
from core.settings import Settings
from engine.by_hand import ByHand
from engine.checker import Checker
from engine.compensation import Compensation
from engine.doorbell import Doorbell
from engine.executing import Executing
from engine.executor import Executor
from engine.forks import Forks
from engine.housekeeping import Housekeeper, Terms
from engine.intake import Intake
from engine.journal import Journal
from engine.rates import RateCard
from engine.releases import made_with
from engine.remote_executor import ExecutorLine
from engine.reviews import ReviewDesk
from engine.segments import Segments
from engine.served import Served
from engine.services import Services
from engine.settled import settled
from engine.stream import Stream, share
from engine.sweeper import Sweeper
from engine.thread_runs import ThreadRuns
from engine.threads import Threads
from engine.undo_window import UndoTerms
from engine.workers import Workers
from graphs.catalog import kinds as all_kinds
from graphs.kind import Outside, TaskKind
from graphs.parts import digests
from graphs.pruning import pruner
from graphs.rewind import Rewind
from graphs.runner import GraphRunner
from ledger.database import Database
from ledger.roles import keeps_house
from ledger.tables import SYSTEM, CaseRow
from ledger.trouble import RECORDS_AWAY
from policies.shelf import BookJudge
from policies.vocabulary import Vocabulary
from serving.effects import bounds, effects_elsewhere, effects_here, line_to_executor
from serving.in_use import bell_in_use, book_in_use, graphs_in_use, release_in_use, shop_in_use
from serving.local import owner as owner
from serving.mailroom import Mailroom, mailroom
from serving.models.chat import model_in_use
from serving.office import PolicyOffice
from serving.requests import kind_named, request_of
from serving.storage import Storage, bury_the_dead, open_storage
from serving.threads.kinds import served_kinds
from serving.threads.plain import plain_graphs
from tools.contract import Toolbelt
from tools.fulfillment.absent import AbsentShop
from tools.fulfillment.http import HttpShop
from tools.fulfillment.ports import Shop
from tools.fulfillment.shop import EmbeddedShop
from tools.vision.ports import NoScorer

log = logging.getLogger("countersign.serving")

Role = Literal["all", "api", "worker"]

_FOR_SEGMENTS = 0.6
"""Of the time that a process has for its end, what segments have for theirs; then they are handed over."""


@dataclass(frozen=True)
class House:
    """Everything that runs in one process. Fields are the rooms that the floors above may enter."""

    settings: Settings
    worker: str
    """The name of this process among those that work here."""
    workers: Workers
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
    mail: Mailroom
    forks: Forks
    rewind: Rewind
    desk: ReviewDesk
    compensation: Compensation
    by_hand: ByHand
    sweeper: Sweeper
    housekeeper: Housekeeper
    stream: Stream
    checker: Checker
    attachments: Path
    served: dict[str, Served]
    """What runs on threads, kinds and plain graphs alike, by the name that clients call it."""
    threads: Threads
    runs: ThreadRuns
    _bell: Doorbell
    _executor: Executing
    _background: list[asyncio.Task[None]] = field(default_factory=list)

    async def submit(
        self,
        person: Person,
        kind: str,
        payload: Mapping[str, Any],
        request_key: str | None = None,
        priority: int = 0,
    ) -> tuple[CaseRow, bool]:
        """Opens a case of a kind; False if the request key had opened it before. Raises `InvalidInput`."""
        found = kind_named(self.kinds, kind)
        require_kind(person, kind)
        request = request_of(found, payload)
        return await self.intake.submit(
            person,
            kind,
            request.model_dump(mode="json"),
            subject=found.subject(request),
            request_key=request_key,
            needs=found.opened_with,
            priority=priority,
        )

    async def drain(self) -> None:
        """Begins nothing more, and ends what is in hand or hands it over, within `engine.drain_s`."""
        within = self.settings.engine.drain_s
        await self.workers.drain()
        try:
            await self._bell.drain(within * _FOR_SEGMENTS)
        except RECORDS_AWAY as away:
            log.warning("others are not rung for what is left: %s", away)
        if isinstance(self._executor, Executor):  # a call that is under way is not cut off with its segment
            await self._executor.landed(within * (1 - _FOR_SEGMENTS) / 2)
        await self.workers.leave()

    async def settled(self, workspace: str, case_ids: set[str]) -> None:
        """Waits until none of these cases has a segment before it: each is closed, or waits for somebody."""
        await settled(self.database, self.stream, workspace, case_ids)


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
    role: Role = "all",
) -> AsyncIterator[House]:
    """Opens the house over its data folder, exclusively, or over a server's database, and closes it in order.

    `role` is `all`, or what this process is alone: `api` takes requests and runs nothing, `worker` runs segments.
    `model` stands in for the one that the settings name (suites bring replays and adversaries). With
    `bell="tasks"` segments run as tasks instead of a durable queue. `ledger_on` is for storms only.
    """
    worker = settings.engine.worker or new_id("worker")
    with open_storage(settings, clock, migrates=role == "all") as storage:
        database = storage.database
        kinds = all_kinds() if kinds is None else kinds
        line = line_to_executor(settings, shared=storage.shared)
        if line is None and storage.shared and role != "all" and not settings.shop.url and shop is None:
            raise SetupError(
                f"A process that is {role} alone can't have the shop in it.",
                hint="Start 'countersign shop' once, and name it in COUNTERSIGN_SHOP__URL.",
            )
        shop = AbsentShop() if line else shop or shop_in_use(settings, kinds, database.clock)
        attachments = settings.data / "attachments"
        attachments.mkdir(exist_ok=True)
        office = PolicyOffice(database)
        outside = Outside(shop, NoScorer(), database.clock, attachments, office)
        doorbell = bell_in_use(settings, storage, bell, worker, serves=role != "api")
        house, segments = _build(
            settings, storage, outside, office, kinds, model, doorbell, worker, role, ledger_on, line
        )
        await office.open(house.words, {name: book_in_use(settings, kind) for name, kind in kinds.items()})
        if not storage.shared:
            await database.write(SYSTEM, lambda ledger: bury_the_dead(ledger, worker))
        if role != "api":
            await house.workers.join()
        if role != "api" or bell == "queue":  # tasks that nobody asked for would run the workers' segments here
            await doorbell.start(segments.work)
        if role != "worker":
            await house.mail.open()
            await house.runs.open()
        house._background.append(asyncio.create_task(house.sweeper.run()))
        if role != "api":
            house._background.append(asyncio.create_task(house.workers.run()))
        if storage.news is not None:
            house._background.append(asyncio.create_task(share(house.stream, storage.news)))
        try:
            yield house
        finally:
            await house.runs.close()
            if role != "api":
                await house.drain()
            await house.mail.close()
            for task in house._background:
                task.cancel()
            await house.compensation.stop()
            await asyncio.gather(*house._background, return_exceptions=True)
            await doorbell.stop()
            if isinstance(shop, EmbeddedShop | HttpShop):
                await shop.close()
            if line is not None:
                await line.close()


def _build(
    settings: Settings,
    storage: Storage,
    outside: Outside,
    office: PolicyOffice,
    kinds: Mapping[str, TaskKind],
    model: BaseChatModel | None,
    doorbell: Doorbell,
    worker: str,
    role: Role,
    ledger_on: bool,
    line: ExecutorLine | None,
) -> tuple[House, Segments]:
    database, saver = storage.database, storage.saver
    judge, stream, rates = office.judge, Stream(), RateCard()
    journal = Journal(database, stream, rates)
    if line is not None:
        effects = effects_elsewhere(line, settings, database, kinds, outside, judge, journal, stream)
    else:
        parts = (settings, database, kinds, outside, judge, journal, stream)
        effects, _ = effects_here(*parts, worker=worker, ledger_on=ledger_on)
    belts, tools, gate, executor = effects.belts, effects.tools, effects.gate, effects.executor
    services = Services(gate, executor, journal, database)
    prepared = graphs_in_use(settings, kinds, belts, services, saver, model)
    streams_text = model is None and settings.model.backend != "embedded"
    runner = GraphRunner(prepared, saver, journal, stream_text=streams_text)
    terms = Terms.of(settings.engine, settings.retention)
    housekeeper = Housekeeper(database, pruner(saver), outside.attachments, terms, doorbell.prune)
    undo = UndoTerms(settings.desk.undo_s, settings.desk.undo_tools)
    desk = ReviewDesk(database, tools, gate, stream, rates, doorbell.ring, undo)
    compensation = Compensation(database, gate, executor, desk, stream)
    by_hand = ByHand(database, gate, executor, desk, stream, doorbell.ring, bounds(kinds, belts))
    release = release_in_use(settings)
    known = {name: digests(kind, belts[name].specs(), model_in_use(settings.model)) for name, kind in kinds.items()}
    segments = Segments(
        database,
        runner,
        desk,
        journal,
        stream,
        rates,
        worker=worker,
        attempts=settings.engine.attempts,
        release=release,
        made_with=lambda kind, now: made_with(known.get(kind, {}), judge.book(kind, now).digest, release, now),
        by_hand=by_hand.take_up,
    )
    workers = Workers(
        database,
        doorbell,
        segments,
        name=worker,
        role=role,
        release=release,
        lease=timedelta(seconds=settings.engine.lease_s),
        alone=not storage.shared,
        parts=known,
    )

    chores = [workers.reclaim, workers.take_bound, *([housekeeper.chore] if keeps_house(database) else [])]

    async def submit(person: Person, kind: str, payload: Mapping[str, Any], key: str) -> tuple[CaseRow, bool]:
        return await house.submit(person, kind, payload, key)

    mail = mailroom(settings, database, stream, doorbell.ring, submit, kinds)
    rewind = Rewind(prepared, saver)
    threads = Threads(database, {})
    house = House(
        settings=settings,
        mail=mail,
        worker=worker,
        workers=workers,
        database=database,
        shop=outside.shop,
        kinds=kinds,
        tools=tools,
        tools_of={name: frozenset(belt.specs()) for name, belt in belts.items()},
        words={name: Vocabulary.of(name, belt.specs(), kinds[name].fact_specs) for name, belt in belts.items()},
        judge=judge,
        office=office,
        intake=Intake(database, stream, doorbell.ring, queue_limit=settings.engine.queue_limit),
        forks=Forks(database, rewind, stream, doorbell.ring, queue_limit=settings.engine.queue_limit),
        rewind=rewind,
        desk=desk,
        compensation=compensation,
        by_hand=by_hand,
        housekeeper=housekeeper,
        sweeper=Sweeper(
            database,
            desk,
            executor,
            stream,
            doorbell.ring,
            every_s=settings.engine.sweep_s,
            whole=role != "api",
            undo=compensation.begin,
            chores=[office.keep, mail.arrivals.release, *(chores if role != "api" else ())],
        ),
        stream=stream,
        checker=Checker(database, outside.shop, tools),
        attachments=outside.attachments,
        served=threads.served,
        threads=threads,
        runs=ThreadRuns(database, threads, stream, settings.threads, worker=worker, alone=not storage.shared),
        _bell=doorbell,
        _executor=executor,
    )
    house.served.update(served_kinds(house) | plain_graphs(settings.graphs, kinds, database, saver))
    return house, segments
