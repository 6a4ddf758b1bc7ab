"""Brings a ledger to this version. A ledger of a newer version is refused, never touched."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import InvalidInput, SetupError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0002"
EMPTY = "base"
"""Before the first version: no tables at all."""
_VERSIONS = [EMPTY, "0001", "0002"]


def current(path: Path) -> str | None:
    """The version of a ledger file, or None for a new one. Raises `SetupError`."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise SetupError(f"{path} can't be opened: {error}.", hint="Check the disk and the permissions.") from error
    except sqlite3.DatabaseError as error:
        raise SetupError(f"{path} is no database: {error}.", hint="Move it away, or choose another folder.") from error
    return str(row[0]) if row else None


def migrate(path: Path, to: str = "head") -> str:
    """Migrates a SQLite ledger up (or down to a named version). Returns the version it has afterwards."""
    now = current(path) or EMPTY
    if now not in _VERSIONS:
        raise SetupError(
            f"The data in {path.parent} is of version {now}, newer than this program ({HEAD}).",
            hint="Use the newer program, or choose another folder with COUNTERSIGN_DATA.",
        )
    target = HEAD if to == "head" else to
    if target not in _VERSIONS:
        raise InvalidInput(f"There is no version '{target[:20]}'.", hint=f"There are: {', '.join(_VERSIONS)}.")
    if now != target:
        from alembic import command  # heavy, and needed only when there is something to migrate

        with _config(path) as config:
            if _VERSIONS.index(target) > _VERSIONS.index(now):
                command.upgrade(config, target)
            else:
                command.downgrade(config, target)
    return target


@contextmanager
def _config(path: Path) -> Iterator[Config]:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{path}")
    yield config
