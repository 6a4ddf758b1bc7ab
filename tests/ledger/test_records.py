"""Records: written whole or not at all, once for each key, and never changed where they may only be added to."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError, StatementError
from sqlmodel import select

from core.actions import ProposedAction
from core.clock import FakeClock
from core.errors import KeyReused, LeaseLost, SetupError, StaleState, Unauthenticated
from core.money import Money
from core.states import CaseStatus, RunStatus
from core.verdicts import Allow, BookRef, Review, ReviewerSet
from ledger.database import Database, Ledger, lock_folder, sqlite_database
from ledger.tables import SYSTEM, CaseRow, PolicyRow, ReviewRow, RunRow, TimerRow, VoteRow

BOOK = BookRef(policy="p", version="1", digest="0" * 64)
DESK = ReviewerSet(group="desk", role="clerk", people=1, within_s=3600)


class Stop(Exception):
    """Something goes wrong in the middle of a step."""


def open_case(ledger: Ledger, key: str | None = None, **payload: int) -> CaseRow:
    case, _ = ledger.cases.open(kind="k", payload=payload, subject="cus_1", opened_by="ann", request_key=key)
    return case


def action(case: str, step: str = "1") -> ProposedAction:
    return ProposedAction(
        workspace="default", case_id=case, kind="k", tool="t", schema_version=1, args={}, proposer="p", step_key=step
    )


def everything(ledger: Ledger) -> str:
    """Writes a row of each sort; returns the case."""
    case = open_case(ledger, "key-1")
    ledger.cases.post(case, source="api", event_id="e1", event="x", payload={})
    acted = action(case.id)
    ledger.effects.propose(acted, effect="read", described="")
    ledger.effects.decided(acted.id, "execute", Allow(reason="fine", book=BOOK))
    ledger.effects.reserve(run_of(acted, ledger))
    review = ledger.reviews.open(
        case_id=case.id, action_id=acted.id, interrupt_id="i", verdict=Review(reason="", book=BOOK, reviewers=(DESK,))
    )
    vote = VoteRow(review_id=review.id, action_id=acted.id, person="ann", choice="approve", seen="s")
    ledger.reviews.vote(vote)
    ledger.timers.set(case_id=case.id, purpose="x", due_at=ledger.now)
    ledger.trace.add(case.id, "x", {})
    ledger.costs.post(key="c", case_id=case.id, component="x", amount=Money.zero("USD"))
    ledger.audit.append("x", {"case": case.id}, case_id=case.id)
    ledger.people.add("default", "ann", frozenset({"clerk"}))
    ledger.people.new_token("default", "ann", None)
    ledger.policies.hand_in("0" * 64, {}, "ann")
    ledger.policies.trust("ann", "a public key")
    ledger.policies.publish(
        PolicyRow(kind="k", name="p", version="1", digest="0" * 64, text="", source="published", key="k")
    )
    return case.id


def run_of(acted: ProposedAction, ledger: Ledger) -> RunRow:
    return RunRow(
        action_id=acted.id,
        case_id=acted.case_id,
        key=acted.effect_key,
        tool=acted.tool,
        args_digest="0",
        subject="cus_1",
        proposer=acted.proposer,
        status=RunStatus.INTENT,
        started_at=ledger.now,
    )


def rows(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = {name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}
    return {name: count for name, count in counts.items() if not name.startswith(("sqlite_", "alembic"))}


async def test_a_step_that_fails_leaves_nothing(database: Database, ledger_file: Path) -> None:
    def fail_at_the_end(ledger: Ledger) -> None:
        everything(ledger)
        raise Stop

    with pytest.raises(Stop):
        await database.write("default", fail_at_the_end)
    assert set(rows(ledger_file).values()) == {0}
    await database.write("default", everything)
    assert set(rows(ledger_file).values()) == {1}


async def test_a_step_that_breaks_a_constraint_at_its_end_leaves_nothing(database: Database, ledger_file: Path) -> None:
    await database.write("default", everything)
    before = rows(ledger_file)

    def break_a_rule(ledger: Ledger) -> None:
        ledger.trace.add("c", "x", {})
        ledger.audit.append("x", {})
        case = open_case(ledger)
        ledger.session.add(CaseRow(id=case.id, kind="k", status=CaseStatus.OPEN, opened_at=ledger.now))

    with pytest.raises(IntegrityError):
        await database.write("default", break_a_rule)
    assert rows(ledger_file) == before
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


def test_two_processes_write_one_after_the_other(ledger_file: Path, clock: FakeClock) -> None:
    one, two = sqlite_database(ledger_file, clock), sqlite_database(ledger_file, clock)
    for number in range(5):
        for database in (one, two):
            database.transact("default", lambda ledger, n=number: ledger.audit.append("x", {"n": n}))  # type: ignore[misc]
    assert one.transact("default", lambda ledger: ledger.audit.verify("default")) == (10, None)
    one.close()
    two.close()


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


def test_claims_are_leases(database: Database, clock: FakeClock) -> None:
    case = database.transact("default", everything)

    def claim(person: str) -> ReviewRow:
        return database.transact(
            "default",
            lambda ledger: ledger.reviews.claim(ledger.reviews.of_case(case)[0], person, timedelta(minutes=5)),
        )

    first = claim("ann")
    clock.advance(timedelta(minutes=4))
    assert claim("ann").claim_token == first.claim_token  # renewed
    with pytest.raises(LeaseLost, match="ann is looking at it") as lost:
        claim("ben")
    assert lost.value.extra["present"] == "ann"
    clock.advance(timedelta(minutes=5))
    assert claim("ben").claim_token != first.claim_token


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
