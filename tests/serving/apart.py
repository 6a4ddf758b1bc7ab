"""Tills in parts: an executor apart, or three processes' houses with logins of their own, over one server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from core.clock import FakeClock
from core.key_file import from_text
from core.key_settings import KeySettings
from core.settings import DatabaseSettings, EngineSettings, ExecutorSettings, Settings
from graphs.kind import TaskKind
from ledger.database import Database, Ledger
from ledger.server import server_database
from ledger.tables import SYSTEM
from serving.executor.command import answering
from serving.executor.room import ExecutorRoom, open_executor
from serving.house import open_house
from serving.main import listening
from tests.serving.logins import Logins
from tests.support.script import ScriptedModel
from tests.support.till import PEOPLE, RING, Till
from tests.support.till_kind import KIND
from tools.fulfillment.shop import EmbeddedShop

SECRET = "between-us"
KINDS = {"till": KIND}


@dataclass(frozen=True)
class Apart:
    till: Till
    room: ExecutorRoom
    address: str
    owner: Database


def settings(folder: Path, server: str, executor_url: str = "", sweep_s: float = 3600) -> Settings:
    return Settings(
        data=folder,
        engine=EngineSettings(sweep_s=sweep_s, lease_s=0.2),
        database=DatabaseSettings(url=SecretStr(server), connections=4),
        executor=ExecutorSettings(url=executor_url, token=SecretStr(SECRET)),
        keys=KeySettings(ring=SecretStr(RING)),
    )


@asynccontextmanager
async def open_apart(folder: Path, server: str) -> AsyncIterator[Apart]:
    """A house, and an executor beside it."""
    clock, kinds = FakeClock(), {"till": KIND}
    shop = EmbeddedShop(folder / "shop.db", [KIND.dialect], clock)
    with listening("127.0.0.1", 0) as sock:
        async with (
            open_executor(settings(folder / "executor", server), clock=clock, shop=shop, kinds=kinds) as room,
            answering(room, SECRET, sock) as address,
            open_house(
                settings(folder / "house", server, address),
                bell="tasks",
                clock=clock,
                kinds=kinds,
                model=(model := ScriptedModel()),
            ) as house,
        ):
            yield await _opened(Till(house, clock, model, shop), room, address, house.database)
    await shop.close()


@asynccontextmanager
async def open_three(
    folder: Path, logins: Logins, kinds: Mapping[str, TaskKind] = KINDS, model: ScriptedModel | None = None
) -> AsyncIterator[Apart]:
    """An API, a worker and an executor, each with a login of its own; the till is what the API sees.

    Without a model agents follow their procedures.
    """
    clock = FakeClock()
    shop = EmbeddedShop(folder / "shop.db", [KIND.dialect], clock)
    owner = server_database(logins.owner, clock, masters=from_text(RING, "this test"))
    with listening("127.0.0.1", 0) as sock:
        async with (
            open_executor(settings(folder / "executor", logins.executor), clock=clock, shop=shop, kinds=kinds) as room,
            answering(room, SECRET, sock) as address,
            open_house(
                settings(folder / "worker", logins.agents, address, sweep_s=0.1),
                clock=clock,
                kinds=kinds,
                model=model,
                role="worker",
            ),
            open_house(
                settings(folder / "api", logins.desk, address), bell="tasks", clock=clock, kinds=kinds, role="api"
            ) as api,
        ):
            yield await _opened(Till(api, clock, model or ScriptedModel(), shop), room, address, owner)
    owner.close()
    await shop.close()


async def _opened(till: Till, room: ExecutorRoom, address: str, owner: Database) -> Apart:
    for name, roles in PEOPLE.items():
        await owner.write(SYSTEM, partial(_add, name, frozenset(roles)))
    await till.set_balance("1000.00")
    await till.set_balance("1000.00", "acc_2")
    return Apart(till, room, address, owner)


def _add(name: str, roles: frozenset[str], ledger: Ledger) -> None:
    ledger.people.add("default", name, roles)
