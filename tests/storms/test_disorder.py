"""Decisions come doubled, late, out of order and against each other, to two houses at once: one wins, and it alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.errors import CountersignError
from core.settings import DatabaseSettings, EngineSettings, Settings
from core.states import CaseStatus
from engine.decisions import Choice, Decided, Decision
from serving.house import House, open_house
from tests.support.servers import fresh_database
from tests.support.till import Till, open_till, pay, person, write
from tests.support.till_kind import KIND

CASES = 10


@dataclass(frozen=True)
class Sent:
    """A decision on its way. Those with the same key are one that is delivered several times."""

    name: str
    choice: str
    key: str


EACH = [
    *[Sent("ann", "approve", "ann-1")] * 3,
    *[Sent("ben", "reject", "ben-1")] * 3,
    Sent("ann", "reject", "ann-2"),
    Sent("ben", "approve", "ben-2"),
    Sent("cat", "approve", "cat-1"),  # nobody asked her
]


@asynccontextmanager
async def houses(folder: Path, database: str) -> AsyncIterator[tuple[Till, list[House]]]:
    """On a server two houses take decisions; a data folder has one."""
    if database == "sqlite":
        async with open_till(folder / "one") as till:
            yield till, [till.house]
        return
    with fresh_database() as server:
        async with open_till(folder / "one", server=server) as till:
            settings = Settings(
                data=folder / "two",
                database=DatabaseSettings(url=till.house.settings.database.url),
                engine=EngineSettings(sweep_s=3600),
                keys=till.house.settings.keys,
            )
            second = open_house(
                settings, bell="tasks", clock=till.clock, shop=till.shop, kinds={"till": KIND}, model=till.model
            )
            async with second as other:
                yield till, [till.house, other]


async def send(house: House, sent: Sent, review: str, seen: str) -> Decided | CountersignError:
    decision = Decision(choice=Choice(sent.choice), seen=seen, reason_code="wrong_amount", note="")
    await asyncio.sleep(0)
    try:
        return await house.desk.decide(person(sent.name), review, decision, f"{sent.key}:{review}")
    except CountersignError as no:
        return no


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_of_decisions_against_each_other_one_wins(tmp_path: Path, database: str) -> None:
    draw, ends = random.Random(7), set()
    async with houses(tmp_path, database) as (till, all_houses):
        for n in range(CASES):
            await till.set_balance("1000.00", f"acc_{n}")
        cases = [await till.submit([pay("100.00", f"acc_{n}")], [write()], customer=f"cus_{n}") for n in range(CASES)]
        await till.settle(*cases)
        posts = []
        for case in cases:
            review = (await till.review(case)).id
            posts += [(each, review, await till.seen(review)) for each in EACH]
        draw.shuffle(posts)

        answers = await asyncio.gather(*(send(draw.choice(all_houses), *post) for post in posts))
        await till.steady(*cases)
        again = await asyncio.gather(*(send(draw.choice(all_houses), *post) for post in posts))
        await till.steady(*cases)

        for case in cases:
            (review_row,) = await till.reviews(case)
            told = [
                answer
                for (_, review, _), answer in zip(posts * 2, [*answers, *again], strict=True)
                if review == review_row.id
            ]
            decided = [each for each in told if isinstance(each, Decided)]
            assert {str(each.status) for each in decided} == {str(review_row.status)}
            entries = [each for each in await till.audit(case) if each in ("review.approved", "review.rejected")]
            assert entries == [f"review.{review_row.status}"]
            paid = review_row.status == "approved"
            assert await till.happened(case) == ["gift.pay", "note.write"][not paid :]
            assert await till.status(case) is CaseStatus.CLOSED
            ends.add(paid)
        assert (await till.check()).findings == []
    assert ends == {True, False}, "the same always won, so it shows little"
