"""What a ledger holds, in a file and on a server: written whole or not at all, once for each key, by many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from core.errors import Busy, DatabaseUnavailable, KeyReused, LeaseLost, StaleState
from core.money import Money
from core.states import CaseStatus, RunStatus
from core.verdicts import Allow
from ledger.database import Database, Ledger
from ledger.policy_tables import PolicyRow
from ledger.tables import SYSTEM, AuditRow, CaseRow, ReviewRow, VoteRow
from tests.support.ledgers import Store, at_once, copied, rows, template
from tests.support.records import BOOK, action, everything, open_case, run_of
from tests.support.servers import POSTGRES, answers

SERVER = pytest.param(
    "postgresql", marks=pytest.mark.skipif(not answers(POSTGRES), reason="no PostgreSQL server answers")
)


@pytest.fixture(scope="module", params=["sqlite", SERVER])
def made(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    with template(request.param) as where:
        yield request.param, where


@pytest.fixture
def store(made: tuple[str, str]) -> Iterator[Store]:
    with copied(*made) as copy:
        yield copy


@pytest.fixture
def database(store: Store) -> Database:
    return store.open()


class Stop(Exception):
    """Something goes wrong in the middle of a step."""


async def test_a_step_that_fails_leaves_nothing(database: Database) -> None:
    def fail_at_the_end(ledger: Ledger) -> None:
        everything(ledger)
        raise Stop

    with pytest.raises(Stop):
        await database.write("default", fail_at_the_end)
    assert set(rows(database).values()) == {0}
    await database.write("default", everything)
    found = rows(database)
    assert found.pop("data_key") == 3  # the house's and the case's beside the one that is written
    assert set(found.values()) == {1}


async def test_a_step_that_breaks_a_constraint_at_its_end_leaves_nothing(database: Database) -> None:
    await database.write("default", everything)
    before = rows(database)

    def break_a_rule(ledger: Ledger) -> None:
        ledger.trace.add("c", "x", {})
        ledger.audit.append("x", {})
        case = open_case(ledger)
        ledger.session.add(CaseRow(id=case.id, kind="k", status=CaseStatus.OPEN, opened_at=ledger.now))

    with pytest.raises(IntegrityError):
        await database.write("default", break_a_rule)
    assert rows(database) == before
    assert database.transact("default", lambda ledger: ledger.audit.verify("default")) == (1, None)


async def test_what_a_reader_changes_is_not_kept(database: Database) -> None:
    case = await database.write("default", everything)

    def scribble(ledger: Ledger) -> CaseRow:
        row = ledger.cases.get(case)
        row.summary = "scribbled"
        ledger.session.flush()
        return row

    assert (await database.read("default", scribble)).id == case  # its rows stay readable
    assert (await database.read("default", lambda ledger: ledger.cases.get(case))).summary == ""


def test_a_request_key_gives_the_same_case(database: Database) -> None:
    def submit(key: str | None, **payload: int) -> tuple[str, bool]:
        def step(ledger: Ledger) -> tuple[str, bool]:
            row, new = ledger.cases.open(kind="k", payload=payload, subject="", opened_by="ann", request_key=key)
            return row.id, new

        return database.transact("default", step)

    first, new = submit("key-1", a=1, b=2)
    assert new
    assert submit("key-1", b=2, a=1) == (first, False)
    with pytest.raises(KeyReused) as reused:
        submit("key-1", a=1)
    assert reused.value.extra["present"] == first
    assert submit("key-2", a=1, b=2)[0] != first
    assert submit(None, a=1)[0] != submit(None, a=1)[0]


def test_events_costs_and_runs_are_there_once(database: Database) -> None:
    case = database.transact("default", everything)

    def again(ledger: Ledger) -> None:
        row = ledger.cases.get(case)
        assert not ledger.cases.post(row, source="api", event_id="e1", event="other", payload={"a": 1})
        assert ledger.cases.post(row, source="desk", event_id="e1", event="other", payload={})
        assert [event.seq for event in ledger.cases.unprocessed(case)] == [1, 2]
        ledger.costs.post(key="c", case_id=case, component="x", amount=Money.of(9, "USD"))
        assert not ledger.effects.reserve(run_of(action(case), ledger))
        ledger.effects.propose(action(case), effect="irreversible", described="changed")

    database.transact("default", again)

    def look(ledger: Ledger) -> None:
        assert [cost.amount_minor for cost in ledger.costs.of_case(case)] == [0]
        assert [each.effect for each in ledger.effects.actions(case)] == ["read"]
        assert len(ledger.effects.runs(case)) == 1

    database.transact("default", look)


def test_a_person_votes_once_on_a_review(database: Database) -> None:
    case = database.transact("default", everything)

    def again(ledger: Ledger) -> None:
        review = ledger.reviews.of_case(case)[0]
        ledger.reviews.vote(
            VoteRow(review_id=review.id, action_id=review.action_id, person="ann", choice="reject", seen="s")
        )

    with pytest.raises(IntegrityError):
        database.transact("default", again)


def test_a_move_that_is_not_in_the_table_is_refused_whole(database: Database) -> None:
    case = database.transact("default", everything)

    def jump(ledger: Ledger) -> None:
        row = ledger.cases.get(case, lock=True)
        ledger.cases.move(row, CaseStatus.RUNNING)
        ledger.cases.move(row, CaseStatus.CLOSED)
        ledger.cases.move(row, CaseStatus.RUNNING)

    with pytest.raises(StaleState, match="is closed can't become running"):
        database.transact("default", jump)
    row = database.transact("default", lambda ledger: ledger.cases.get(case))
    assert (row.status, row.version) == (CaseStatus.OPEN, 1)


def test_claims_are_leases(database: Database, store: Store) -> None:
    case = database.transact("default", everything)

    def claim(person: str) -> ReviewRow:
        return database.transact(
            "default",
            lambda ledger: ledger.reviews.claim(ledger.reviews.of_case(case)[0], person, timedelta(minutes=5)),
        )

    first = claim("ann")
    store.clock.advance(timedelta(minutes=4))
    assert claim("ann").claim_token == first.claim_token  # renewed
    with pytest.raises(LeaseLost, match="ann is looking at it") as lost:
        claim("ben")
    assert lost.value.extra["present"] == "ann"
    store.clock.advance(timedelta(minutes=5))
    assert claim("ben").claim_token != first.claim_token


# by several at once


def test_the_chain_has_no_gap_and_loses_no_entry(store: Store, database: Database) -> None:
    """Cases and reviews are locked before the heads are, by all in one order: nobody waits for one another."""
    case = database.transact("default", everything)
    writers, each = 4, 10

    def append(own: Database, number: int) -> None:
        for turn in range(each):

            def work(ledger: Ledger, turn: int = turn) -> None:
                if number % 2:
                    ledger.cases.get(case, lock=True)
                    ledger.reviews.get(ledger.reviews.of_case(case)[0].id, lock=True)
                for name in ("default", "other") if turn % 2 else ("other", "default"):
                    ledger.audit.append("x", {"n": number, "turn": turn}, workspace=name)
                ledger.trace.add(case, "x", {}, workspace="default")

            own.transact(SYSTEM, work)

    at_once(store, writers, append)

    def look(ledger: Ledger) -> tuple[object, object, set[str]]:
        bodies = {row.body for row in ledger.session.exec(select(AuditRow)) if row.workspace == "other"}
        return ledger.audit.verify("default"), ledger.audit.verify("other"), bodies

    default, other, bodies = database.transact(SYSTEM, look, writes=False)
    assert (default, other) == ((writers * each + 1, None), (writers * each, None))
    assert len(bodies) == writers * each


def test_one_request_key_opens_one_case(store: Store) -> None:
    def submit(own: Database, _number: int) -> tuple[str, bool]:
        def step(ledger: Ledger) -> tuple[str, bool]:
            row, new = ledger.cases.open(kind="k", payload={}, subject="", opened_by="ann", request_key="key")
            return row.id, new

        return own.transact("default", step)

    found = at_once(store, 4, submit)
    assert len({case for case, _ in found}) == 1
    assert sorted(new for _, new in found) == [False, False, False, True]


def test_an_event_comes_into_the_inbox_once_and_each_has_its_number(store: Store, database: Database) -> None:
    case = database.transact("default", lambda ledger: open_case(ledger).id)

    def post(own: Database, number: int) -> list[bool]:
        def step(event_id: str) -> Callable[[Ledger], bool]:
            return lambda ledger: ledger.cases.post(
                ledger.cases.get(case), source="api", event_id=event_id, event="x", payload={}
            )

        return [own.transact("default", step("same")), own.transact("default", step(f"own-{number}"))]

    found = at_once(store, 4, post)
    assert sorted(same for same, _ in found) == [False, False, False, True]
    assert all(own for _, own in found)
    events = database.transact("default", lambda ledger: ledger.cases.unprocessed(case), writes=False)
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]


def test_an_effect_is_reserved_once_and_finished_once(store: Store, database: Database) -> None:
    def prepare(ledger: Ledger) -> str:
        case = open_case(ledger).id
        ledger.effects.propose(action(case), effect="irreversible", described="")
        return case

    case = database.transact("default", prepare)

    def reserve(own: Database, _number: int) -> bool:
        def step(ledger: Ledger) -> bool:
            ledger.effects.decided(action(case).id, "execute", Allow(reason="fine", book=BOOK))
            return ledger.effects.reserve(run_of(action(case), ledger))

        return own.transact("default", step)

    def finish(own: Database, number: int) -> bool:
        return own.transact(
            "default", lambda ledger: ledger.effects.finish(action(case).id, RunStatus.DONE, {"by": number}, "")
        )

    assert sorted(at_once(store, 4, reserve)) == [False, False, False, True]
    assert sorted(at_once(store, 4, finish)) == [False, False, False, True]


def test_one_of_several_claims_a_review(store: Store, database: Database) -> None:
    case = database.transact("default", everything)
    review = database.transact("default", lambda ledger: ledger.reviews.of_case(case)[0].id)

    def claim(own: Database, number: int) -> str:
        try:
            return own.transact(
                "default",
                lambda ledger: ledger.reviews.claim(
                    ledger.reviews.get(review, lock=True), f"p{number}", timedelta(minutes=5)
                ),
            ).claimed_by
        except LeaseLost as lost:
            return f"lost to {lost.extra['present']}"

    found = at_once(store, 4, claim)
    (holder,) = [each for each in found if not each.startswith("lost")]
    assert sorted(found) == sorted([holder, *[f"lost to {holder}"] * 3])


def test_a_timer_fires_once(store: Store, database: Database) -> None:
    case = database.transact("default", lambda ledger: open_case(ledger).id)
    database.transact(
        "default", lambda ledger: ledger.timers.set(case_id=case, purpose="x", due_at=ledger.now) and None
    )
    [due] = database.transact(SYSTEM, lambda ledger: ledger.timers.due())
    assert due.purpose == "x"

    def fire(own: Database, _number: int) -> bool:
        return own.transact("default", lambda ledger: ledger.timers.fire(due))

    assert sorted(at_once(store, 4, fire)) == [False, False, False, True]
    assert database.transact(SYSTEM, lambda ledger: ledger.timers.due()) == []
    store.clock.advance(timedelta(days=1))
    assert database.transact(SYSTEM, lambda ledger: ledger.timers.due()) == []


def test_policy_is_published_once_under_its_key(store: Store, database: Database) -> None:
    def publish(own: Database, _number: int) -> bool:
        def step(ledger: Ledger) -> bool:
            if ledger.policies.by_key("key") is not None:
                return False
            row = PolicyRow(kind="k", name="p", version="1", digest="0" * 64, text="", source="installed", key="key")
            ledger.policies.publish(row)
            ledger.audit.append("policy.installed", {})
            return True

        return own.transact("default", step)

    assert sorted(at_once(store, 4, publish)) == [False, False, False, True]
    assert [row.key for row in database.transact("default", lambda ledger: ledger.policies.published("k"))] == ["key"]
    assert database.transact("default", lambda ledger: ledger.audit.verify("default")) == (1, None)


def test_what_others_write_in_their_workspace_is_not_seen(store: Store) -> None:
    def step(own: Database, number: int) -> int:
        own.transact(f"w{number}", lambda ledger: open_case(ledger).id)
        return own.transact(f"w{number}", lambda ledger: len(ledger.cases.find()), writes=False)

    assert at_once(store, 3, step) == [1, 1, 1]


def test_all_connections_are_taken(store: Store) -> None:
    """A busy server is told as such; a file has one writer, and the others wait."""
    own = store.open(connections=2, patience_s=0.3)
    if own.engine.dialect.name == "sqlite":
        with store.open().engine.begin():  # holds the file
            with pytest.raises(DatabaseUnavailable, match="locked") as held:
                own.transact("default", everything)
            assert held.value.committed == "no"
    else:
        with own.engine.connect(), own.engine.connect(), pytest.raises(Busy, match="connections") as busy:
            own.transact("default", everything)
        assert busy.value.retry_after >= 1
    assert own.transact("default", everything)
