"""Master keys change under several processes over one PostgreSQL: no data key is left under one that goes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from core.people import HOME
from core.sealing import MasterRing, new_master_key
from ledger.database import Database, Ledger
from ledger.key_rotation import in_use, rewrap, wraps
from ledger.migrate import migrate_server
from ledger.server import driver_url, server_database
from tests.support.servers import fresh_database, needs_postgres

pytestmark = needs_postgres
OLD, NEW = new_master_key(), new_master_key()
BEFORE, AFTER = MasterRing([NEW, OLD], "a process that was not told"), MasterRing([OLD, NEW], "the command")


@pytest.fixture
def server() -> Iterator[str]:
    with fresh_database() as url:
        migrate_server(driver_url(url))
        yield url


def house(server: str, ring: MasterRing) -> Database:
    database = server_database(server, masters=ring)
    assert database.keys is not None
    database.keys.ready()
    return database


def opened(ledger: Ledger) -> str:
    case, _ = ledger.cases.open(
        kind="k", payload={"letter": "I am Rosa"}, subject="cus_1", opened_by="ann", request_key=None
    )
    return case.id


def test_the_database_says_which_key_is_in_force(server: str) -> None:
    with closing(house(server, BEFORE)) as at_work, closing(house(server, AFTER)) as command:
        at_work.transact(HOME, opened)
        assert [each.master for each in in_use(command)] == [OLD.id]
        rewrap(command, AFTER, lambda _: None)
        at_work.transact(HOME, opened)
        assert [(each.master, each.data_keys) for each in in_use(command)] == [(NEW.id, 3)]
        assert wraps(command, OLD.id) == 0


def test_whoever_takes_a_key_away_waits_for_who_wraps_with_it(server: str) -> None:
    made, go_on = threading.Event(), threading.Event()

    def slowly(ledger: Ledger) -> None:
        opened(ledger)
        made.set()
        go_on.wait(20)

    with (
        closing(house(server, BEFORE)) as at_work,
        closing(house(server, AFTER)) as command,
        ThreadPoolExecutor(2) as threads,
        psycopg.connect(server, autocommit=True) as look,
    ):
        writing = threads.submit(at_work.transact, HOME, slowly)
        assert made.wait(20)
        counting = threads.submit(wraps, command, OLD.id)
        while not look.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() and not counting.done():
            pass
        go_on.set()
        writing.result()
        assert counting.result() == 2


def test_what_is_written_after_an_erasure_elsewhere_is_not_lost(server: str) -> None:
    with closing(house(server, BEFORE)) as here, closing(house(server, BEFORE)) as there:
        case = here.transact(HOME, opened)

        def erase(ledger: Ledger) -> None:
            assert there.keys is not None
            there.keys.destroy(ledger.session, case)

        there.transact(HOME, erase)
        here.transact(HOME, lambda ledger: ledger.trace.add(case, "letter.came", {"text": "a late letter"}))
    with closing(house(server, BEFORE)) as later:
        (row,) = later.transact(HOME, lambda ledger: ledger.trace.of_case(case), writes=False)
    assert row.body == {"text": "a late letter"}
