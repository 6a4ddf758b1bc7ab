"""A whole house that answers on a real port, over the small shop of the returns desk."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner

from core.clock import FakeClock
from core.console import countersign, report
from core.errors import CountersignError
from core.settings import Settings
from serving.house import House, open_house, owner
from serving.local import issue_local_token
from serving.main import listening, serving
from tests.support.returns_desk import NOW, asked, customer, usual, world
from tools.fulfillment.shop import EmbeddedShop

JSON = dict[str, Any]
TOLD = "messages.send"
"""The one thing that may happen at the shop when a request comes to nothing: the customer is told."""


def form(*lines: JSON, customer: str, order: str, **more: Any) -> JSON:
    """A request of the web form."""
    plain = [{name: value for name, value in line.items() if name != "customer_note"} for line in lines]
    return {"customer_id": customer, "order_id": order, "lines": plain, "wants": "REFUND_ORIGINAL", **more}


@dataclass
class Live:
    """A house, and people's ways to it."""

    house: House
    url: str
    tokens: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def as_(self, person: str = "") -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.tokens[person]}"}
        return httpx.AsyncClient(base_url=f"{self.url}/api/v1", headers=headers, timeout=30, verify=False)

    async def add(self, person: str, *roles: str) -> None:
        def work(ledger: Any) -> str:
            ledger.people.add("default", person, frozenset(roles))
            return str(ledger.people.new_token("default", person, None))

        self.tokens[person] = await self.house.database.write("default", work)

    async def bought(self) -> dict[str, str]:
        """A new customer, with an order of two tees at 19.90, headphones at 179.00 and a scarf sold off."""
        number = next(self._numbers)
        who, what = customer(f"cus_{number}"), usual(f"ord_{number}", customer=f"cus_{number}")
        records = {"customers": [who.model_dump(mode="json")], "orders": [what.model_dump(mode="json")]}
        await self.house.shop.load(records)  # type: ignore[attr-defined]
        return {"customer": who.customer_id, "order": what.order_id}

    async def small(self) -> JSON:
        """A request that is paid without a person."""
        return form(asked("fli_tee", reason="SIZE_TOO_SMALL"), **await self.bought())

    async def dear(self) -> JSON:
        """One that waits for the desk, because its refund is above the automatic limit."""
        return form(asked("fli_phones"), **await self.bought())

    async def done_at_the_shop(self, case_id: str) -> list[str]:
        """Operations that happened there for a case, by the shop's own log."""
        return [call.operation for call in await self.house.shop.log(0, 10_000) if call.case_id == case_id]

    async def submit(self, payload: Mapping[str, Any], kind: str = "returns") -> JSON:
        """The settled case, as its submitter sees it."""
        async with self.as_() as http:
            answer = await http.post("/cases", json={"kind": kind, "payload": payload}, headers={"Prefer": "wait=60"})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def waiting(self, payload: Mapping[str, Any]) -> tuple[JSON, JSON]:
        """A case that waits, and the detail of its one open approval."""
        case = await self.submit(payload)
        assert case["case"]["status"] == "waiting", case
        (row,) = [each for each in case["approvals"] if each["status"] == "open"]
        async with self.as_() as http:
            return case, (await http.get(f"/approvals/{row['id']}")).json()

    async def whole(self) -> bool:
        """The books agree with the shop, and the audit chain holds."""
        _, broken = await self.house.database.read("default", lambda ledger: ledger.audit.verify("default"))
        return broken is None and not (await self.house.checker.check()).findings


@asynccontextmanager
async def living(settings: Settings) -> AsyncIterator[Live]:
    async with open_house(settings, bell="tasks", clock=FakeClock(NOW)) as house:
        assert isinstance(house.shop, EmbeddedShop)
        await house.shop.load(world())
        token = issue_local_token(house.database, settings.data, owner(settings))
        with listening("127.0.0.1", 0) as sock:
            async with serving(house, sock) as url:
                live = Live(house, url, {"": token})
                await live.add("rita", "returns_reviewer")
                await live.add("sam", "returns_reviewer")
                await live.add("vera", "viewer")
                yield live


@dataclass(frozen=True)
class Typed:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def typed(*args: str | Path, env: Mapping[str, str] | None = None, stdin: str | bytes | None = None) -> Typed:
    """Runs `countersign ARGS` as its entry point does."""
    known = {"COUNTERSIGN_URL": "", "COUNTERSIGN_TOKEN": "", **(env or {})}
    result = CliRunner().invoke(
        countersign, [str(each) for each in args], env=known, input=stdin, standalone_mode=False
    )
    if isinstance(result.exception, CountersignError):
        return Typed(report(result.exception), result.stdout, str(result.exception))
    if result.exception is not None:
        raise result.exception
    return Typed(result.return_value if isinstance(result.return_value, int) else 0, result.stdout, result.stderr)
