"""SIGKILL in the middle of work, between an effect and its record: nothing lost, nothing twice.

`make storm-short` runs the same with 200 cases, `make storm` with 10,000.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.servers import fresh_database
from tests.support.storm import Outcome, Storm
from tests.support.storm_business import Returns


@contextmanager
def on(database: str) -> Iterator[str]:
    if database == "sqlite":
        yield ""
        return
    with fresh_database() as server:
        yield server


def assert_whole(outcome: Outcome, strikes: int) -> None:
    assert len(outcome.cut_off) == strikes
    assert sum(outcome.cut_off) >= strikes, "the kills hit nothing, so they show nothing"
    assert outcome.verdict.unlike == []
    assert outcome.verdict.findings == []
    assert outcome.verdict.broken == []
    assert outcome.refused == []


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_kills_lose_nothing_and_do_nothing_twice(database: str) -> None:
    with on(database) as server:
        assert_whole(Storm(20, 3, seed=2, server=server).run(), 3)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_without_the_effects_ledger_kills_are_found_out(database: str) -> None:
    with on(database) as server:
        outcome = Storm(20, 2, seed=2, server=server, ledger_on=False).run()
    assert outcome.cut_off, "it was over before anything struck"
    assert outcome.verdict.duplicated > 0


def test_kills_of_the_command_up_in_the_business_of_returns() -> None:
    outcome = Storm(12, 2, seed=2, business=Returns(2)).run()
    assert_whole(outcome, 2)
    assert outcome.statuses == {"closed": 12}
