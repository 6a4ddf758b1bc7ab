"""Records in a file: rows that are only added, times as text, tokens as digests, a folder for one process."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy.exc import StatementError
from sqlmodel import select

from core.clock import FakeClock
from core.errors import SetupError, Unauthenticated
from ledger.database import Database, Ledger
from ledger.folder import lock_folder
from ledger.tables import SYSTEM, TimerRow
from tests.support.records import everything


@pytest.mark.parametrize("table", ["audit", "decision", "vote", "action"])
def test_nothing_is_changed_where_rows_are_only_added(database: Database, ledger_file: Path, table: str) -> None:
    database.transact("default", everything)
    before = {name: content(ledger_file, name) for name in (table,)}
    with closing(sqlite3.connect(ledger_file)) as db:
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        for column in columns:
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(f"UPDATE {table} SET {column} = {column}")
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(f"DELETE FROM {table}")
        changed = ", ".join(f"{name} || 'x'" if name in ("body", "args", "choice") else name for name in columns)
        replace = f"INSERT OR REPLACE INTO {table} SELECT {changed} FROM {table}"
        if table == "action":
            db.execute(replace)  # the same action again is no mistake, and no change
        else:
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(replace)
        db.commit()
    assert {name: content(ledger_file, name) for name in (table,)} == before


def content(path: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.execute(f"SELECT * FROM {table}"))


def test_times_keep_their_moment_and_sort_as_text(database: Database, ledger_file: Path) -> None:
    east, moment = timezone(timedelta(hours=9)), datetime(2026, 11, 2, 9, 0, 0, 6, tzinfo=UTC)

    def set_timers(ledger: Ledger) -> None:
        for late in (0, 59, 3600):
            due = (moment + timedelta(seconds=late)).astimezone(east if late else UTC)
            ledger.timers.set(case_id="c", purpose=str(late), due_at=due)

    database.transact("default", set_timers)
    found = database.transact("default", lambda ledger: ledger.session.exec(select(TimerRow)).all())
    assert sorted((row.due_at, row.purpose) for row in found)[0] == (moment, "0")
    with closing(sqlite3.connect(ledger_file)) as db:
        texts = [text for (text,) in db.execute("SELECT due_at FROM timer ORDER BY due_at")]
    assert texts == [
        "2026-11-02T09:00:00.000006+00:00",
        "2026-11-02T09:00:59.000006+00:00",
        "2026-11-02T10:00:00.000006+00:00",
    ]
    with pytest.raises(StatementError, match="without its offset"):
        database.transact(
            "default", lambda ledger: ledger.timers.set(case_id="c", purpose="x", due_at=datetime(2026, 1, 1)) and None
        )


def test_tokens(database: Database, clock: FakeClock, ledger_file: Path) -> None:
    def give(ledger: Ledger, lifetime: timedelta | None) -> str:
        ledger.people.add("default", "ann", frozenset({"clerk"}))
        return ledger.people.new_token("default", "ann", lifetime)

    def who(token: str) -> str:
        return database.transact(SYSTEM, lambda ledger: ledger.people.who(token).id)

    short = database.transact(SYSTEM, lambda ledger: give(ledger, timedelta(hours=1)))
    long = database.transact(SYSTEM, lambda ledger: give(ledger, None))
    assert short.encode() not in ledger_file.read_bytes()
    assert (who(short), who(long)) == ("ann", "ann")
    clock.advance(timedelta(hours=1))
    with pytest.raises(Unauthenticated, match="expired"):
        who(short)
    assert database.transact(SYSTEM, lambda ledger: ledger.people.revoke("ann")) == 2
    with pytest.raises(Unauthenticated, match="revoked"):
        who(long)
    with pytest.raises(Unauthenticated, match="not known"):
        who("cs_guessed")


def test_a_folder_belongs_to_one_process(tmp_path: Path) -> None:
    held = lock_folder(tmp_path / "data")
    with pytest.raises(SetupError, match="in use by process"):
        lock_folder(tmp_path / "data")
    held.close()
    lock_folder(tmp_path / "data").close()


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="can't be written") as no:
        lock_folder(tmp_path / "file" / "data")
    assert "COUNTERSIGN_DATA" in no.value.hint
