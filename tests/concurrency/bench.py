"""A whole house on a port, with a till that pays out, plain graphs, and stock SDK clients of everybody."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from pydantic import SecretStr

from core.settings import DatabaseSettings, EngineSettings, GraphSettings, Settings
from ledger.database import Ledger
from serving.house import House, open_house
from serving.main import listening, serving
from tests.support.script import ScriptedModel, Turn
from tests.support.till import PEOPLE, usd
from tests.support.till_kind import KIND

JSON = dict[str, Any]
OPENER = "ops"
FIRST, SECOND = "ann", "ben"
"""Two clerks: either may approve what the other may."""
WATCHER = "cat"


@dataclass
class Answered:
    """What a client was told."""

    status: int
    body: JSON


@dataclass
class Bench:
    house: House
    url: str
    clients: dict[str, LangGraphClient] = field(default_factory=dict)
    _customers: Any = field(default_factory=lambda: count(1))
    _paid: Counter[str] = field(default_factory=Counter)
    _read: int = 0
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def account(self) -> str:
        """A new one with a thousand dollars: nobody's payment moves the facts of another one."""
        name = f"acc_{next(self._customers)}"
        await self.house.shop.load({"accounts": [{"account_id": name, "balance": usd("1000.00")}]})  # type: ignore[attr-defined]
        return name

    async def thread(self, *script: Turn, graph: str = "till", **more: Any) -> str:
        """A thread whose run has come to its first question."""
        client = self.clients[OPENER]
        thread = str((await client.threads.create())["thread_id"])
        payload = {"customer": f"cus_{next(self._customers)}", "script": list(script), "loop": False}
        await client.runs.wait(thread, graph, input=more.get("input", payload))
        return thread

    async def questions(self, thread: str, who: str) -> list[str]:
        """The ids of what is open, as this person is shown it now."""
        state = await self.clients[who].threads.get_state(thread)
        return [asked["id"] for task in state["tasks"] for asked in task["interrupts"]]

    async def values(self, thread: str) -> JSON:
        """As somebody sees them who decides nothing here: who looks is shown what is open."""
        found: Any = await self.clients[WATCHER].threads.get_state(thread)
        return dict(found["values"])

    async def resume(self, who: str, thread: str, answer: Any, graph: str = "till") -> Answered:
        try:
            body: Any = await self.clients[who].runs.wait(thread, graph, command={"resume": answer})
        except httpx.HTTPStatusError as refused:
            return Answered(refused.response.status_code, dict(refused.response.json()))
        return Answered(200, dict(body))

    async def at_once(self, thread: str, answer: Any, graph: str = "till") -> tuple[list[Answered], list[JSON]]:
        """Both people answer at the same moment. Those who were heard, and what the others were told."""
        both = await asyncio.gather(*(self.resume(who, thread, answer, graph) for who in (FIRST, SECOND)))
        return [each for each in both if each.status == 200], [each.body for each in both if each.status != 200]

    async def paid(self, case_id: str) -> int:
        """How often the provider paid for a case, by its own log."""
        async with self._reading:
            while new := await self.house.shop.log(self._read, 1_000):
                self._paid.update(call.case_id for call in new if call.operation == "gift.pay")
                self._read = new[-1].seq
        return self._paid[case_id]


@asynccontextmanager
async def bench(folder: Path, database: str = "") -> AsyncIterator[Bench]:
    """`database` is the address of an empty PostgreSQL database; the folder alone, if it is empty."""
    graphs = {name: GraphSettings(path=f"tests.support.plain_graphs:{name}") for name in ("one_gate", "two_gates")}
    settings = Settings(
        data=folder,
        engine=EngineSettings(sweep_s=60),
        database=DatabaseSettings(url=SecretStr(database)),
        graphs=graphs,
    )
    async with open_house(settings, bell="tasks", kinds={"till": KIND}, model=ScriptedModel()) as house:
        with listening("127.0.0.1", 0) as sock:
            async with serving(house, sock) as url:
                found = Bench(house, url)
                for name, roles in PEOPLE.items():
                    token = await house.database.write("default", partial(_added, name, roles))
                    headers = {"Authorization": f"Bearer {token}"}
                    found.clients[name] = get_client(url=url, api_key=None, headers=headers)
                try:
                    yield found
                finally:
                    for client in found.clients.values():
                        await client.aclose()


def _added(name: str, roles: set[str], ledger: Ledger) -> str:
    ledger.people.add("default", name, frozenset(roles))
    return str(ledger.people.new_token("default", name, None))
