"""A shop's own chat in front of the house: a stock OpenAI client, and customers who want something back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
from openai import AsyncOpenAI

from tests.serving.live import Live
from tests.support.returns_desk import customer, usual

_NUMBERS = count(1001)


@dataclass
class Shopper:
    """A customer with an order, and what was said so far between them and the house."""

    client: AsyncOpenAI
    customer: str
    order: str
    session: str = ""
    said: list[dict[str, str]] = field(default_factory=list)

    def asks(self, text: str) -> list[Any]:
        self.said.append({"role": "user", "content": text})
        return list(self.said)

    def more(self) -> dict[str, Any]:
        metadata = {"metadata": {"session": self.session}} if self.session else {}
        return {"user": self.customer, **metadata}

    async def say(self, text: str, **more: Any) -> str:
        """What is answered, whole. The answer goes into the history, as a client keeps it."""
        return await self.send(self.asks(text), **more)

    async def send(self, messages: Sequence[Any], **more: Any) -> str:
        whole = await self.client.chat.completions.create(
            model="returns", messages=list(messages), **{**self.more(), **more}
        )
        assert whole.choices[0].finish_reason == "stop"
        answer = str(whole.choices[0].message.content)
        self.said.append({"role": "assistant", "content": answer})
        return answer


async def shopper(live: Live, *, token: str = "chat", session: str = "") -> Shopper:
    """A new customer with an order of two tees at 19.90, headphones at 179.00 and a scarf sold off at 12.00."""
    if token not in live.tokens:
        await live.add(token, "service")
    number = next(_NUMBERS)
    home = {"address": f"{number} Mill Road"}  # policy counts refunds by address too
    who = customer(f"cus_{number}").model_copy(update=home)
    what = usual(f"ORD-{number}", customer=f"cus_{number}")
    records = {"customers": [who.model_dump(mode="json")], "orders": [what.model_dump(mode="json")]}
    await live.house.shop.load(records)  # type: ignore[attr-defined]
    client = AsyncOpenAI(base_url=f"{live.url}/v1", api_key=live.tokens[token], max_retries=0, timeout=30)
    return Shopper(client, who.customer_id, what.order_id, session)


async def cases_of(live: Live, who: Shopper) -> list[dict[str, Any]]:
    """Every case about a customer, the oldest first."""
    async with live.as_() as http:
        found = (await http.get("/cases", params={"limit": 500})).json()["items"]
    return [each for each in reversed(found) if each["subject"] == who.customer]


async def decide(live: Live, case_id: str, choice: str, person: str = "rita", **more: Any) -> httpx.Response:
    """A vote on the one approval of a case that is open."""
    async with live.as_(person) as http:
        rows = (await http.get(f"/cases/{case_id}")).json()["approvals"]
        (row,) = [each for each in rows if each["status"] == "open"]
        seen = (await http.get(f"/approvals/{row['id']}")).json()["seen"]
        body = {"choice": choice, "seen": seen, **more}
        answer = await http.post(f"/approvals/{row['id']}/decide", json=body)
    assert answer.status_code == 200, answer.text
    return answer
