"""A data folder's ledger, opened beside whatever server runs on it: SQLite lets both work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import SetupError
from ledger.database import Database, sqlite_database
from ledger.migrate import current, migrate

LEDGER = "ledger.db"


def has_ledger(folder: Path) -> bool:
    return current(folder / LEDGER) is not None


@contextmanager
def opened(folder: Path, *, create: bool = False) -> Iterator[Database]:
    """Raises `SetupError` where there is no ledger, or one of a newer version."""
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
    database = sqlite_database(path)
    try:
        yield database
    finally:
        database.close()
