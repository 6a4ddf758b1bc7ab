"""A full case, again and again: two segments, an approval, two effects; in a folder, and by two workers on PostgreSQL.

Beside it, in the same run: the same turns on bare LangGraph with the same saver, and the same steps as plain
workflows of DBOS. Neither has a gate, an approval that counts, a ledger or a look-up: what they lack is the price.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

from pydantic import SecretStr

from benchmarks.floors import bare_langgraph, plain_dbos
from benchmarks.measure import Cost, Figure, Report, in_turns
from core.money import Money
from core.people import HOME, Person
from core.settings import DatabaseSettings, EngineSettings, Settings, ShopSettings
from engine.decisions import Choice, Decision
from ledger.database import Ledger
from ledger.tables import SYSTEM
from serving.house import House, open_house
from tests.support.script import ScriptedModel
from tests.support.servers import POSTGRES, answers, fresh_database
from tests.support.till_kind import DIALECT, KIND
from tools.fulfillment.shop import EmbeddedShop

CLIENT = Person(id="ops", workspace=HOME, roles=frozenset({"operator"}))
REVIEWER = Person(id="ann", workspace=HOME, roles=frozenset({"clerk"}))
_TOKEN = "benchmark"
_SCRIPT = [[{"tool": "note.write", "args": {"text": "hello"}}, {"tool": "gift.pay", "args": {}}]]


def _payload(number: int) -> dict[str, Any]:
    """Everybody has an account of their own: facts of one case don't move while another is approved."""
    paid = {"account_id": f"acc_{number}", "amount": Money.of("150.00", "USD").model_dump()}
    script = [[_SCRIPT[0][0], {"tool": "gift.pay", "args": paid}]]
    return {"customer": f"cus_{number}", "script": script, "loop": False}


def _settings(folder: Path, url: str = "", shop: str = "") -> Settings:
    return Settings(
        data=folder,
        database=DatabaseSettings(url=SecretStr(url)),
        shop=ShopSettings(url=shop, token=SecretStr(_TOKEN if shop else "")),
        engine=EngineSettings(queue_limit=1_000_000),
    )


async def _accounts(shop: EmbeddedShop, many: int) -> None:
    balance = Money.of("1000.00", "USD").model_dump()
    await shop.load({"accounts": [{"account_id": f"acc_{n}", "balance": balance} for n in range(many)]})


def _people(ledger: Ledger) -> None:
    for each in (CLIENT, REVIEWER):
        ledger.people.add(HOME, each.id, each.roles)


async def _through(house: House, many: int, latencies: list[float]) -> None:
    """Submits, approves what comes to wait as it comes, and waits until all are closed."""
    await house.database.write(SYSTEM, _people)
    slots = asyncio.Semaphore(32)

    async def one(number: int) -> None:
        async with slots:
            case, _ = await house.submit(CLIENT, KIND.name, _payload(number))
            review = await _until(
                house, lambda ledger: next(iter(ledger.reviews.of_case(case.id, only_open=True)), None)
            )
            seen = await house.database.read(
                HOME, lambda ledger: ledger.reviews.saw(review, ledger.effects.action(review.action_id).args)
            )
            began = time.perf_counter()
            await house.desk.decide(REVIEWER, review.id, Decision(choice=Choice.APPROVE, seen=seen), None)
            await _until(house, lambda ledger: ledger.effects.run(review.action_id))
            latencies.append(time.perf_counter() - began)
            await _until(house, lambda ledger: ledger.cases.get(case.id).closed_at)

    await asyncio.gather(*(one(number) for number in range(many)))


async def _until(house: House, look: Any) -> Any:
    while (found := await house.database.read(HOME, look)) is None:
        ticket = house.stream.ticket()
        try:
            await asyncio.wait_for(ticket.wait(), 0.25)
        except TimeoutError:
            continue
    return found


class Course:
    def __init__(self, many: int) -> None:
        self.many = many
        self.latencies: dict[str, list[float]] = {"folder": [], "server": []}

    async def in_folder(self) -> Cost:
        with tempfile.TemporaryDirectory() as folder:
            settings = _settings(Path(folder))
            async with open_house(settings, kinds={KIND.name: KIND}, model=ScriptedModel()) as house:
                assert isinstance(house.shop, EmbeddedShop)
                await _accounts(house.shop, self.many)
                with _clock(self.many) as cost:
                    await _through(house, self.many, self.latencies["folder"])
        return cost[0]

    async def on_server(self) -> Cost:
        with tempfile.TemporaryDirectory() as folder, fresh_database() as url:
            async with _shop(Path(folder), self.many) as shop:
                settings = _settings(Path(folder), url, shop)
                async with open_house(settings, kinds={KIND.name: KIND}, model=ScriptedModel(), role="api") as house:
                    with _workers(settings, 2), _clock(self.many) as cost:
                        await _through(house, self.many, self.latencies["server"])
        return cost[0]


@contextmanager
def _clock(many: int) -> Iterator[list[Cost]]:
    """Of this process; workers' processor time is theirs to tell."""
    cost: list[Cost] = []
    wall, cpu = time.perf_counter(), time.process_time()
    yield cost
    cost.append(Cost((time.perf_counter() - wall) / many, (time.process_time() - cpu) / many))


@contextmanager
def _workers(settings: Settings, many: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    ready = context.Semaphore(0)
    workers = [context.Process(target=_work, args=(settings, ready), daemon=True) for _ in range(many)]
    for worker in workers:
        worker.start()
    for _ in workers:
        if not ready.acquire(timeout=60):
            sys.exit("A worker did not start.")
    try:
        yield
    finally:
        for worker in workers:
            worker.terminate()
            worker.join(10)


def _work(settings: Settings, ready: Any) -> None:
    async def run() -> None:
        async with open_house(settings, kinds={KIND.name: KIND}, model=ScriptedModel(), role="worker"):
            ready.release()
            await asyncio.Event().wait()

    asyncio.run(run())


@asynccontextmanager
async def _shop(folder: Path, many: int) -> AsyncIterator[str]:
    """A shop in a process of its own, that all workers share."""
    stocked = EmbeddedShop(folder / "shop.db", [DIALECT])
    await _accounts(stocked, many)
    await stocked.close()
    context = multiprocessing.get_context("spawn")
    parent, child = context.Pipe()
    process = context.Process(target=_serve_shop, args=(folder / "shop.db", child), daemon=True)
    process.start()
    try:
        yield str(await asyncio.to_thread(parent.recv))
    finally:
        process.terminate()
        process.join(10)


def _serve_shop(path: Path, told: Any) -> None:
    import uvicorn

    from tools.fulfillment.server import shop_app

    app = shop_app(EmbeddedShop(path, [DIALECT]), _TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as listening:  # who comes before it serves waits in its backlog
        told.send(f"http://127.0.0.1:{listening.getsockname()[1]}")
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


async def measured(quick: bool) -> Report:
    many, rounds = (8, 1) if quick else (200, 3)
    course = Course(many)
    ours, graph, steps = await in_turns(
        rounds, course.in_folder, lambda: bare_langgraph(many), lambda: plain_dbos(many)
    )
    figures = _beside("a full case, in a folder", ours, graph, steps, 30)
    if answers(POSTGRES):
        ours, graph, steps = await in_turns(
            rounds, course.on_server, lambda: bare_langgraph(many, server=True), lambda: plain_dbos(many, server=True)
        )
        figures += _beside("a full case, PostgreSQL, two workers", ours, graph, steps, 60)
    notes = [
        f"From a vote until the action runs, p95: {quantiles(taken, n=20)[-1]:.2f} s ({where}; aim: 0.5 s embedded)"
        for where, taken in course.latencies.items()
        if len(taken) > 1
    ]
    return Report(figures, notes)


def _beside(name: str, ours: Cost, graph: Cost, steps: Cost, aim: int) -> list[Figure]:
    return [
        Figure(name, ours, beside, floor, per_second=True, aim=f"{aim}/s or more", most_s=1 / aim)
        for beside, floor in (("bare LangGraph, same saver", graph), ("plain steps of DBOS", steps))
    ]
