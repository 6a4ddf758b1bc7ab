"""The concurrency table of the design, each row a few times: `python -m tests.concurrency` runs it a thousand times."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.concurrency.bench import Bench, bench
from tests.concurrency.killed import KILLED, killed
from tests.concurrency.table import ROWS, Result, Row, play, printed
from tests.support.folders import quick_folder
from tests.support.servers import fresh_database, needs_postgres

_ONE_PAYMENT = [row for row in ROWS if row.of_all]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened() -> AsyncIterator[Bench]:
    with quick_folder() as folder:
        async with bench(folder) as found:
            yield found


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_row_of_the_table(opened: Bench, row: Row) -> None:
    result = await play(opened, row, 12 if row.of_all else 3, at_once=4)
    print(printed([result]))
    assert result.wrong == []


@pytest.mark.asyncio(loop_scope="module")
async def test_the_books_agree_after_the_races(opened: Bench) -> None:
    assert (await opened.house.checker.check()).findings == []


@needs_postgres
async def test_two_at_one_payment_over_a_server() -> None:
    with fresh_database() as url, quick_folder() as folder:
        async with bench(folder, url) as found:
            results = [await play(found, row, 6, at_once=3) for row in _ONE_PAYMENT]
    print(printed(results))
    assert [each.wrong for each in results] == [[], [], []]


def test_a_run_goes_on_after_kill_9() -> None:
    wrong = killed()
    print(printed([Result(KILLED, 1, [wrong] if wrong else [])]))
    assert wrong == ""
