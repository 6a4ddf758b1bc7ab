"""Other things that befall processes: they are frozen and wake up late, go for good, or lose their database.

Each is shown to bite: with the effects ledger off the same storm leaves duplicates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

import psycopg
import pytest

from tests.support.servers import fresh_database
from tests.support.storm import Outcome, Storm
from tests.support.storm_server import private_server
from tests.support.storm_strikes import Strike, freeze, kill_for_good, restart

CASES, STRIKES = 16, 1
IMPATIENT = {"COUNTERSIGN_DATABASE__PATIENCE_S": "0"}
"""Or a house would sit out a database that is away for a second, and nothing would be cut off."""
Setting = Callable[[], AbstractContextManager[tuple[str, Strike]]]


@contextmanager
def frozen() -> Iterator[tuple[str, Strike]]:
    with fresh_database() as server:
        yield server, freeze


@contextmanager
def without_a_database() -> Iterator[tuple[str, Strike]]:
    with private_server() as server:
        yield server.url, restart(server)


@pytest.mark.parametrize("storm", [frozen, without_a_database])
def test_it_ends_as_if_nothing_had_been(storm: Setting) -> None:
    with storm() as (server, strike):
        outcome = Storm(CASES, STRIKES, seed=3, server=server, strike=strike, env=IMPATIENT).run()
    assert_whole(outcome, STRIKES)


@pytest.mark.parametrize("storm", [frozen, without_a_database])
def test_without_the_effects_ledger_it_is_found_out(storm: Setting) -> None:
    """Not every strike cuts off a call that is then made again: of a few storms one has to."""
    for seed in range(3, 7):
        with storm() as (server, strike):
            off = Storm(2 * CASES, 3, seed=seed, server=server, strike=strike, env=IMPATIENT, ledger_on=False).run()
        if off.cut_off and off.verdict.duplicated > 0:
            return
    pytest.fail("without the effects ledger nothing happened twice")


def test_a_worker_that_is_gone_for_good_leaves_nothing_behind() -> None:
    """The other one takes its cases back within two leases of the last that was heard of it."""
    lease_s = 3.0
    with fresh_database() as server:
        outcome = Storm(CASES, 1, seed=4, server=server, strike=kill_for_good, lease_s=lease_s).run()
        with psycopg.connect(server) as db:
            taken = db.execute(
                "SELECT audit.at, worker.beat_at FROM audit JOIN worker ON worker.id = audit.body::json ->> 'worker' "
                "WHERE audit.type = 'case.reclaimed'"
            ).fetchall()
    assert_whole(outcome, 1)
    assert len(outcome.by_worker) == 2, "one worker had all the work"
    silent = [datetime.fromisoformat(at) - datetime.fromisoformat(beat) for at, beat in taken]
    assert silent, "it had nothing in hand, so it shows nothing"
    assert max(silent).total_seconds() < 2 * lease_s


def assert_whole(outcome: Outcome, strikes: int) -> None:
    assert len(outcome.cut_off) == strikes
    assert sum(outcome.cut_off) > 0, "it hit nothing, so it shows nothing"
    assert outcome.verdict.unlike == []
    assert outcome.verdict.findings == []
    assert outcome.verdict.broken == []
    assert outcome.refused == []
