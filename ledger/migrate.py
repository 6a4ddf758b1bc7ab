"""Brings a ledger to this version. A ledger of a newer version is refused, never touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import InvalidInput, SetupError

if TYPE_CHECKING:
    from alembic.config import Config

EMPTY = "base"
"""Before the first version: no tables at all."""
_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSIONS = [EMPTY, *sorted(each.name[:4] for each in (_MIGRATIONS / "versions").glob("[0-9]*.py"))]
HEAD = _VERSIONS[-1]
_LOCK = 0x_C0DE_51_67
"""Of PostgreSQL's advisory locks, the one that whoever migrates holds."""


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
    where = f"The data in {path.parent}"
    hint = "Use the newer program, or choose another folder with COUNTERSIGN_DATA."
    return _move(f"sqlite:///{path}", current(path) or EMPTY, to, where, hint)


def migrate_server(url: str, to: str = "head") -> str:
    """The same for a ledger on PostgreSQL; `url` is like `postgresql+psycopg://user@host/database`.

    Of several processes that start at once one migrates, and the others wait. Raises `SetupError`.
    """
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.exc import OperationalError

    engine, name = create_engine(url), make_url(url).render_as_string()
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})  # until the connection ends
            connection.commit()
            now = MigrationContext.configure(connection).get_current_revision() or EMPTY
            connection.rollback()
            return _move(url, now, to, f"The data in {name}", "Use the newer program, or another database.")
    except OperationalError as error:
        raise SetupError(f"{name} can't be used: {error.orig}.", hint="Check the address and the server.") from error
    finally:
        engine.dispose()


def _move(url: str, now: str, to: str, where: str, hint: str) -> str:
    if now not in _VERSIONS:
        raise SetupError(f"{where} is of version {now}, newer than this program ({HEAD}).", hint=hint)
    target = HEAD if to == "head" else to
    if target not in _VERSIONS:
        raise InvalidInput(f"There is no version '{target[:20]}'.", hint=f"There are: {', '.join(_VERSIONS)}.")
    if now != target:
        from alembic import command  # heavy, and needed only when there is something to migrate

        config = _config(url)
        if _VERSIONS.index(target) > _VERSIONS.index(now):
            command.upgrade(config, target)
        else:
            command.downgrade(config, target)
    return target


def _config(url: str) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config
