"""People at threads of the returns kind, by the stock SDK."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.serving.live import Live

JSON = dict[str, Any]

PHONES = "The phones broke after a day. Please refund me."
"""Waits for people."""
TEE = "One tee is too small. Please refund me."
"""Is paid at once."""


class Sdk:
    """Clients of everybody, over one house."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self._clients: dict[str, LangGraphClient] = {}

    def as_(self, person: str) -> LangGraphClient:
        if person not in self._clients:
            headers = {"Authorization": f"Bearer {self.live.tokens[person]}"}
            self._clients[person] = get_client(url=self.live.url, api_key=None, headers=headers)
        return self._clients[person]

    async def close(self) -> None:
        for each in self._clients.values():
            await each.aclose()

    async def bought(self) -> JSON:
        """What the chat vouches for: a new customer and their order."""
        new = await self.live.bought()
        return {"configurable": {"customer_id": new["customer"], "order_id": new["order"]}}

    async def talk(self, text: str, thread: str = "", *, who: str = "chat", **more: Any) -> tuple[str, JSON]:
        """The thread, and its values after the run."""
        client = self.as_(who)
        if not thread:
            thread = (await client.threads.create())["thread_id"]
        said: Any = {"messages": [{"type": "human", "content": text}]}
        return thread, dict(await client.runs.wait(thread, "returns", input=said, **more))  # type: ignore[arg-type]

    async def waiting(self, text: str = PHONES) -> tuple[str, JSON]:
        """A thread whose case waits for people, and the value of its one question, as rita was shown it."""
        thread, values = await self.talk(text, config=await self.bought())
        assert values["case"]["status"] == "waiting", values
        return thread, await self.question(thread)

    async def question(self, thread: str, who: str = "rita") -> JSON:
        (task,) = (await self.as_(who).threads.get_state(thread))["tasks"]
        (asked,) = task["interrupts"]
        return dict(asked["value"], id=asked["id"])

    async def resume(self, who: str, thread: str, answer: Any) -> JSON:
        return dict(await self.as_(who).runs.wait(thread, "returns", command={"resume": answer}))  # type: ignore[arg-type]

    async def refused(self, who: str, thread: str, answer: Any) -> JSON:
        with pytest.raises(httpx.HTTPStatusError) as error:
            await self.resume(who, thread, answer)
        return dict(error.value.response.json())

    async def effects(self, thread: str) -> list[str]:
        return await self.live.done_at_the_shop((await self.values(thread))["case"]["id"])

    async def values(self, thread: str, who: str = "rita") -> JSON:
        """What this person is shown of the thread now."""
        found: Any = await self.as_(who).threads.get_state(thread)
        return dict(found["values"])
