"""Whole cases, from submit until each is closed or waits for somebody, beside the same graph on bare LangGraph."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Literal, cast

from langchain_core.runnables import RunnableConfig
from sqlalchemy import Connection, event

from agents.planner import EmbeddedPlanner
from agents.turns import ModelAgent
from benchmarks.bare import Said, bare_flow
from benchmarks.measure import Cost, Figure, Lap, Report, in_turns
from core.clock import SystemClock
from core.model_call import ModelCall
from core.people import HOME
from core.ports import CaseView
from core.settings import Settings
from core.verdicts import Allow, BookRef, Verdict
from engine.services import Services
from graphs.checkpoints import InlineSqliteSaver
from graphs.kind import Outside, Rehearsal
from graphs.returns.kind import KIND
from graphs.returns.rehearsal import rehearse
from graphs.state import Context
from ledger.database import Database, Ledger
from serving.house import House, open_house, owner
from serving.models.chat import model_in_use
from tools.contract import Toolbelt
from tools.fulfillment.shop import EmbeddedShop
from tools.vision.ports import NoScorer

_AIM = "16/s or more"
_AIM_S = 1 / 16


@dataclass
class Tally:
    """What one run of all cases came to, in numbers of each."""

    cases: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def each(self, what: str) -> str:
        return f"{self.counts[what] / max(self.cases, 1):.1f}"


class _Unasked:
    """Lets every model see everything."""

    def verdict(self, kind: str, call: ModelCall) -> Verdict:
        return _SEEN


async def _nothing_new(*_asked: object) -> list[Any]:
    return []


async def _all_heard(*_asked: object) -> bool:
    return True


_SEEN = Allow(reason="nobody asks", book=BookRef(policy="none", version="", digest=""))


class Course:
    """The same submissions, run by the house and by the bare graph."""

    def __init__(self, folder: Path, cases: int) -> None:
        self._folder = folder
        self._rehearsal: Rehearsal = rehearse(7, cases, datetime.now(UTC))
        self._runs = 0
        self._views: list[CaseView] = []
        self._sayings: dict[tuple[str, str], Said] = {}
        self.tally, self.bare_tally = Tally(), Tally()

    async def house(self, bell: Literal["queue", "tasks"]) -> Cost:
        settings = Settings(data=self._fresh())
        person = owner(settings)
        async with open_house(settings, bell=bell) as house:
            assert isinstance(house.shop, EmbeddedShop)
            await house.shop.load(self._rehearsal.records)
            self.tally = Tally(len(self._rehearsal.requests))
            with _transactions(house.database, self.tally.counts):
                lap = Lap()
                opened = [
                    (await house.submit(person, KIND.name, payload))[0] for _, payload in self._rehearsal.requests
                ]
                await house.settled(HOME, {case.id for case in opened})
                cost = lap.cost(len(opened))
            self._views = [
                CaseView(id=row.id, workspace=row.workspace, kind=row.kind, subject=row.subject, payload=row.payload)
                for row in opened
            ]
            await house.database.read(HOME, lambda ledger: self._look(ledger, house))
        _checkpoints(settings.data, self.tally.counts)
        return cost

    def _look(self, ledger: Ledger, house: House) -> None:
        self._sayings.clear()
        for view in self._views:
            for row in ledger.trace.of_case(view.id):
                self.tally.counts[row.type] += 1
                if row.type == "action.judged":
                    self._sayings[view.id, row.body["step"]] = Said(row.body["verdict"], row.body["reason"])
                    self.tally.counts["reads"] += house.tools.specs()[row.body["tool"]].effect == "read"
        self.tally.counts.update({f"is {status}": many for status, many in ledger.cases.by_status().items()})

    async def bare(self) -> Cost:
        """After a run of the house, whose verdicts it takes the same way by."""
        folder = self._fresh()
        folder.mkdir()
        shop = EmbeddedShop(None, [KIND.dialect])
        await shop.load(self._rehearsal.records)
        belt = Toolbelt(KIND.tools(Outside(shop, NoScorer(), SystemClock(), folder)))
        settings = Settings(data=folder)
        agent = ModelAgent(KIND.role.name, EmbeddedPlanner(procedure=KIND.procedure), KIND.role, belt.specs())
        # Of the house's services the bare graph's nodes ask two: may the model see the case, and has anybody written?
        gate = SimpleNamespace(models=_Unasked())
        services = cast(Services, SimpleNamespace(gate=gate, hear=_nothing_new, heard=_all_heard))
        model = model_in_use(settings.model)
        context = Context(
            agent, belt.specs(), services, settings.budget, KIND.handover, {}, model=model, payload=KIND.payload
        )
        saver = InlineSqliteSaver.at(folder / "checkpoints.db")
        graph = bare_flow(belt, self._sayings).compile(checkpointer=saver)
        slots = asyncio.Semaphore(settings.engine.concurrency)

        async def run(case: CaseView) -> None:
            config: RunnableConfig = {"configurable": {"thread_id": case.id}, "recursion_limit": 400}
            async with slots:
                given: Any = {"case": case.model_dump()}
                await graph.ainvoke(given, config, context=context, durability="sync")

        lap = Lap()
        await asyncio.gather(*(run(case) for case in self._views))
        cost = lap.cost(len(self._views))
        saver.close()
        await shop.close()
        self.bare_tally = Tally(len(self._views))
        _checkpoints(folder, self.bare_tally.counts)
        return cost

    def _fresh(self) -> Path:
        self._runs += 1
        return self._folder / str(self._runs)


async def measured(quick: bool) -> Report:
    with TemporaryDirectory() as folder:
        if not quick:
            await Course(Path(folder) / "warm", 3).house("tasks")
        course = Course(Path(folder), 2 if quick else 60)
        queue, floor, tasks, floor_too = await in_turns(
            1 if quick else 3,
            lambda: course.house("queue"),
            course.bare,
            lambda: course.house("tasks"),
            course.bare,
        )
        beside = "the same graph on bare LangGraph, same saver, same model"
        return Report(
            [
                Figure("a case, durable queue", queue, beside, floor, per_second=True, aim=_AIM, most_s=_AIM_S),
                Figure("a case, segments as tasks", tasks, beside, floor_too, per_second=True, aim=_AIM, most_s=_AIM_S),
            ],
            _said(course.tally, course.bare_tally),
        )


def _said(ours: Tally, bare: Tally) -> list[str]:
    kib = [f"{tally.counts['bytes'] / max(tally.cases, 1) / 1024:.0f}" for tally in (ours, bare)]
    ends = ", ".join(f"{many} {what[3:]}" for what, many in sorted(ours.counts.items()) if what.startswith("is "))
    return [
        f"An average case: {ours.each('supersteps')} supersteps (bare: {bare.each('supersteps')}) with {kib[0]} KiB of "
        f"checkpoints (bare: {kib[1]}), {ours.each('model.called')} turns of the model, "
        f"{ours.each('action.judged')} decisions of policy, {ours.each('reads')} reads, "
        f"{ours.each('effect.done')} effects, {ours.each('writing')} writing and {ours.each('reading')} reading "
        f"transactions of the ledger. Of {ours.cases}: {ends}."
    ]


@contextmanager
def _transactions(database: Database, counts: Counter[str]) -> Iterator[None]:
    def count(connection: Connection) -> None:
        counts["writing" if connection.get_execution_options().get("writes", True) else "reading"] += 1

    event.listen(database.engine, "commit", count)
    try:
        yield
    finally:
        event.remove(database.engine, "commit", count)


def _checkpoints(folder: Path, counts: Counter[str]) -> None:
    with closing(sqlite3.connect(folder / "checkpoints.db")) as file:
        sql = "SELECT metadata, length(checkpoint) FROM checkpoints"
        kept = [(json.loads(metadata), size) for metadata, size in file.execute(sql)]
    counts["supersteps"] = sum(metadata["source"] == "loop" for metadata, _ in kept)
    counts["bytes"] = sum(size for _, size in kept)
