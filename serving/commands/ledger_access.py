"""The ledger for commands, opened beside whatever runs on it: of the folder they name, or what the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import SetupError
from core.settings import Settings, load_settings
from ledger.database import Database, sqlite_database
from ledger.migrate import current, migrate, migrate_server
from serving.local import database_of

LEDGER = "ledger.db"


def place(data: Path | None) -> str:
    """Names the records for people, without a password."""
    settings = load_settings()
    if url := database_of(data, settings):
        from ledger.server import shown

        return shown(url)
    return str(data or settings.data)


def has_ledger(data: Path | None) -> bool:
    """A server has one, or gets it."""
    settings = load_settings()
    return bool(database_of(data, settings)) or current((data or settings.data) / LEDGER) is not None


@contextmanager
def opened(data: Path | None, *, create: bool = False) -> Iterator[Database]:
    """`data` is a folder, which may name a server (`serving/local.py`); without one the settings say where.

    A folder's ledger is brought to this version, a server's is not: other processes are at work there. Raises
    `SetupError` where there is no ledger, or one of another version.
    """
    settings = load_settings()
    url = database_of(data, settings)
    database = _on_server(url, settings) if url else _in_folder(data or settings.data, create, settings)
    try:
        yield database
    finally:
        database.close()


def _on_server(url: str, settings: Settings) -> Database:
    from ledger.server import driver_url, server_database

    migrate_server(driver_url(url), only_new=True)
    masters = settings.keys.masters(settings.data)
    return server_database(url, connections=2, patience_s=settings.database.patience_s, masters=masters)


def _in_folder(folder: Path, create: bool, settings: Settings) -> Database:
    path = folder / LEDGER
    if create:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"The data folder {folder} can't be written: {error.strerror}.",
                hint="Choose another with --data or COUNTERSIGN_DATA.",
            ) from error
    elif not has_ledger(folder):
        raise SetupError(f"There is no data in {folder}.", hint="Choose the folder with --data or COUNTERSIGN_DATA.")
    migrate(path)
    return sqlite_database(path, patience_s=settings.database.patience_s, masters=settings.keys.masters(folder))
