"""A deployment with cases that wait for people strands none: they began with one release and end with the next.

COUNTERSIGN_WAITING sets how many wait; `make storm` takes 1,000.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agents.role import Role
from core.settings import EngineSettings
from core.states import CaseStatus
from ledger.database import Ledger
from tests.support.servers import fresh_database
from tests.support.till import open_till, pay, write
from tests.support.till_kind import BOOK, KIND

WAITING = int(os.environ.get("COUNTERSIGN_WAITING", "20"))


@contextmanager
def kept(database: str) -> Iterator[str]:
    if database == "sqlite":
        yield ""
        return
    with fresh_database() as server:
        yield server


def engine(release: str) -> EngineSettings:
    return EngineSettings(sweep_s=3600, lease_s=0.2, release=release)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_cases_that_wait_go_on_with_the_next_release(tmp_path: Path, database: str) -> None:
    """The next one has another prompt and another version of the policy, and another process takes it over."""
    book = tmp_path / BOOK.name
    book.write_text(BOOK.read_text().replace('version: "1"', 'version: "2"').replace("A small gift", "A gift"))
    following = replace(KIND, role=Role("agent:till", "You play a script, and take care."), book=book)
    with kept(database) as server:
        async with open_till(tmp_path / "house", engine=engine("a"), server=server) as till:
            for n in range(WAITING):
                await till.set_balance("1000.00", f"acc_{n}")
            cases = [
                await till.submit([pay("100.00", f"acc_{n}")], [write()], customer=f"cus_{n}") for n in range(WAITING)
            ]
            await till.settle(*cases)
            assert {await till.status(case) for case in cases} == {CaseStatus.WAITING}

        async with open_till(
            tmp_path / "house", engine=engine("b"), kind=following, server=server, bell="queue"
        ) as till:
            for case in cases:
                review = await till.review(case)
                await till.vote("ann", review.id, wait=False)
                await asyncio.sleep(0)
            await till.settle(*cases)

            def statuses(ledger: Ledger) -> set[str]:
                return {ledger.cases.get(case).status for case in cases}

            assert await till.read(statuses) == {CaseStatus.CLOSED}
            happened: dict[str, list[str]] = {}
            for after in range(0, 2 * WAITING, 1000):
                for call in await till.shop.log(after, 1000):
                    happened.setdefault(call.case_id, []).append(call.operation)
            assert happened == {case: ["gift.pay", "note.write"] for case in cases}
            assert (await till.check()).findings == []
