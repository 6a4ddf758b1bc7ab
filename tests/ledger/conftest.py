"""A ledger of its own for each test: a copy of one that was migrated once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.clock import FakeClock
from ledger.database import Database, sqlite_database
from ledger.migrate import migrate
from tests.support.folders import quick_folder


@pytest.fixture(scope="session")
def fresh_ledger() -> Iterator[Path]:
    with quick_folder() as folder:
        migrate(folder / "ledger.db")
        yield folder / "ledger.db"


@pytest.fixture
def ledger_file(fresh_ledger: Path) -> Iterator[Path]:
    with quick_folder() as folder:
        yield Path(shutil.copy(fresh_ledger, folder / "ledger.db"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(ledger_file: Path, clock: FakeClock) -> Iterator[Database]:
    opened = sqlite_database(ledger_file, clock)
    yield opened
    opened.close()
