"""A file that can't grow, can't be written or is held: told as such, nothing half done, and it goes on afterwards."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from core.clock import FakeClock
from core.console import countersign
from core.errors import DatabaseUnavailable, SetupError
from core.settings import DatabaseSettings, Settings
from core.states import CaseStatus
from ledger.database import Database, Ledger, sqlite_database
from ledger.server import server_database
from ledger.tables import SYSTEM
from ledger.trouble import Trouble, trouble
from serving.storage import open_storage
from tests.support.till import Till, open_till, pay, write

SMALL = "x" * 20_000


def entries(database: Database) -> tuple[int, object]:
    return database.transact("default", lambda ledger: ledger.audit.verify("default"), writes=False)


def append(ledger: Ledger) -> None:
    ledger.audit.append("x", {"much": SMALL})
    ledger.trace.add("case", "x", {"much": SMALL})


@pytest.fixture
def full(ledger_file: Path) -> Iterator[Database]:
    """A file that may not grow by more than a little."""
    database = sqlite_database(ledger_file, FakeClock(), patience_s=0.2)
    most(database, 0)
    yield database
    database.close()


def most(database: Database, pages: int) -> None:
    """So many pages more than there are, for whichever connection of the pool; the last word counts."""
    with database.engine.connect().execution_options(writes=False) as connection:
        now = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())

    @event.listens_for(database.engine, "checkout")
    def _limited(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {now + pages}")


def test_a_full_disk_is_told_and_nothing_is_half_done(full: Database) -> None:
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable, match="full") as no:
            full.transact("default", append)
        assert (no.value.committed, no.value.status) == ("no", 503)
        assert "disk" in no.value.hint
    assert entries(full) == (0, None)
    most(full, 1000)
    full.transact("default", append)
    assert entries(full) == (1, None)


async def test_a_case_that_met_a_full_disk_goes_on_when_there_is_room(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        await told(till, await till.submit([write()], [pay("100.00")]))
        case = await till.submit([write()], [pay("100.00")], customer="cus_2")
        most(till.house.database, 0)
        await asyncio.sleep(0.2)
        await filled(till)
        most(till.house.database, 10_000)
        await told(till, case)
        assert (await till.check()).findings == []


async def filled(till: Till) -> None:
    """Until there is no room for anything more."""
    while True:
        try:
            await till.house.database.write("default", append)
        except DatabaseUnavailable:
            return


async def told(till: Till, case: str) -> None:
    await till.steady(case)
    await till.approve("ann", case)
    await till.steady(case)
    assert await till.status(case) == CaseStatus.CLOSED


async def test_another_process_holds_the_file(ledger_file: Path) -> None:
    """The loop goes on while it waits, and it is done as soon as the other lets go."""
    database = sqlite_database(ledger_file, FakeClock(), patience_s=30)
    beats = 0
    with closing(sqlite3.connect(ledger_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(database.write("default", append))
        while beats < 5:
            await asyncio.sleep(0.01)
            beats += 1
        assert not waiting.done()
        other.execute("COMMIT")
        await waiting
    assert entries(database) == (1, None)
    database.close()


def test_a_file_that_may_only_be_read(ledger_file: Path) -> None:
    database = sqlite_database(ledger_file, FakeClock(), patience_s=0.2)
    with database.engine.connect().execution_options(writes=False) as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(DatabaseUnavailable, match="readonly") as no:
        database.transact("default", append)
    assert "permissions" in no.value.hint
    assert entries(database) == (0, None)
    database.close()


@pytest.mark.skipif(os.geteuid() == 0 and not os.access("/proc/sys", os.R_OK), reason="root may write everywhere")
def test_a_folder_that_may_only_be_read_is_told(tmp_path: Path) -> None:
    folder = Path("/proc/self/countersign") if os.geteuid() == 0 else tmp_path / "closed"
    if os.geteuid() != 0:
        folder.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(SetupError, match="can't be written"), open_storage(Settings(data=folder)):
        pass
    told = CliRunner().invoke(countersign, ["people", "add", "anna", "--role", "operator", "--data", str(folder)])
    assert isinstance(told.exception, SetupError)


def test_a_defect_of_ours_is_not_taken_for_the_disk(ledger_file: Path) -> None:
    database = sqlite_database(ledger_file, FakeClock())
    with pytest.raises(OperationalError, match="no such column"):
        database.transact(SYSTEM, lambda ledger: ledger.session.connection().execute(text("SELECT no_such FROM run")))
    database.close()


def test_what_the_server_says_is_understood() -> None:
    """By its codes: they can't all be brought about here."""
    meant = {
        psycopg.errors.DiskFull: Trouble.STUCK,
        psycopg.errors.AdminShutdown: Trouble.AWAY,
        psycopg.errors.CannotConnectNow: Trouble.AWAY,
        psycopg.errors.TooManyConnections: Trouble.AWAY,
        psycopg.errors.ConnectionFailure: Trouble.AWAY,
        psycopg.errors.ReadOnlySqlTransaction: Trouble.AWAY,
        psycopg.errors.IdleInTransactionSessionTimeout: Trouble.AWAY,
        psycopg.errors.SerializationFailure: Trouble.CROSSED,
        psycopg.errors.DeadlockDetected: Trouble.CROSSED,
        psycopg.errors.LockNotAvailable: Trouble.CROSSED,
        psycopg.errors.DataCorrupted: Trouble.NO_DATABASE,
        psycopg.OperationalError: Trouble.AWAY,
        psycopg.errors.UndefinedColumn: None,
        psycopg.errors.NotNullViolation: None,
    }
    assert {kind: trouble(kind("x")) for kind in meant} == meant


def test_a_server_that_is_not_there_is_told() -> None:
    database = server_database("postgresql://nobody@127.0.0.1:1/none", FakeClock(), patience_s=0.1)
    with pytest.raises(DatabaseUnavailable, match="can't be used") as away:
        database.transact("default", append)
    assert away.value.committed == "no"
    database.close()
    settings = Settings(database=DatabaseSettings.model_validate({"url": "postgresql://nobody@127.0.0.1:1/none"}))
    with pytest.raises(SetupError, match="can't be used"), open_storage(settings):
        pass
