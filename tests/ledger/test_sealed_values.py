"""A sealed value opens where it was sealed and nowhere else, and says whose key it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from core.clock import FakeClock
from core.errors import KeyMissing, Tampered
from core.people import HOME
from core.personal import is_clear
from core.sealing import DataKey, MasterRing, new_master_key, owner_of
from ledger.database import Database, Ledger, sqlite_database
from ledger.migrate import migrate

LETTER = "Dear shop, I am Rosa Lindqvist: it hurts"
RING = MasterRing([new_master_key()], "this test")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    migrate(tmp_path / "ledger.db")
    return sqlite_database(tmp_path / "ledger.db", FakeClock(), masters=RING)


def opened(ledger: Ledger) -> str:
    case, _ = ledger.cases.open(
        kind="k", payload={"letter": LETTER}, subject="cus_1", opened_by="ann", request_key=None
    )
    case.summary = LETTER
    ledger.trace.add(case.id, "told", {"said": LETTER})
    return case.id


def stored(database: Database, what: str, of: str) -> str:
    with database.engine.connect() as connection:
        return str(connection.execute(text(f"SELECT {what} FROM {of}")).scalar_one())


def change(database: Database, statement: str, **values: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(statement), values)


def test_a_value_opens_under_its_key_at_its_place() -> None:
    key, other = DataKey.new("case_1"), DataKey.new("case_1")
    sealed = key.seal(LETTER.encode(), "case.payload")
    assert (owner_of(sealed), owner_of(LETTER)) == ("case_1", None)
    assert key.open(sealed, "case.payload").decode() == LETTER
    assert key.seal(LETTER.encode(), "case.payload") != sealed
    for by, what, place in (
        (key, sealed, "trace.body"),
        (other, sealed, "case.payload"),
        (key, sealed[:-8] + "AAAAAAA=", "case.payload"),
        (key, sealed[:20], "case.payload"),
        (key, "sealed:1:case_1:?", "case.payload"),
    ):
        with pytest.raises(Tampered):
            by.open(what, place)


def test_bytes_open_alike() -> None:
    key = DataKey.new("case_1")
    sealed = key.seal_bytes(b"\x00\x01", "checkpoint")
    assert key.open_bytes(sealed, "checkpoint") == b"\x00\x01"
    with pytest.raises(Tampered):
        key.open_bytes(sealed, "attachment")


def test_what_was_moved_to_another_case_or_changed_does_not_open(database: Database) -> None:
    mine, theirs = database.transact(HOME, opened), database.transact(HOME, opened)
    change(
        database,
        'UPDATE "case" SET summary = (SELECT summary FROM "case" WHERE id = :theirs) WHERE id = :mine',
        mine=mine,
        theirs=theirs,
    )
    moved = database.transact(HOME, lambda ledger: ledger.cases.get(mine).summary, writes=False)
    assert moved == LETTER  # it says itself whose it is: erased with theirs, and read as what they said
    change(database, 'UPDATE "case" SET summary = replace(summary, :theirs, :mine)', mine=mine, theirs=theirs)
    with pytest.raises(Tampered, match=mine):
        database.transact(HOME, lambda ledger: ledger.cases.get(mine), writes=False)


def test_each_case_has_a_key_of_its_own(database: Database) -> None:
    first, second = database.transact(HOME, opened), database.transact(HOME, opened)
    for case in (first, second):
        assert owner_of(stored(database, "summary", f"\"case\" WHERE id = '{case}'")) == case
        assert f'"sealed:1:{case}:' in stored(database, "body", f"trace WHERE case_id = '{case}'")
    assert stored(database, "count(DISTINCT wrapped)", "data_key") == "2"


def test_a_key_of_a_transaction_that_failed_is_nobodys(database: Database) -> None:
    case = ""

    def fail(ledger: Ledger) -> None:
        nonlocal case
        case = opened(ledger)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        database.transact(HOME, fail)
    assert stored(database, "count(*)", "data_key") == "0"
    assert database.keys is not None
    with pytest.raises(KeyMissing):
        database.keys.reading(case)


def test_without_keys_nothing_that_is_sealed_is_read(database: Database, tmp_path: Path) -> None:
    case = database.transact(HOME, opened)
    for masters in (None, MasterRing([new_master_key()], "another")):
        other = sqlite_database(tmp_path / "ledger.db", FakeClock(), masters=masters)
        with pytest.raises(KeyMissing):
            other.transact(HOME, lambda ledger: ledger.cases.get(case), writes=False)
        other.close()


@pytest.mark.parametrize(
    "word",
    [
        "cus_000056",
        "ORD-5594010",
        "UNWANTED",
        "USD",
        "fin-2",
        "damaged",
        "4.0",
        "ab12" * 16,
        "2026-11-23T02:39:15Z",
        "",
    ],
)
def test_words_of_the_house_stay(word: str) -> None:
    assert is_clear(word)


@pytest.mark.parametrize(
    "word",
    [
        *("Rosa", "Rosa Lindqvist", "rosa@example.com", "4 Mill Road", "1985-03-02", "+49 30 901820", "030901820"),
        *("4111111111111111", "DE89370400440532013000", "it leaks", "Müller", "sealed:1:x:y", "a" * 200),
    ],
)
def test_words_of_people_do_not(word: str) -> None:
    assert not is_clear(word)
