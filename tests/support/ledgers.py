"""A ledger in each kind of database, which several processes' worth of connections can open."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier
from typing import TypeVar

from sqlalchemy import inspect

from core.clock import FakeClock
from core.sealing import MasterRing, new_master_key
from ledger.database import Database, sqlite_database
from ledger.migrate import migrate, migrate_server
from ledger.server import driver_url, server_database
from tests.support.folders import quick_folder
from tests.support.servers import fresh_database

T = TypeVar("T")


@dataclass
class Store:
    """One ledger; each `open` is as another process sees it."""

    where: str
    clock: FakeClock = field(default_factory=FakeClock)
    masters: MasterRing = field(default_factory=lambda: MasterRing([new_master_key()], "this test"))
    _closing: ExitStack = field(default_factory=ExitStack)

    def open(self, *, connections: int = 4, patience_s: float = 10.0) -> Database:
        if self.where.startswith("postgresql"):
            server = server_database(
                self.where, self.clock, connections=connections, patience_s=patience_s, masters=self.masters
            )
            self._closing.callback(server.close)
            return server
        database = sqlite_database(Path(self.where), self.clock, patience_s=patience_s, masters=self.masters)
        self._closing.callback(database.close)
        return database

    def close(self) -> None:
        self._closing.close()


@contextmanager
def template(kind: str) -> Iterator[str]:
    """A migrated ledger, to be copied."""
    if kind == "sqlite":
        with quick_folder() as folder:
            migrate(folder / "ledger.db")
            yield str(folder / "ledger.db")
    else:
        with fresh_database() as url:
            migrate_server(driver_url(url))
            yield url


@contextmanager
def copied(kind: str, of: str) -> Iterator[Store]:
    with quick_folder() if kind == "sqlite" else fresh_database(of) as where:
        path = str(shutil.copy(of, Path(where) / "ledger.db")) if kind == "sqlite" else str(where)
        store = Store(path)
        try:
            yield store
        finally:
            store.close()


def at_once(store: Store, many: int, step: Callable[[Database, int], T]) -> list[T]:
    """As so many processes do it at the same moment, each over connections of its own."""
    databases = [store.open(connections=2) for _ in range(many)]
    ready = Barrier(many)

    def run(number: int) -> T:
        ready.wait()
        return step(databases[number], number)

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(run, range(many)))


def rows(database: Database) -> dict[str, int]:
    """How many each table has."""
    with database.engine.connect().execution_options(writes=False) as connection:
        names = [name for name in inspect(connection).get_table_names() if not name.startswith("alembic")]
        return {name: int(connection.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar_one()) for name in names}
