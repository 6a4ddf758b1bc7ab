"""A talk outlives its request and the process that it began in: the house is opened again, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from openai import AsyncOpenAI

from core.settings import ChatSettings, DatabaseSettings, Settings
from tests.serving.live import Live, living
from tests.support.chat import Shopper, cases_of, decide, shopper
from tests.support.folders import quick_folder
from tests.support.servers import fresh_database, needs_postgres


@pytest.fixture(params=["sqlite", pytest.param("server", marks=needs_postgres)])
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    with ExitStack() as stack:
        folder = stack.enter_context(quick_folder())
        url = stack.enter_context(fresh_database()) if request.param == "server" else ""
        yield Settings(
            data=folder / "data", database=DatabaseSettings(url=url), chat=ChatSettings(settle_s=0.001, wait_s=0)
        )


async def test_a_talk_goes_on_after_a_restart_where_it_was(settings: Settings) -> None:
    async with living(settings) as live:
        bob = await shopper(live)
        first = bob.asks(f"I changed my mind about the phones of {bob.order}. Please give me my money back.")
        answers = await asyncio.gather(*(bob.send(first) for _ in range(4)))
        bob.said = [*first, {"role": "assistant", "content": answers[0]}]
        (case,) = await cases_of(live, bob)
        assert all("I am working on it" in answer or "colleague" in answer for answer in answers)
        assert all(case["id"] in answer for answer in answers)
        await live.house.settled("default", {case["id"]})

    async with living(settings) as live:
        again = _at(live, bob)
        assert case["id"] in await again.send(bob.said[:1])
        assert "colleague" in await again.say("Any news?")
        await decide(live, case["id"], "approve")
        await live.house.settled("default", {case["id"]})
        assert "We have refunded" in await again.say("And is it done now?")
        assert [each["id"] for each in await cases_of(live, again)] == [case["id"]]


def _at(live: Live, who: Shopper) -> Shopper:
    """The same customer and talk, with the chat's own token, at another address."""
    client = AsyncOpenAI(base_url=f"{live.url}/v1", api_key=who.client.api_key, max_retries=0, timeout=30)
    return Shopper(client, who.customer, who.order, said=list(who.said))
