"""A whole house that serves plain graphs on a real port, and stock clients for the people in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient

from core.settings import DatabaseSettings, GraphSettings, Settings, ThreadSettings
from serving.house import House, open_house
from serving.main import listening, serving
from tests.support.plain_graphs import REACHED, WAITING

FILE = Path(__file__).parent.parent / "support" / "plain_graphs.py"
PEOPLE = {"ann": ("service",), "ben": ("service",), "rita": ("returns_reviewer",), "sam": ("returns_reviewer",)}
"""Two who start runs, and two who answer."""


def graphs() -> dict[str, GraphSettings]:
    own = dict.fromkeys(("two_gates", "both_sides"), "opener")
    names = "one_step two_gates one_gate both_sides waits speaks nested broken loud survives paid_then_held"
    return {
        name: GraphSettings(
            path=f"tests.support.plain_graphs:{name}",
            answered_by=own.get(name, "reviewers"),
        )
        for name in names.split()
    }


@dataclass
class Talk:
    house: House
    url: str
    tokens: dict[str, str] = field(default_factory=dict)

    async def add(self, person: str, *roles: str, workspace: str = "default") -> None:
        def work(ledger: Any) -> str:
            ledger.people.add(workspace, person, frozenset(roles))
            return str(ledger.people.new_token(workspace, person, None))

        self.tokens[person] = await self.house.database.write(workspace, work)

    def as_(self, person: str = "ann") -> LangGraphClient:
        return get_client(url=self.url, api_key=self.tokens[person])

    def sync_as(self, person: str = "ann") -> SyncLangGraphClient:
        return get_sync_client(url=self.url, api_key=self.tokens[person])

    def http(self, person: str = "ann") -> httpx.AsyncClient:
        headers = {"X-Api-Key": self.tokens[person]} if person else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30)

    async def audited(self, entry: str) -> list[dict[str, Any]]:
        def look(ledger: Any) -> list[dict[str, Any]]:
            return [ledger.audit.told(row) for row in ledger.audit.entries(limit=10_000) if row.type == entry]

        return await self.house.database.read("default", look)


def let_go(name: str) -> None:
    WAITING[name].set()


async def reached(name: str) -> None:
    """Waits until a run of that name waits."""
    await asyncio.wait_for(REACHED.setdefault(name, asyncio.Event()).wait(), 10)


@asynccontextmanager
async def talking(
    folder: Path, *, database: str = "", threads: Mapping[str, Any] | None = None, worker: str = ""
) -> AsyncIterator[Talk]:
    settings = Settings(
        data=folder,
        graphs=graphs(),
        threads=ThreadSettings(**(threads or {})),
        database=DatabaseSettings(url=database),
    )
    async with open_house(settings, bell="tasks") as house:
        with listening("127.0.0.1", 0) as sock:
            async with serving(house, sock) as url:
                talk = Talk(house, url)
                for person, roles in PEOPLE.items():
                    await talk.add(person, *roles)
                yield talk
