"""The audit chain against somebody who has the file: whatever is changed, verify names the first bad entry."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from core.clock import FakeClock
from ledger.audit import BrokenLink
from ledger.database import Database, Ledger, sqlite_database
from ledger.tables import SYSTEM
from tests.support.folders import quick_folder

ENTRIES, BAD = 7, 4
COLUMNS = ("workspace", "seq", "at", "type", "case_id", "body", "prev", "hash")


def write(database: Database, workspace: str, number: int) -> None:
    body = {"step": number, "note": "Größe ✓"}
    database.transact(workspace, lambda ledger: ledger.audit.append(f"e{number}", body, case_id=f"case_{number}"))


@pytest.fixture(scope="module")
def written(fresh_ledger: Path) -> Iterator[Path]:
    """A file with a chain of seven entries, beside the chain of another workspace."""
    with quick_folder() as folder:
        path = Path(shutil.copy(fresh_ledger, folder / "ledger.db"))
        database = sqlite_database(path, FakeClock())
        for number in range(1, ENTRIES + 1):
            write(database, "default", number)
            write(database, "other", number)
        database.close()
        yield path


@pytest.fixture
def stolen(written: Path, tmp_path: Path) -> Path:
    """A copy in the hands of somebody who knows how to drop a trigger."""
    path = Path(shutil.copy(written, tmp_path / "ledger.db"))
    with closing(sqlite3.connect(path)) as db:
        triggers = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in triggers:
            db.execute(f"DROP TRIGGER {name}")
        db.commit()
    assert triggers
    return path


def verify(path: Path, workspace: str = "default") -> tuple[int, BrokenLink | None]:
    database = sqlite_database(path, FakeClock())
    try:
        return database.transact(SYSTEM, lambda ledger: ledger.audit.verify(workspace), writes=False)
    finally:
        database.close()


def first_bad(path: Path) -> int | None:
    held, broken = verify(path)
    assert broken is None or held == broken.seq - 1
    assert broken is None or broken.why
    return broken.seq if broken else None


def change(path: Path, *statements: str) -> int | None:
    """Runs the statements on the stolen file; returns the first bad entry of its chain."""
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            assert db.execute(statement).rowcount != 0
        db.commit()
    return first_bad(path)


def test_an_untouched_chain_holds(written: Path) -> None:
    assert verify(written) == (ENTRIES, None)
    assert verify(written, "other") == (ENTRIES, None)
    assert verify(written, "nobody") == (0, None)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", ["x", "''", "NULL-ish", "seq + 100", "longer"])
def test_a_changed_column_is_found(stolen: Path, column: str, value: str) -> None:
    new = {"x": "'x'", "NULL-ish": "x'00'", "longer": f"{column} || ' '"}.get(value, value)
    if column == "seq":
        new = {"'x'": "-1", "''": "0"}.get(new, new if "100" in new else "seq + 50")
    assert change(stolen, f"UPDATE audit SET {column} = {new} WHERE workspace = 'default' AND seq = {BAD}") == BAD


def test_a_word_changed_in_the_middle_is_found(stolen: Path) -> None:
    assert change(stolen, f"UPDATE audit SET body = replace(body, 'note', 'Note') WHERE seq = {BAD}") == BAD


@pytest.mark.parametrize("entry", [1, BAD, ENTRIES])
def test_a_deleted_row_is_named(stolen: Path, entry: int) -> None:
    assert change(stolen, f"DELETE FROM audit WHERE workspace = 'default' AND seq = {entry}") == entry


def test_a_deleted_row_is_named_even_if_the_others_move_up(stolen: Path) -> None:
    moved = (f"UPDATE audit SET seq = seq - 1 WHERE workspace = 'default' AND seq = {n}" for n in (5, 6, 7))
    assert change(stolen, f"DELETE FROM audit WHERE workspace = 'default' AND seq = {BAD}", *moved) == BAD


def test_a_swapped_pair_is_named(stolen: Path) -> None:
    swap = (
        f"UPDATE audit SET seq = {to} WHERE workspace = 'default' AND seq = {now}"
        for now, to in ((4, 99), (5, 4), (99, 5))
    )
    assert change(stolen, *swap) == BAD


@pytest.mark.parametrize("left", [0, 1, 5])
def test_a_cut_off_tail_is_named(stolen: Path, left: int) -> None:
    assert change(stolen, f"DELETE FROM audit WHERE workspace = 'default' AND seq > {left}") == left + 1


def test_a_head_that_was_changed_or_taken_is_noticed(stolen: Path) -> None:
    assert change(stolen, "UPDATE audit_head SET seq = 5 WHERE workspace = 'default'") == 6
    assert change(stolen, "UPDATE audit_head SET seq = 9 WHERE workspace = 'default'") == ENTRIES + 1
    assert change(stolen, "DELETE FROM audit_head WHERE workspace = 'default'") == 1


def test_an_entry_put_in_at_the_end_is_named(stolen: Path) -> None:
    """Even one that carries the right hashes: the head does not know it."""
    database = sqlite_database(stolen, FakeClock())
    database.transact("default", lambda ledger: ledger.audit.append("forged", {}))
    database.close()
    assert first_bad(stolen) is None
    assert change(stolen, "UPDATE audit_head SET seq = 7 WHERE workspace = 'default'") == ENTRIES + 1


def test_an_entry_beside_the_chain_is_noticed(stolen: Path) -> None:
    copied = "SELECT workspace, -1, at, type, case_id, body, prev, hash FROM audit WHERE seq = 2"
    assert change(stolen, f"INSERT INTO audit {copied} AND workspace = 'default'") == ENTRIES + 1


def test_an_entry_moved_to_another_workspace_breaks_both(stolen: Path) -> None:
    change(stolen, f"UPDATE audit SET workspace = 'elsewhere' WHERE workspace = 'default' AND seq = {BAD}")
    database = sqlite_database(stolen, FakeClock())

    def all_of_them(ledger: Ledger) -> dict[str, int | None]:
        found = {name: ledger.audit.verify(name)[1] for name in ledger.audit.workspaces()}
        return {name: broken.seq if broken else None for name, broken in found.items()}

    assert database.transact(SYSTEM, all_of_them) == {"default": BAD, "elsewhere": 1, "other": None}
    database.close()


def test_a_changed_byte_anywhere_in_the_row_is_found(written: Path, tmp_path: Path) -> None:
    """On the disk itself, past SQL: every byte of the fourth entry's record, with the lowest and the highest bit."""
    content = written.read_bytes()
    with closing(sqlite3.connect(written)) as db:
        (last,) = db.execute(f"SELECT hash FROM audit WHERE workspace = 'default' AND seq = {BAD}").fetchone()
    start = content.index(b"default" + bytes([BAD]) + b"2026-")
    end = content.index(last.encode(), start) + len(last)
    assert 200 < end - start < 500
    path = tmp_path / "ledger.db"

    def flip(place: int, bits: int) -> int | None:
        flipped = bytearray(content)
        flipped[place] ^= bits
        path.write_bytes(flipped)
        return first_bad(path)

    lengths = bytes([13 + 2 * len("default"), 1, 13 + 2 * 32])  # of its first columns, as SQLite writes them
    header = content.rindex(lengths, 0, start) - 1
    named = {(place - start, 0): flip(place, 1 if place % 2 else 0x80) for place in range(start, end)}
    named |= {(place - start, bits): flip(place, bits) for place in range(header, start) for bits in (1, 4, 0x80)}
    assert {place: entry for place, entry in named.items() if entry != BAD} == {}


def test_a_rolled_back_entry_leaves_no_trace_and_no_gap(database: Database) -> None:
    def fail(ledger: Ledger) -> None:
        ledger.audit.append("lost", {})
        raise ValueError

    database.transact("default", lambda ledger: ledger.audit.append("kept", {"n": 1}))
    with pytest.raises(ValueError):  # noqa: PT011 - the test's own
        database.transact("default", fail)
    for number in (2, 3):
        write(database, "default", number)
    entries = database.transact("default", lambda ledger: ledger.audit.entries())
    assert [(row.seq, row.type) for row in entries] == [(1, "kept"), (2, "e2"), (3, "e3")]
    assert database.transact("default", lambda ledger: ledger.audit.verify("default")) == (3, None)


def test_chains_of_workspaces_do_not_touch(database: Database) -> None:
    def both(ledger: Ledger) -> None:
        for name in ("a", "b", "a"):
            ledger.audit.append("x", {}, workspace=name)

    database.transact(SYSTEM, both)
    look: Callable[[Ledger], tuple[int, int]] = lambda ledger: (  # noqa: E731
        len(ledger.audit.entries()),
        ledger.audit.verify(ledger.workspace)[0],
    )
    assert database.transact("a", look) == (2, 2)
    assert database.transact("b", look) == (1, 1)
