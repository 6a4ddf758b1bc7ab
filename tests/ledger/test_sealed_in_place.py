"""A ledger from before there were keys: what it says of people is sealed where it lies, in both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.people import HOME
from core.verdicts import Allow, Fact
from ledger.columns import KEYS
from ledger.database import Database, Ledger
from ledger.sealing_in_place import seal_all
from tests.support.ledgers import Store, copied, template
from tests.support.records import BOOK, action, run_of
from tests.support.servers import POSTGRES, answers

SERVER = pytest.param(
    "postgresql", marks=pytest.mark.skipif(not answers(POSTGRES), reason="no PostgreSQL server answers")
)
LETTER = "Dear shop, I am Rosa Lindqvist"


@pytest.fixture(params=["sqlite", SERVER])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with template(request.param) as where, copied(request.param, where) as copy:
        yield copy


def written(ledger: Ledger) -> str:
    case, _ = ledger.cases.open(
        kind="k", payload={"letter": LETTER}, subject="cus_1", opened_by="ann", request_key=None
    )
    acted = action(case.id).model_copy(update={"args": {"text": LETTER, "id": "cus_1"}})
    ledger.effects.propose(acted, effect="read", described=LETTER)
    fact = Fact(value=LETTER, source="shop", at=ledger.now)
    ledger.effects.decided(acted.id, "execute", Allow(reason="fine", book=BOOK, facts={"order.address": fact}))
    ledger.effects.reserve(run_of(acted, ledger))
    ledger.trace.add(case.id, "x", {"said": LETTER})
    ledger.audit.append("x", {"id": "cus_1"}, case_id=case.id)
    case.summary = LETTER
    ledger.session.add(case)
    return case.id


def read(ledger: Ledger, case: str) -> list[object]:
    (acted,) = ledger.effects.actions(case)
    (decided,) = ledger.effects.decisions(acted.id)
    said = [row.body["said"] for row in ledger.trace.of_case(case)]
    row = ledger.cases.get(case)
    address = decided.body["facts"]["order.address"]["value"]
    return [row.payload["letter"], row.summary, acted.args["text"], acted.described, *said, address]


def raw(database: Database) -> str:
    with database.engine.connect().execution_options(writes=False) as connection:
        tables = ("case", "action", "decision", "trace")
        return repr([connection.exec_driver_sql(f'SELECT * FROM "{table}"').all() for table in tables])


def unsealed(store: Store) -> Database:
    database = store.open()
    database.keys = None
    KEYS.pop(database.engine.dialect)
    return database


def test_what_was_there_is_sealed_and_read_as_before(store: Store) -> None:
    before = unsealed(store)
    case = before.transact(HOME, written)
    assert LETTER in raw(before)
    after = store.open()
    assert after.transact(HOME, lambda ledger: read(ledger, case), writes=False) == [LETTER] * 6
    told: list[str] = []
    assert seal_all(after, lambda table, _: told.append(table)) == 4
    assert told == ["action", "case", "decision", "trace"]
    assert LETTER not in raw(after)
    assert after.transact(HOME, lambda ledger: read(ledger, case), writes=False) == [LETTER] * 6
    assert seal_all(after, lambda *_: None) == 0
    _, broken = after.transact(HOME, lambda ledger: ledger.audit.verify(HOME), writes=False)
    assert broken is None


def test_rows_that_are_only_added_are_so_afterwards(store: Store) -> None:
    before = unsealed(store)
    before.transact(HOME, written)
    after = store.open()
    seal_all(after, lambda *_: None)
    for table in ("action", "decision"):
        with pytest.raises(Exception, match="append-only"), after.engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE {table} SET workspace = 'x'")
