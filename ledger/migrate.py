"""Brings a ledger to this version. A ledger of a newer version is refused, never touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import Conflict, InvalidInput, SetupError

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


def migrate(path: Path, to: str = "head", *, lose: bool = False) -> str:
    """Migrates a SQLite ledger up (or down to a named version), as a whole. Returns the version it has afterwards.

    Of several processes one does, and the others wait. Raises `SetupError`, and `Conflict` where records would be
    lost on the way down, unless `lose`.
    """
    where = f"The data in {path.parent}"
    hint = "Use the newer program, or choose another folder with COUNTERSIGN_DATA."
    return _move(f"sqlite:///{path}", current(path) or EMPTY, to, where, hint, lose)


def migrate_server(url: str, to: str = "head", *, lose: bool = False, only_new: bool = False) -> str:
    """The same for a ledger on PostgreSQL; `url` is like `postgresql+psycopg://user@host/database`.

    With `only_new` tables are made where there are none, and a ledger of another version is refused.
    """
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.exc import OperationalError, ProgrammingError

    engine, name = create_engine(url), make_url(url).render_as_string()
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})  # until the connection ends
            connection.commit()
            now = MigrationContext.configure(connection).get_current_revision() or EMPTY
            connection.rollback()
            if only_new and now in _VERSIONS and now not in (EMPTY, HEAD):
                raise SetupError(
                    f"The data in {name} is of version {now}, and this program's is {HEAD}.",
                    hint="Bring it up to date, when no older process is at work on it: countersign migrate.",
                )
            return _move(url, now, to, f"The data in {name}", "Use the newer program, or another database.", lose)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", "") != "42501":
            raise
        raise SetupError(
            f"{name} is not of this program's version ({HEAD}), or not made for this login: {error.orig}.",
            hint="Its owner runs 'countersign roles', which brings it up to date too.",
        ) from error
    except OperationalError as error:
        raise SetupError(f"{name} can't be used: {error.orig}.", hint="Check the address and the server.") from error
    finally:
        engine.dispose()


def _move(url: str, now: str, to: str, where: str, hint: str, lose: bool) -> str:
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
            if not lose and (lost := _lost(config, url, now, target)):
                raise Conflict(
                    f"{where} has what version {target} can't hold: {', '.join(lost)}.",
                    hint=f"Make a copy first; then it is given up with: countersign migrate --to {target} --yes",
                    present=now,
                )
            command.downgrade(config, target)
    return target


def _lost(config: Config, url: str, now: str, target: str) -> list[str]:
    """What would be lost, counted by the statements that each version names as `LOSES`."""
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine, text

    versions = ScriptDirectory.from_config(config)
    passed = _VERSIONS[_VERSIONS.index(target) + 1 : _VERSIONS.index(now) + 1]
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            found = {
                what: int(connection.execute(text(f"SELECT count(*) FROM {which}")).scalar_one())
                for version in reversed(passed)
                for what, which in getattr(versions.get_revision(version).module, "LOSES", {}).items()
            }
    finally:
        engine.dispose()
    return [f"{count:,} {what}" for what, count in found.items() if count]


def _config(url: str) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config
