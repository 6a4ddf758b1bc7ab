"""Where everything is kept: files in the data folder of one process, or a PostgreSQL server that many share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core import attachments
from core.clock import Clock
from core.errors import SetupError
from core.settings import Settings
from graphs.checkpoints import InlineSqliteSaver
from graphs.checkpoints_kept import Kept
from ledger.database import Database, Ledger, sqlite_database
from ledger.folder import lock_folder
from ledger.keys import masters_in_use
from ledger.migrate import migrate, migrate_server
from ledger.sealing_in_place import has_cases, seal_all
from ledger.trouble import explained

if TYPE_CHECKING:
    from graphs.checkpoints_server import PooledPostgresSaver
    from ledger.news import NewsLine

log = logging.getLogger("countersign.serving")

LEDGER, CHECKPOINTS, QUEUE = "ledger.db", "checkpoints.db", "queue.db"


@dataclass(frozen=True)
class Storage:
    """The ledger, what graphs remember, and where the queue is."""

    database: Database
    saver: InlineSqliteSaver | PooledPostgresSaver
    queue: str
    """Address of the queue's tables."""
    shared: bool
    """Other processes may be at work here too."""
    news: NewsLine | None = None
    """To them."""


@contextmanager
def open_storage(
    settings: Settings, clock: Clock | None = None, *, remembers: bool = True, migrates: bool = True
) -> Iterator[Storage]:
    """Opens, or makes, what the settings name; a data folder is held for this process alone. Raises `SetupError`.

    With `migrates` off, a server's ledger of another version is refused: processes of that version may be at work.
    With `remembers` off, what graphs remember on a server is left alone: an executor has no graph, and no right to it.
    """
    shared = bool(settings.database.url.get_secret_value())
    with (
        _on_server(settings, clock, remembers, migrates) if shared else _in_folder(settings, clock) as it,
        attachments.sealed(settings.data / "attachments", it.database.keys),
    ):
        yield it


@contextmanager
def _in_folder(settings: Settings, clock: Clock | None) -> Iterator[Storage]:
    with lock_folder(settings.data):
        migrate(settings.data / LEDGER)
        database = sqlite_database(settings.data / LEDGER, clock, patience_s=settings.database.patience_s)
        try:
            _unlock(database, settings)
        except BaseException:  # whatever it is, the file is not left open
            database.close()
            raise
        saver = InlineSqliteSaver.at(settings.data / CHECKPOINTS)
        saver.serde = Kept(database.keys)
        saver.explained = explained
        try:
            yield Storage(database, saver, f"sqlite:///{settings.data.resolve() / QUEUE}", shared=False)
        finally:
            database.close()
            saver.close()


@contextmanager
def _on_server(settings: Settings, clock: Clock | None, remembers: bool, migrates: bool) -> Iterator[Storage]:
    try:
        from graphs.checkpoints_server import PooledPostgresSaver
        from ledger.news import NewsLine
        from ledger.server import driver_url, server_database
    except ImportError as missing:
        raise SetupError(
            f"PostgreSQL needs the package {missing.name}.", hint="pip install 'countersign-desk[postgres]'."
        ) from missing

    url = settings.database.url.get_secret_value()
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"The data folder {settings.data} can't be written: {error.strerror}.",
            hint="Choose another with COUNTERSIGN_DATA: attachments and local tokens are kept there.",
        ) from error
    migrate_server(driver_url(url), only_new=not migrates)
    parts = settings.database
    database = server_database(url, clock, connections=parts.connections, patience_s=parts.patience_s)
    try:
        _unlock(database, settings)
        saver = PooledPostgresSaver(database.lend)
        saver.serde = Kept(database.keys)
        if remembers:
            saver.setup_once()
        yield Storage(database, saver, driver_url(url), shared=True, news=NewsLine(database))
    finally:
        database.close()


def bury_the_dead(ledger: Ledger, worker: str) -> None:
    """The folder is locked by this process: whoever held a lease in it before is gone, and need not be waited for."""
    for run in ledger.effects.orphaned(worker):
        run.lease_until = ledger.now
        ledger.session.add(run)


def _unlock(database: Database, settings: Settings) -> None:
    """Raises `KeyMissing` where something in it could not be read."""
    needed = masters_in_use(database.engine)
    if (masters := settings.keys.opening(settings.data, needed)) is not None:
        database.use(masters, settings.keys.cache_s, lambda: settings.keys.masters(settings.data))
        assert database.keys is not None
        database.keys.ready()
        if not needed and not database.apart and has_cases(database):  # its first keys; nobody else has the folder
            many = seal_all(database, lambda table, so_far: log.info("sealing: %d rows, last of %s", so_far, table))
            log.warning("%d rows that lay in the clear are sealed", many)
