"""The event log of many processes on PostgreSQL: nobody who reads on misses an entry, and all hear of news."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from core.states import CaseStatus
from engine.stream import Stream, share
from ledger.database import Ledger
from ledger.migrate import migrate_server
from ledger.news import NewsLine
from ledger.server import ServerDatabase, driver_url, server_database
from tests.support.servers import POSTGRES, answers, fresh_database
from tests.support.till import open_till, write

pytestmark = pytest.mark.skipif(not answers(POSTGRES), reason="no PostgreSQL server answers")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fresh_database() as url:
        migrate_server(driver_url(url))
        yield url


@pytest.fixture
def database(url: str) -> Iterator[ServerDatabase]:
    opened = server_database(url)
    yield opened
    opened.close()


def entry(ledger: Ledger, word: str) -> None:
    ledger.trace.add("case_1", word, {})


def read(database: ServerDatabase, after: int) -> list[tuple[int, str]]:
    rows = database.transact("default", lambda ledger: ledger.trace.since(after), writes=False)
    return [(row.seq or 0, row.type) for row in rows]


def last(database: ServerDatabase) -> int:
    return database.transact("default", lambda ledger: ledger.trace.last(), writes=False)


LATE = text(
    "INSERT INTO trace (workspace, case_id, type, body, at) "
    "VALUES ('default', 'case_1', :type, '{}', '2026-11-02T09:00:00.000000+00:00')"
)


@pytest.mark.parametrize("comes", [True, False])
def test_an_entry_with_a_lower_number_that_is_committed_later_is_not_missed(
    database: ServerDatabase, comes: bool
) -> None:
    before = last(database)
    with database.engine.connect() as late:
        late.execute(LATE, {"type": "late"})
        database.transact("default", partial(entry, word="early"))
        seen = read(database, before)
        assert seen == []
        assert last(database) == before
        late.commit() if comes else late.rollback()
    assert [word for _, word in read(database, before)] == (["late", "early"] if comes else ["early"])
    assert last(database) == before + 2


def test_a_writer_sees_what_it_writes_and_holds_up_nobody_who_writes(database: ServerDatabase) -> None:
    before = last(database)

    def step(ledger: Ledger) -> list[str]:
        entry(ledger, "mine")
        ledger._pen.write()
        database.transact("default", partial(entry, word="another's"))
        return [row.type for row in ledger.trace.since(before)]

    assert "mine" in database.transact("default", step)


def test_readers_who_read_on_while_many_write_have_it_all(database: ServerDatabase, url: str) -> None:
    before, writers, each = last(database), 4, 25

    def write(writer: int) -> None:
        own = server_database(url, connections=2)
        for number in range(each):
            own.transact("default", partial(entry, word=f"{writer}:{number}"))
        own.close()

    seen: list[tuple[int, str]] = []
    with ThreadPoolExecutor(writers) as pool:
        running = [pool.submit(write, writer) for writer in range(writers)]
        while len(seen) < writers * each:
            done = all(task.done() for task in running)
            seen += read(database, seen[-1][0] if seen else before)
            assert not done or len(seen) == writers * each
    assert len({word for _, word in seen}) == writers * each
    assert seen == sorted(seen)


async def test_what_one_process_publishes_wakes_the_others(url: str) -> None:
    ours, theirs = server_database(url), server_database(url)
    here, there = Stream(), Stream()
    sharing = [
        asyncio.create_task(share(here, NewsLine(ours), look_s=3600)),
        asyncio.create_task(share(there, NewsLine(theirs), look_s=3600)),
    ]
    listeners = text(
        "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' "
        "AND datname = current_database()"
    )
    counted = text("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()")
    try:
        for cut in (False, True):
            if cut:
                with ours.engine.begin() as connection:
                    connection.execute(listeners)
            while True:
                with ours.engine.begin() as connection:
                    if connection.execute(counted).scalar() == 2:
                        break
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.1)  # each hears its own beginning
            ticket = there.ticket()
            here.publish()
            await asyncio.wait_for(ticket.wait(), 10)
    finally:
        for task in sharing:
            task.cancel()
        await asyncio.gather(*sharing, return_exceptions=True)
        ours.close()
        theirs.close()


async def test_news_that_nobody_told_is_found_by_looking(url: str) -> None:
    database, stream = server_database(url), Stream()
    sharing = asyncio.create_task(share(stream, NewsLine(database), look_s=0.05))
    try:
        await asyncio.sleep(0.3)
        ticket = stream.ticket()
        await asyncio.to_thread(database.transact, "default", partial(entry, word="in silence"))
        await asyncio.wait_for(ticket.wait(), 10)
    finally:
        sharing.cancel()
        await asyncio.gather(sharing, return_exceptions=True)
        database.close()


async def test_one_house_sees_at_once_what_another_does(url: str, tmp_path: Path) -> None:
    """Nobody sweeps here: it is news that wakes up the second house."""
    async with open_till(tmp_path / "one", server=url) as one, open_till(tmp_path / "two", server=url) as two:
        case = await one.submit([write()])
        await asyncio.wait_for(two.until(case, "case.closed"), 30)
        assert await two.status(case) == CaseStatus.CLOSED
