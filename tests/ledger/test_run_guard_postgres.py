"""A ledger on PostgreSQL: its versions, what is only added there, and what only a server can be tried with."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from core.errors import InvalidInput, SetupError
from ledger.database import Ledger
from ledger.migrate import EMPTY, HEAD, migrate_server
from ledger.tables import AuditRow, RunRow
from tests.support.guarded import DESK, POSTGRES, Scene, Server, no_postgres, postgres_server

pytestmark = pytest.mark.skipif(bool(no_postgres()), reason=no_postgres())

ONLY_ADDED = ["action", "audit", "decision", "vote", "policy", "policy_draft"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server() as opened:
        yield opened


def everything(server: Server) -> tuple[set[str], set[str], set[str]]:
    """Tables with their columns, triggers, functions."""
    with server.engine.begin() as connection:
        look = inspect(connection)
        columns = {f"{table}.{each['name']}" for table in look.get_table_names() for each in look.get_columns(table)}
        triggers = connection.execute(text("SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
                                           "WHERE c.relnamespace = current_schema()::regnamespace"))  # fmt: skip
        functions = connection.execute(
            text("SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace")
        )
        return columns, set(triggers.scalars()), set(functions.scalars())


def test_up_down_and_up_again() -> None:
    with postgres_server() as server:
        before = everything(server)
        expected = {
            f"{table.name}.{each.name}" for table in SQLModel.metadata.tables.values() for each in table.columns
        }
        assert {each for each in before[0] if not each.startswith("alembic")} == expected
        assert server.migrate("head") == HEAD
        assert server.migrate(EMPTY) == EMPTY
        assert everything(server) == ({"alembic_version.version_num"}, set(), set())
        assert server.migrate("head") == HEAD
        assert everything(server) == before


def test_of_several_that_start_at_once_one_migrates() -> None:
    with postgres_server(EMPTY) as server, ThreadPoolExecutor(3) as pool:
        assert list(pool.map(server.migrate, ["head"] * 3)) == [HEAD] * 3
        assert Scene(server).run() == 1


def test_a_newer_version_is_refused_and_an_unknown_one_too() -> None:
    with postgres_server() as server:
        with pytest.raises(InvalidInput, match="no version '9999'"):
            server.migrate("9999")
        server.sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(SetupError, match="is of version 9999, newer than this program"):
            server.migrate("head")


def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    with pytest.raises(SetupError, match="can't be used") as gone:
        migrate_server("postgresql+psycopg://ann:secret@127.0.0.1:1/none?connect_timeout=2")
    assert "secret" not in gone.value.detail


@pytest.mark.parametrize("table", ONLY_ADDED)
def test_nothing_is_changed_where_rows_are_only_added(server: Server, table: str) -> None:
    Scene(server, (DESK,)).votes(ann="clerk")
    scene = Scene(server)
    scene.do(lambda ledger: ledger.audit.append("x", {}))
    scene.do(lambda ledger: ledger.policies.hand_in(uuid4().hex, {}, "ann"))
    if table != "policy":
        for change in (f"UPDATE {table} SET workspace = workspace", f"DELETE FROM {table}"):
            with pytest.raises(IntegrityError, match=f"{table} is append-only"):
                server.sql(change)
    with pytest.raises(IntegrityError, match=f"{table} is append-only"):
        server.sql(f"TRUNCATE {table}")


def test_the_same_action_again_is_no_mistake(server: Server) -> None:
    scene = Scene(server)
    assert scene.do(scene.another).id == scene.action.id


@pytest.mark.parametrize("table", ["run", "review"])
def test_nothing_is_emptied(server: Server, table: str) -> None:
    with pytest.raises(IntegrityError, match=f"{table} refused: it .* stays"):
        server.sql(f"TRUNCATE {table} CASCADE")


def test_of_two_at_once_one_reserves_it(server: Server) -> None:
    scene = Scene(server)

    def reserve(_: int) -> bool:
        def step(ledger: object) -> bool:
            effects = ledger.effects  # type: ignore[attr-defined]
            effects.decided(scene.action.id, "execute", scene.book)
            return bool(effects.reserve(RunRow(**scene.run_row())))

        return bool(scene.do(step))

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(reserve, range(4))) == [False, False, False, True]
    assert scene.runs() == 1


def test_no_table_of_ones_own_can_stand_in_for_what_the_guard_reads(server: Server) -> None:
    """Whoever may make temporary tables could otherwise show it a review of their own."""
    scene = Scene(server, (DESK,)).votes(ann="clerk")
    row = scene.run_row()
    with pytest.raises(IntegrityError, match=r"run refused: approval is missing\n"):
        _with_a_review_of_their_own(server, scene, row)
    assert scene.runs() == 0


def _with_a_review_of_their_own(server: Server, scene: Scene, row: dict[str, object]) -> None:
    with server.engine.begin() as connection:
        schema = connection.execute(text("SELECT current_schema()")).scalar()
        connection.execute(text(f"CREATE TEMPORARY TABLE review ON COMMIT DROP AS SELECT * FROM {schema}.review"))
        connection.execute(text("UPDATE review SET status = 'approved', decided_at = opened_at"))
        scene.put(connection, row)


def test_the_scratch_schemas_are_gone(server: Server) -> None:
    """A story that ends leaves nothing on the server."""
    with postgres_server() as other:
        schema = other.value("SELECT current_schema()")
    admin = create_engine(POSTGRES)
    with admin.begin() as connection:
        assert schema not in inspect(connection).get_schema_names()
    admin.dispose()


def test_an_entry_ahead_of_the_chain_hides_no_true_one(server: Server) -> None:
    """Whoever may add to the audit could plant one where the next belongs: then nothing is done without a record."""
    scene = Scene(server)
    scene.do(lambda ledger: ledger.audit.append("first", {}))
    planted = dict.fromkeys(("at", "type", "case_id", "body", "prev", "hash"), "x") | {"workspace": scene.workspace}
    scene.insert(AuditRow, planted | {"seq": 3})

    def pay(ledger: Ledger) -> None:
        ledger.audit.append("one", {})
        ledger.audit.append("two", {}, case_id=scene.case)
        ledger.cases.get(scene.case).summary = "done"

    with pytest.raises(SetupError, match="one already where") as told:
        scene.do(pay)
    assert "Nothing was changed" in told.value.hint
    assert scene.do(lambda ledger: ledger.cases.get(scene.case).summary) == ""
    assert server.value("SELECT max(seq) FROM audit_head WHERE workspace = :w", w=scene.workspace) == 1
