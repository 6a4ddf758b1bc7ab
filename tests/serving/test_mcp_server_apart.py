"""What is proposed by hand in a house of three processes: the API asks, a worker takes it up, the executor does it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from core.people import Person
from engine.handed import UNSETTLED, Handed, Stage
from tests.serving.apart import open_three
from tests.serving.logins import logins, with_roles
from tests.support.script import ScriptedModel
from tests.support.servers import fresh_database, needs_postgres
from tests.support.till import Till, usd

ROBOT = Person(id="robot", roles=frozenset({"service"}))
ASK = [{"tool": "people.ask", "args": {"text": "What now?"}}]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A database whose owner has given the roles."""
    with fresh_database() as found:
        asyncio.run(with_roles(tmp_path / "owner", found))
        yield found


async def settled(till: Till, case: str, told: Handed) -> Handed:
    """How it stands once somebody has settled it, or it waits for people."""
    async with asyncio.timeout(60):
        while told.status is Stage.ACCEPTED or (told.status in UNSETTLED and not told.approval):
            news = till.house.stream.ticket()
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), 0.2)
            told = await till.house.by_hand.standing(ROBOT, case, told.action)
    return told


@needs_postgres
async def test_each_of_three_processes_may_do_its_part_of_a_proposal_and_no_more(tmp_path: Path, server: str) -> None:
    with logins(server) as each:
        async with open_three(tmp_path, each, model=ScriptedModel()) as three:
            till = three.till
            payload = {"customer": "cus_1", "script": [ASK], "loop": False}
            opened, _ = await till.house.submit(ROBOT, "till", payload)
            await till.house.settled("default", {opened.id})
            hand = till.house.by_hand
            read = await hand.propose(ROBOT, opened.id, "account.read", {"account_id": "acc_1"})
            assert read.result["balance"] == usd("1000.00")
            small = await hand.propose(ROBOT, opened.id, "gift.pay", {"account_id": "acc_1", "amount": usd("20.00")})
            assert (await settled(till, opened.id, small)).status is Stage.DONE
            dear = await hand.propose(ROBOT, opened.id, "gift.pay", {"account_id": "acc_1", "amount": usd("80.00")})
            assert dear.status is Stage.WAITING
            await till.vote("ann", dear.approval, wait=False)
            paid = await settled(till, opened.id, dear.model_copy(update={"status": Stage.ACCEPTED}))
            assert paid.status is Stage.DONE
            assert await till.balance() == "900.00 USD"
            assert await till.happened(opened.id) == ["gift.pay", "gift.pay"]
