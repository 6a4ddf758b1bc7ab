"""The processes of a storm that are forked: from a parent that has imported everything, a start takes 0.3 s and not 4.

What runs in them is what the commands run: `open_house` in a role, the API on a socket, the shop's own server. The
business is the till, whose model plays a script, so that a storm spends its time in the engine.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import dbos  # noqa: F401 - imported before the fork, or every start would do it
import langgraph.checkpoint.postgres  # noqa: F401
import psycopg  # noqa: F401
import uvicorn

import engine.segment_workflow  # noqa: F401
import graphs.checkpoints_server  # noqa: F401
import ledger.server  # noqa: F401
from core.money import Money
from core.settings import Settings, load_settings
from serving.house import Role, open_house
from serving.main import effects_ledger_on, listening, serving, stopping
from tests.support.script import ScriptedModel
from tests.support.till_kind import DIALECT, KIND
from tools.fulfillment.faults import Fault, Faults
from tools.fulfillment.server import shop_app
from tools.fulfillment.shop import EmbeddedShop

_DIE_WITH_PARENT = 1
_HERE = Path("-")
_BALANCE = Money.of("1000.00", "USD")


def run_shop(env: Mapping[str, str], log: Path, port: int, file: Path, accounts: int, late_s: float) -> None:
    """The provider: a database and a log of its own. It acts at once, and its answers come late."""
    _take_over(env, log)
    asyncio.run(_shop(port, file, accounts, late_s))


async def _shop(port: int, file: Path, accounts: int, late_s: float) -> None:
    shop = EmbeddedShop(file, [DIALECT], faults=Faults.random(1, {Fault.LATE: 1.0}))
    assert shop.faults is not None
    shop.faults._plan.seconds = late_s
    balance = _BALANCE.model_dump()
    await shop.load({"accounts": [{"account_id": f"acc_{n}", "balance": balance} for n in range(accounts)]})
    app = shop_app(shop, os.environ["COUNTERSIGN_SHOP__TOKEN"])
    with listening("127.0.0.1", port) as sock:
        await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[sock])


def run_house(env: Mapping[str, str], log: Path, role: Role) -> None:
    """`up`, `api` or `worker`, until SIGTERM."""
    _take_over(env, log)
    asyncio.run(_house(load_settings(), role))


async def _house(settings: Settings, role: Role) -> None:
    async with stopping() as stop, AsyncExitStack() as doors:
        sock = None if role == "worker" else doors.enter_context(listening("127.0.0.1", settings.server.port))
        kinds, model = {KIND.name: KIND}, ScriptedModel()
        house = await doors.enter_async_context(
            open_house(settings, role=role, kinds=kinds, model=model, ledger_on=effects_ledger_on())
        )
        if sock:
            await doors.enter_async_context(serving(house, sock))
        print(f"up at {datetime.now(UTC).isoformat()}", flush=True)
        await stop.wait()


def _take_over(env: Mapping[str, str], log: Path) -> None:
    """The child becomes a process of its own: its environment, its log, and no life after the storm."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    os.environ.update(env)
    if log != _HERE:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s")


if __name__ == "__main__":  # for a process that can't be forked: one whose clock is preloaded
    run_house({}, _HERE, sys.argv[1])  # type: ignore[arg-type]
