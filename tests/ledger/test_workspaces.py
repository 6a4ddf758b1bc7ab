"""Workspaces: whatever is asked, and by whomever, a row of another workspace is never seen and never written."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Integer,
    bindparam,
    column,
    delete,
    exists,
    func,
    literal,
    text,
    true,
    update,
)
from sqlalchemy import table as bare_table
from sqlalchemy.orm import aliased
from sqlmodel import Session, col
from sqlmodel import select as typed_select

from core.actions import ProposedAction
from core.clock import FakeClock
from core.errors import NotFound
from core.money import Money
from core.states import RunStatus
from core.verdicts import Allow, BookRef
from ledger import guards
from ledger.columns import UtcTime
from ledger.database import Database, Ledger, sqlite_database
from ledger.prepared import Prepared
from ledger.tables import SYSTEM, CaseRow, CostRow, PersonRow, Row, RunRow, TraceRow
from tests.support.folders import quick_folder

NOW = FakeClock().now()
select: Any = typed_select  # whatever can be asked at all is asked here
TABLES: list[type[Any]] = sorted(Row.__subclasses__(), key=lambda each: each.__name__)


def value(part: Column[Any], name: str) -> Any:
    if isinstance(part.type, UtcTime):
        return NOW
    if isinstance(part.type, Boolean):
        return True
    if isinstance(part.type, Integer):
        return 1
    return {} if isinstance(part.type, JSON) else name


def sample(table: type[Any], workspace: str) -> Row:
    """A row with something in each column that has to have something."""
    parts: list[Column[Any]] = list(table.__table__.columns)
    needed = [
        part for part in parts if part.name != "workspace" and not part.nullable and part.autoincrement is not True
    ]
    row: Row = table(workspace=workspace, **{part.name: value(part, f"{workspace}-1") for part in needed})
    return row


def append_only(table: type[Any]) -> bool:
    return table.__tablename__ in ("action", "decision", "vote", "audit", "policy", "policy_draft")


def unguarded(database: Database) -> Database:
    """The rows here are no story: the database would refuse them."""
    with database.engine.begin() as connection:
        guards.remove(connection)
    return database


def fill(database: Database) -> Database:
    """One row in each table for each of two workspaces."""
    unguarded(database)
    for workspace in ("ours", "theirs"):
        rows = [sample(table, workspace) for table in TABLES]
        database.transact(workspace, lambda ledger, rows=rows: ledger.session.add_all(rows))  # type: ignore[misc]
    return database


@pytest.fixture
def two(database: Database) -> Database:
    return fill(database)


@pytest.fixture(scope="module")
def readable(fresh_ledger: Path) -> Iterator[Database]:
    """The same, for tests that only look."""
    with quick_folder() as folder:
        opened = sqlite_database(Path(shutil.copy(fresh_ledger, folder / "ledger.db")), FakeClock())
        yield fill(opened)
        opened.close()


def within(database: Database, step: Callable[[Session], Any]) -> Any:
    return database.transact("ours", lambda ledger: step(ledger.session), writes=False)


def key(table: type[Any]) -> Any:
    return getattr(table, table.__table__.primary_key.columns.keys()[-1])


@pytest.mark.parametrize("table", TABLES, ids=lambda each: each.__name__)
def test_every_way_to_ask_sees_only_ours(readable: Database, table: type[Any]) -> None:
    other = aliased(table)
    whole = select(table).cte()
    ways: dict[str, Callable[[Session], Any]] = {
        "rows": lambda s: len(s.exec(select(table)).all()),
        "one column": lambda s: len(s.exec(select(key(table))).all()),
        "a constant from it": lambda s: len(s.exec(select(literal(1)).select_from(table)).all()),
        "count": lambda s: s.exec(select(func.count()).select_from(table)).one(),
        "count of a column": lambda s: s.exec(select(func.count(key(table)))).one(),
        "alias": lambda s: len(s.exec(select(other)).all()),
        "joined to itself": lambda s: len(s.exec(select(table, other).join(other, true())).all()),
        "outer join": lambda s: len(s.exec(select(CaseRow.id, key(other)).outerjoin(other, true())).all()),
        "subquery": lambda s: len(s.exec(select(select(table).subquery())).all()),
        "in a subquery": lambda s: len(s.exec(select(table).where(key(table).in_(select(key(other))))).all()),
        "common table": lambda s: len(s.exec(select(whole)).all()),
        "grouped": lambda s: len(s.exec(select(table.workspace, func.count()).group_by(table.workspace)).all()),
        "prepared": lambda s: len(Prepared[Any](select(table)).all(s)),
        "prepared count": lambda s: Prepared[int](select(func.count()).select_from(table)).first(s),
        "by the others' name": lambda s: 1 + len(s.exec(select(table).where(table.workspace == "theirs")).all()),
        "whether there is": lambda s: (
            1 + len(s.exec(select(table).where(exists().where(other.workspace == "theirs"))).all())
        ),
    }
    assert {name: within(readable, ask) for name, ask in ways.items()} == dict.fromkeys(ways, 1)
    assert readable.transact(SYSTEM, lambda ledger: len(ledger.session.exec(select(table)).all()), writes=False) == 2


@pytest.mark.parametrize("table", TABLES, ids=lambda each: each.__name__)
def test_a_row_of_theirs_is_not_found_by_its_key(readable: Database, table: type[Any]) -> None:
    def theirs(ledger: Ledger) -> Any:
        row = ledger.session.exec(select(table).where(table.workspace == "theirs")).one()
        return table.__mapper__.primary_key_from_instance(row)

    name = readable.transact(SYSTEM, theirs, writes=False)
    assert within(readable, lambda s: s.get(table, tuple(name))) is None


@pytest.mark.parametrize("table", [each for each in TABLES if not append_only(each)], ids=lambda each: each.__name__)
def test_sweeping_statements_change_only_ours(two: Database, table: type[Any]) -> None:
    def sweep(ledger: Ledger) -> None:
        ledger.session.execute(update(table).values(workspace="ours"))
        ledger.session.execute(delete(table))

    two.transact("ours", sweep)
    left = two.transact(SYSTEM, lambda ledger: [row.workspace for row in ledger.session.exec(select(table))])
    assert left == ["theirs"]


@pytest.mark.parametrize(
    "asked",
    [
        text('SELECT * FROM "case"'),
        select(CaseRow.__table__),  # type: ignore[attr-defined]
        update(CaseRow.__table__).values(kind="x"),  # type: ignore[attr-defined]
        delete(RunRow.__table__),  # type: ignore[attr-defined]
    ],
    ids=["text", "table", "update", "delete"],
)
def test_what_can_not_be_held_to_a_workspace_is_refused(readable: Database, asked: Any) -> None:
    with pytest.raises(AssertionError, match="workspace"):
        readable.transact("ours", lambda ledger: ledger.session.execute(asked))


def test_a_prepared_query_needs_a_workspace_to_be_held_to() -> None:
    homeless = bare_table("weather", column("id"))
    with pytest.raises(AttributeError, match="workspace"):
        Prepared(select(homeless).where(homeless.c.id == bindparam("id")))


ALLOW = Allow(reason="fine", book=BookRef(policy="p", version="1", digest="0"))


def action(workspace: str) -> ProposedAction:
    return ProposedAction(
        workspace=workspace, case_id="c", kind="k", tool="t", schema_version=1, args={}, proposer="p", step_key="1"
    )


def run(workspace: str) -> RunRow:
    row = sample(RunRow, workspace)
    assert isinstance(row, RunRow)
    row.status = RunStatus.INTENT
    return row


WRITES: dict[str, Callable[[Ledger], Any]] = {
    "a new row": lambda ledger: ledger.session.add(sample(CaseRow, "theirs")),
    "a person": lambda ledger: ledger.people.add("theirs", "ann", frozenset()),
    "a token": lambda ledger: ledger.people.new_token("theirs", "ann", None),
    "an action": lambda ledger: ledger.effects.propose(action("theirs"), effect="read", described=""),
    "a run": lambda ledger: ledger.effects.reserve(run("theirs")),
    "a trace": lambda ledger: ledger.trace.add("c", "x", {}, workspace="theirs"),
    "a cost": lambda ledger: ledger.costs.post(
        key="k", case_id="c", component="x", amount=Money.zero("USD"), workspace="theirs"
    ),
    "a timer": lambda ledger: ledger.timers.set(case_id="c", purpose="x", due_at=NOW, workspace="theirs"),
    "an audit entry": lambda ledger: ledger.audit.append("x", {}, workspace="theirs"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_writing_into_another_workspace_is_a_defect_that_stops(
    database: Database, write: Callable[[Ledger], Any]
) -> None:
    with pytest.raises(AssertionError, match="theirs"):
        database.transact("ours", lambda ledger: write(ledger) and None)
    counts = database.transact(
        SYSTEM, lambda ledger: [ledger.session.exec(select(func.count()).select_from(t)).one() for t in TABLES]
    )
    assert sum(counts) == 0
    assert database.transact(SYSTEM, lambda ledger: ledger.audit.workspaces()) == []


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
@pytest.mark.parametrize("writer", ["theirs", SYSTEM])
def test_the_same_by_them_or_by_the_house_is_kept(
    database: Database, writer: str, write: Callable[[Ledger], Any]
) -> None:
    def count(ledger: Ledger) -> int:
        return sum(ledger.session.exec(select(func.count()).select_from(table)).one() for table in TABLES)

    unguarded(database).transact(writer, lambda ledger: write(ledger) and None)
    assert database.transact("theirs", count) == database.transact(SYSTEM, count) > 0


def test_nothing_is_written_that_belongs_to_nobody(database: Database) -> None:
    nowhere: list[Callable[[Ledger], Any]] = [
        lambda ledger: ledger.session.add(sample(CaseRow, "")),
        lambda ledger: ledger.trace.add("c", "x", {}),
        lambda ledger: ledger.audit.append("x", {}),
        lambda ledger: ledger.session.add(sample(PersonRow, SYSTEM)),
    ]
    for write in nowhere:
        with pytest.raises(AssertionError):
            database.transact(SYSTEM, lambda ledger, w=write: w(ledger) and None)  # type: ignore[misc]


def test_a_row_can_not_be_moved_to_another_workspace(two: Database) -> None:
    def move(ledger: Ledger) -> None:
        row = ledger.session.exec(select(CaseRow)).one()
        row.workspace = "theirs"

    with pytest.raises(AssertionError, match="theirs"):
        two.transact("ours", move)


def test_closing_a_run_of_theirs_changes_nothing(two: Database) -> None:
    def begin(ledger: Ledger) -> None:
        run = ledger.effects.run("theirs-1")
        assert run is not None
        run.status = RunStatus.INTENT
        ledger.session.add(run)

    two.transact("theirs", begin)
    two.transact("ours", lambda ledger: ledger.effects.finish("theirs-1", RunStatus.DONE, {"stolen": True}, ""))
    kept = two.transact("theirs", lambda ledger: ledger.effects.run("theirs-1"), writes=False)
    assert kept is not None
    assert kept.status != RunStatus.DONE
    two.transact(SYSTEM, lambda ledger: ledger.effects.finish("theirs-1", RunStatus.DONE, {}, ""))
    done = two.transact("theirs", lambda ledger: ledger.effects.run("theirs-1"), writes=False)
    assert done is not None
    assert done.status == RunStatus.DONE


def test_the_repositories_see_only_ours(readable: Database) -> None:
    def look(ledger: Ledger) -> None:
        for missing in (
            lambda: ledger.cases.get("theirs-1"),
            lambda: ledger.reviews.get("theirs-1"),
            lambda: ledger.effects.action("theirs-1"),
            lambda: ledger.effects.whole("theirs-1"),
        ):
            with pytest.raises(NotFound):
                missing()
        assert [row.id for row in ledger.cases.find()] == ["ours-1"]
        assert ledger.cases.stuck() == []  # an event waits for it
        assert ledger.cases.known({"ours-1", "theirs-1"}) == {"ours-1"}
        assert ledger.cases.by_status() == {"ours-1": 1}
        assert ledger.cases.backlog() == 1
        assert [row.workspace for row in ledger.timers.due()] == ["ours"]
        assert [row.workspace for row in ledger.trace.since(0)] == ["ours"]
        assert ledger.trace.last() == ledger.session.exec(select(func.max(col(TraceRow.seq)))).one()
        assert [row.workspace for row in ledger.effects.all_runs()] == ["ours"]
        assert [row.key for row in ledger.costs.of_case("ours-1")] == ["ours-1"]
        assert ledger.costs.of_case("theirs-1") == []
        assert ledger.session.exec(select(func.sum(CostRow.amount_minor))).one() == 1
        assert [row.id for row in ledger.people.everyone()] == ["ours-1"]

    readable.transact("ours", look, writes=False)


def test_the_same_names_live_side_by_side(database: Database) -> None:
    """Request keys, event ids, cost keys and names of people are a workspace's own."""
    for workspace in ("ours", "theirs"):

        def fill(ledger: Ledger) -> None:
            case, new = ledger.cases.open(kind="k", payload={"w": 1}, subject="", opened_by="ann", request_key="key-1")
            assert new
            assert ledger.cases.post(case, source="s", event_id="event-1", event="x", payload={})
            ledger.costs.post(key="cost-1", case_id=case.id, component="x", amount=Money.of(1, "USD"))
            ledger.people.add(ledger.workspace, "ann", frozenset({"clerk"}))

        database.transact(workspace, fill)
    costs = database.transact(SYSTEM, lambda ledger: [row.key for row in ledger.session.exec(typed_select(CostRow))])
    assert costs == ["cost-1", "cost-1"]
