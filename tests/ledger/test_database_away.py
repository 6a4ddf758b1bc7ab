"""The database goes away in the middle: whatever was being said, the case ends as if it had not."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from core.clock import FakeClock
from core.errors import DatabaseUnavailable
from core.settings import EngineSettings
from ledger.database import Ledger
from ledger.migrate import migrate_server
from ledger.server import driver_url, server_database
from ledger.tables import SYSTEM
from tests.support.servers import POSTGRES, answers, fresh_database
from tests.support.till import Till, open_till, pay, write
from tests.support.wire import Wire, wired

pytestmark = pytest.mark.skipif(not answers(POSTGRES), reason="no PostgreSQL server answers")

T = TypeVar("T")
EVERY = int(os.environ.get("COUNTERSIGN_TEST_EVERY", "0"))
"""Of the places at which the wire can be cut, each so-manieth one is tried; without it a handful."""


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[tuple[Till, Wire]]:
    with fresh_database() as url, wired(url) as (wire, near):
        async with open_till(tmp_path, server=near, engine=EngineSettings(sweep_s=3600, lease_s=30)) as till:
            yield till, wire


async def surely(ask: Callable[[], Awaitable[T]]) -> T:
    """As a client does it: with the same key, until there is an answer."""
    for _ in range(5):
        try:
            return await ask()
        except DatabaseUnavailable:
            continue
    return await ask()


async def told(till: Till, key: str) -> str:
    """One case from its letter to its end. Returns it."""
    await till.set_balance("1000.00", f"acc_{key}")
    story = ([write()], [pay("100.00", f"acc_{key}")])
    case = await surely(lambda: till.submit(*story, customer=f"cus_{key}", key=key))
    await till.steady(case)
    review = (await till.review(case)).id
    seen = await till.seen(review)
    await surely(lambda: till.vote("ann", review, key=f"{key}-vote", wait=False, seen=seen))
    await till.steady(case)
    return case


async def ended(till: Till, case: str) -> dict[str, Any]:
    """What came of it, in the ledger and at the provider."""
    return {
        "status": await till.status(case),
        "outcome": (await till.case(case)).outcome,
        "runs": sorted((run.tool, str(run.status), run.gated) for run in await till.runs(case)),
        "provider": sorted(await till.happened(case)),
        "audit": sorted(set(await till.audit(case)) - {"case.reclaimed"}),
        "reviews": [str(each.status) for each in await till.reviews(case)],
    }


async def test_the_wire_is_cut_at_any_statement_and_any_commit(scene: tuple[Till, Wire]) -> None:
    till, wire = scene
    await told(till, "first")
    wire.begin()
    oracle = await ended(till, await told(till, "oracle"))
    said, commits = wire.said, wire.commits
    assert oracle["status"] == "closed"
    assert len(commits) > 10
    places = [(at, False) for at in range(3, said, EVERY or said // 8)]
    places += [(at, True) for at in commits[2 :: EVERY or len(commits) // 5]]
    for number, (at, after) in enumerate(places):
        wire.begin(at, after=after)
        case = await told(till, f"cut-{number}")
        wire.begin()
        assert await ended(till, case) == oracle, (at, after)
    assert wire.cuts >= len(places) // 2  # of the last ones, a case may have ended before
    assert (await till.check()).findings == []
    held = await till.house.database.read(SYSTEM, lambda ledger: ledger.audit.verify("default"))
    assert held[1] is None


async def test_backends_are_ended_while_cases_run(scene: tuple[Till, Wire]) -> None:
    """As `pg_terminate_backend` does it, which is what a server does to everybody when it shuts down."""
    till, wire = scene
    wire.begin()
    going = True

    async def end_them() -> None:
        dice = random.Random(7)
        async with await psycopg.AsyncConnection.connect(wire.url, autocommit=True) as admin:
            while going:
                await asyncio.sleep(dice.uniform(0.02, 0.15))
                await admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.7"
                )

    ender = asyncio.create_task(end_them())
    cases = await asyncio.gather(*(told(till, f"ended-{number}") for number in range(4)))
    going = False
    await ender
    oracle = await ended(till, await told(till, "calm"))
    for case in cases:
        assert await ended(till, case) == oracle
    assert (await till.check()).findings == []


async def test_a_commit_without_an_answer_is_told_and_not_repeated() -> None:
    with fresh_database() as url, wired(url) as (wire, near):
        migrate_server(driver_url(url))
        database, turns = server_database(near, FakeClock()), 0

        def append(ledger: Ledger) -> None:
            nonlocal turns
            turns += 1
            ledger.audit.append("x", {})

        await database.write("default", append)
        wire.begin()
        await database.write("default", append)
        (commit,) = wire.commits
        for after, kept in ((False, 2), (True, 3)):
            wire.begin(commit, after=after)
            turns = 0
            with pytest.raises(DatabaseUnavailable) as lost:
                await database.write("default", append)
            assert (lost.value.committed, turns) == ("unknown", 1)
            assert await database.read("default", lambda ledger: ledger.audit.verify("default")) == (kept, None)
        wire.begin(commit - 1)  # before the commit was asked for, it is as if nothing had been said
        turns = 0
        await database.write("default", append)
        assert turns == 2
        assert await database.read("default", lambda ledger: ledger.audit.verify("default")) == (4, None)
        database.close()
