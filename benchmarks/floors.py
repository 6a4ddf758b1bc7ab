"""The floors of a full case: its turns on bare LangGraph, and its steps as plain workflows of DBOS.

Both think as the till's model does, stop for an answer, and call the same two tools of the same shop, and that is all.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID
from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from agents.contract import MAKE_PLAN
from benchmarks.measure import Cost, Lap
from core.money import Money
from graphs.checkpoints import InlineSqliteSaver
from graphs.checkpoints_server import PooledPostgresSaver
from ledger.server import driver_url, server_database
from tests.support.script import ScriptedModel
from tests.support.servers import fresh_database
from tests.support.till_kind import DIALECT
from tools.fulfillment.shop import EmbeddedShop

_AMOUNT = Money.of("150.00", "USD").model_dump()
_QUEUE = "floor"


class _State(TypedDict, total=False):
    number: int
    said: list[AnyMessage]
    approved: bool


async def bare_langgraph(many: int, *, server: bool = False) -> Cost:
    """Plan, note, stop, pay, finish: five nodes, two runs, each checkpoint written as it is in the house."""
    shop = await _stocked(many)
    model = ScriptedModel()

    async def plan(state: _State) -> _State:
        return {"said": [await _think(model)]}

    async def note(state: _State) -> _State:
        await shop.write("note.write", {"text": "hello"}, key=f"{state['number']}:note", case_id=str(state["number"]))
        return {}

    async def stop(state: _State) -> _State:
        return {"approved": bool(interrupt("pay?"))}

    async def pay(state: _State) -> _State:
        await _pay(shop, state["number"])
        return {}

    async def finish(state: _State) -> _State:
        return {"said": [*state["said"], await _think(model)]}

    graph = StateGraph(_State)
    nodes = {"plan": plan, "note": note, "stop": stop, "pay": pay, "finish": finish}
    for name, node in nodes.items():
        graph.add_node(name, node)
    for one, other in zip([START, *nodes], [*nodes, END], strict=True):
        graph.add_edge(one, other)
    with _saver(server) as saver:
        compiled = graph.compile(checkpointer=saver)
        slots = asyncio.Semaphore(8)

        async def run(number: int) -> None:
            config: Any = {"configurable": {"thread_id": str(number)}}
            async with slots:
                given: Any = {"number": number}
                await compiled.ainvoke(given, config, durability="sync")
                await compiled.ainvoke(Command(resume=True), config, durability="sync")

        lap = Lap()
        await asyncio.gather(*(run(number) for number in range(many)))
        cost = lap.cost(many)
    await shop.close()
    return cost


@contextmanager
def _saver(server: bool) -> Iterator[Any]:
    if server:
        with fresh_database() as url:
            database = server_database(url)
            saver = PooledPostgresSaver(database.lend)
            saver.setup_once()
            yield saver
            database.close()
    else:
        with tempfile.TemporaryDirectory() as folder:
            kept = InlineSqliteSaver.at(Path(folder) / "checkpoints.db")
            yield kept
            kept.close()


async def plain_dbos(many: int, *, server: bool = False) -> Cost:
    """Two queued workflows a case, one before the answer and one after it, each thought and each call a step."""
    if server:
        with fresh_database() as url:
            return await asyncio.to_thread(_dbos, many, driver_url(url))
    with tempfile.TemporaryDirectory() as folder:
        return await asyncio.to_thread(_dbos, many, f"sqlite:///{folder}/queue.db")


def _dbos(many: int, url: str) -> Cost:
    shop = asyncio.run(_stocked(many))
    model = ScriptedModel()

    @DBOS.step(name="floor.think")
    def think() -> str:
        return asyncio.run(_said(model))

    @DBOS.step(name="floor.note")
    def note(number: int) -> None:
        asyncio.run(shop.write("note.write", {"text": "hello"}, key=f"{number}:note", case_id=str(number)))

    @DBOS.step(name="floor.pay")
    def pay(number: int) -> None:
        asyncio.run(_pay(shop, number))

    @DBOS.workflow(name="floor.before")
    def before(number: int) -> None:
        think()
        note(number)

    @DBOS.workflow(name="floor.after")
    def after(number: int) -> None:
        pay(number)
        think()

    config: DBOSConfig = {"name": "floors", "system_database_url": url, "log_level": "ERROR", "run_migrations": True}
    DBOS(config=config)
    DBOS.launch()
    try:
        DBOS.register_queue(_QUEUE, worker_concurrency=8, partition_concurrency=1, polling_interval_sec=0.1)
        lap = Lap()
        for work in (before, after):
            handles = []
            for number in range(many):
                with SetWorkflowID(f"{work.__name__}:{number}"), SetEnqueueOptions(queue_partition_key=str(number)):
                    handles.append(DBOS.enqueue_workflow(_QUEUE, work, number))
            for handle in handles:
                handle.get_result(polling_interval_sec=0.05)
        return lap.cost(many)
    finally:
        DBOS.destroy(destroy_registry=True)
        asyncio.run(shop.close())


async def _stocked(many: int) -> EmbeddedShop:
    shop = EmbeddedShop(None, [DIALECT])
    balance = Money.of("1000.00", "USD").model_dump()
    await shop.load({"accounts": [{"account_id": f"acc_{n}", "balance": balance} for n in range(many)]})
    return shop


async def _pay(shop: EmbeddedShop, number: int) -> None:
    sent = {"account_id": f"acc_{number}", "amount": _AMOUNT}
    await shop.write("gift.pay", sent, key=f"{number}:pay", case_id=str(number))


async def _think(model: ScriptedModel) -> AnyMessage:
    return await model.bind_tools([], tool_choice=MAKE_PLAN).ainvoke([HumanMessage("What next?")])


async def _said(model: ScriptedModel) -> str:
    return str((await _think(model)).content)
