"""Versions of the ledger: up from nothing, down and up again; what is newer or no ledger is refused untouched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlmodel import SQLModel

import ledger.tables  # noqa: F401 - the tables that the code expects
from core.errors import InvalidInput, SetupError
from ledger.migrate import EMPTY, HEAD, current, migrate

Schema = dict[str, list[tuple[str, bool, bool]]]


def schema(path: Path) -> Schema:
    """Tables, and for each column its name, whether it may be null and whether it is in the primary key."""
    with closing(sqlite3.connect(path)) as db:
        names = [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'") if "sqlite_" not in n]
        return {
            name: sorted((col[1], not col[3], bool(col[5])) for col in db.execute(f'PRAGMA table_info("{name}")'))
            for name in names
            if name != "alembic_version"
        }


def triggers(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()[0])


def test_up_from_nothing_gives_the_tables_that_the_code_expects(fresh_ledger: Path) -> None:
    assert current(fresh_ledger) == HEAD
    expected: Schema = {
        table.name: sorted((col.name, bool(col.nullable), col.primary_key) for col in table.columns)
        for table in SQLModel.metadata.tables.values()
    }
    assert schema(fresh_ledger) == expected
    assert triggers(fresh_ledger) == 24


def test_down_and_up_again(ledger_file: Path) -> None:
    before = schema(ledger_file)
    assert migrate(ledger_file, EMPTY) == EMPTY
    assert schema(ledger_file) == {}
    assert triggers(ledger_file) == 0
    assert current(ledger_file) is None
    assert migrate(ledger_file) == HEAD
    assert schema(ledger_file) == before
    assert migrate(ledger_file) == HEAD  # and nothing is to be done


def test_a_newer_version_is_refused_and_not_touched(ledger_file: Path) -> None:
    with closing(sqlite3.connect(ledger_file)) as db:
        db.execute("UPDATE alembic_version SET version_num = '0999'")
        db.commit()
    before = ledger_file.read_bytes()
    with pytest.raises(SetupError, match=r"version 0999, newer than this program") as newer:
        migrate(ledger_file)
    assert "COUNTERSIGN_DATA" in newer.value.hint
    assert ledger_file.read_bytes() == before


def test_what_is_no_ledger_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"These are the accounts of the year 1911. " * 100)
    with pytest.raises(SetupError, match="no database"):
        migrate(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(SetupError, match="can't be opened"):
        migrate(path)


def test_an_unknown_version_is_told_with_those_that_there_are(ledger_file: Path) -> None:
    with pytest.raises(InvalidInput, match="no version '0042'") as unknown:
        migrate(ledger_file, "0042")
    assert HEAD in unknown.value.hint
