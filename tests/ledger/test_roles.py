"""What each process's login may do to the records is held by the server: taking a process over gets nobody further."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.errors import InsufficientPrivilege

from core.console import countersign
from core.errors import SetupError
from ledger.migrate import migrate_server
from ledger.roles import ROLES, statements
from ledger.server import driver_url
from tests.serving.logins import Logins, logins, with_roles
from tests.support.servers import fresh_database
from tests.support.till import open_till, pay, write


@dataclass(frozen=True)
class Scene:
    """One payment that waits for people, one note that was written."""

    logins: Logins
    case: str

    def as_(self, part: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(getattr(self.logins, part), autocommit=True)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    async def played(folder: Path, server: str) -> str:
        await with_roles(folder, server)
        async with open_till(folder, server=server) as till:
            return await till.run([write()], [pay("60.00")])

    with fresh_database() as server:
        case = asyncio.run(played(tmp_path_factory.mktemp("roles"), server))
        with logins(server) as each:
            yield Scene(each, case)


NOBODY_MAY = (
    "DELETE FROM audit",
    "UPDATE audit SET body = '{}'",
    "TRUNCATE audit",
    "UPDATE action SET args = '{}'",
    "UPDATE vote SET choice = 'approve'",
    "DELETE FROM run",
    "DELETE FROM review",
    "DELETE FROM decision",
    "INSERT INTO signing_key SELECT * FROM signing_key",
    "UPDATE policy SET text = ''",
    "UPDATE \"case\" SET opened_by = 'mallory'",
    "UPDATE \"case\" SET payload = '{}'",
    "ALTER TABLE run DISABLE TRIGGER ALL",
    "DROP TRIGGER run_guard_insert ON run",
    "CREATE OR REPLACE FUNCTION run_guard_insert() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
    "CREATE TABLE mine (id int)",
    "UPDATE alembic_version SET version_num = '0001'",
    "SET ROLE postgres",
)
_DECISION = (
    "INSERT INTO decision (workspace, action_id, stage, verdict, body, at) "
    "SELECT workspace, id, '{}', 'allow', '{{}}', created_at FROM action"
)
MAY_NOT = {
    "agents": (
        "INSERT INTO run SELECT * FROM run",
        "UPDATE run SET status = 'done'",
        "INSERT INTO vote SELECT * FROM vote",
        "INSERT INTO person SELECT * FROM person",
        "UPDATE person SET roles = '[\"boss\"]'",
        "INSERT INTO policy SELECT * FROM policy",
        "INSERT INTO token SELECT * FROM token",
        "SELECT digest FROM token",
        'INSERT INTO "case" SELECT * FROM "case"',
        "UPDATE \"case\" SET desired = 'run'",
        "UPDATE review SET status = 'approved'",
        "UPDATE review SET status = 'rejected'",
        "UPDATE review SET status = 'edited'",
        "UPDATE review SET status = 'responded'",
        "UPDATE review SET facts = '{}'",
        _DECISION.format("execute"),
        _DECISION.format("edit"),
    ),
    "executor": (
        "INSERT INTO vote SELECT * FROM vote",
        "INSERT INTO action SELECT * FROM action",
        "INSERT INTO review SELECT * FROM review",
        'INSERT INTO "case" SELECT * FROM "case"',
        "INSERT INTO inbox SELECT * FROM inbox",
        "UPDATE review SET status = 'approved'",
        "UPDATE review SET reviewers = '[]'",
        "UPDATE run SET key = key, tool = 'gift.pay'",
        "UPDATE person SET roles = '[\"boss\"]'",
        "INSERT INTO person SELECT workspace, 'me', '[\"boss\"]', true, '' FROM person",
        "INSERT INTO policy (workspace, kind, name, version, digest, text, source, "
        "follows, signatures, key, case_id, at) "
        "SELECT workspace, kind, name, '2', digest, '', 'published', '', '[]', 'another', '', at FROM policy",
        "SELECT digest FROM token",
        "SELECT checkpoint FROM checkpoints",
        "SELECT inputs FROM dbos.workflow_status",
        _DECISION.format("gate"),
        _DECISION.format("edit"),
    ),
    "desk": (
        "INSERT INTO run SELECT * FROM run",
        "UPDATE run SET status = 'done'",
        "INSERT INTO policy SELECT * FROM policy",
        "DELETE FROM vote",
        "DELETE FROM person",
        _DECISION.format("execute"),
    ),
}


@pytest.mark.parametrize("part", MAY_NOT)
def test_the_server_refuses_what_is_not_its_part(scene: Scene, part: str) -> None:
    got_through = []
    with scene.as_(part) as connection:
        for statement in (*NOBODY_MAY, *MAY_NOT[part]):
            try:
                connection.execute(statement)  # type: ignore[arg-type]
            except InsufficientPrivilege:
                continue
            got_through.append(statement)
    assert got_through == []


MAY = {
    "agents": (
        "UPDATE review SET status = status, version = version + 1",
        _DECISION.format("gate"),
        "SELECT person FROM vote",
        'SELECT id FROM "case" FOR UPDATE',
        "SELECT checkpoint FROM checkpoints",
    ),
    "executor": (
        "UPDATE run SET lease_until = lease_until WHERE status = 'intent'",
        _DECISION.format("execute"),
        'SELECT id FROM "case" FOR UPDATE',
        "SELECT public FROM signing_key",
    ),
    "desk": (
        "UPDATE \"case\" SET desired = 'pause'",
        "UPDATE review SET status = 'rejected'",
        _DECISION.format("edit"),
        "UPDATE token SET revoked_at = ''",
    ),
}


@pytest.mark.parametrize("part", MAY)
def test_and_lets_what_is(scene: Scene, part: str) -> None:
    with scene.as_(part) as connection:
        for statement in MAY[part]:
            with connection.transaction(force_rollback=True):
                connection.execute(statement)  # type: ignore[arg-type]


def test_a_worker_that_was_taken_over_finds_no_way_to_an_approval(scene: Scene) -> None:
    """The till's payment still waits after all that was tried."""
    with psycopg.connect(scene.logins.owner) as owner:
        row = owner.execute("SELECT status FROM review WHERE case_id = %s", (scene.case,)).fetchone()
        runs = owner.execute("SELECT count(*) FROM run WHERE tool = 'gift.pay'").fetchone()
    assert (row, runs) == (("open",), (0,))


async def test_it_is_given_again_without_a_difference(scene: Scene, tmp_path: Path) -> None:
    asked = (
        "SELECT grantee::text, table_schema::text, table_name::text, column_name::text, privilege_type::text "
        "FROM information_schema.column_privileges WHERE grantee LIKE 'countersign%' ORDER BY 1, 2, 3, 4, 5"
    )
    with psycopg.connect(scene.logins.owner, autocommit=True) as owner:
        before = owner.execute(asked).fetchall()
        owner.execute("GRANT UPDATE ON run TO countersign_agents")  # somebody's helping hand
        await with_roles(tmp_path, scene.logins.owner)
        assert owner.execute(asked).fetchall() == before


def test_a_login_brings_no_database_up_to_date(scene: Scene) -> None:
    """Neither one that is new, nor one of an earlier version: its owner does."""
    with fresh_database() as new:
        worker = driver_url(urlsplit(scene.logins.agents)._replace(path=urlsplit(new).path).geturl())
        with pytest.raises(SetupError, match="made for this login") as told:
            migrate_server(worker)
        assert "countersign roles" in told.value.hint
        migrate_server(driver_url(new), "0003")
        with pytest.raises(SetupError, match="made for this login"):
            migrate_server(worker)


def test_the_sql_can_be_printed_for_whoever_runs_the_server() -> None:
    printed = CliRunner().invoke(countersign, ["roles", "--print"])
    assert printed.exit_code == 0
    assert printed.output.splitlines()[0] == "BEGIN;"
    assert all(f"{line};" in printed.output for line in statements())
    assert all(role in printed.output for role in ROLES)


def test_without_a_server_there_are_none(tmp_path: Path) -> None:
    told = CliRunner().invoke(countersign, ["roles"], env={"COUNTERSIGN_DATA": str(tmp_path)})
    assert "SQLite has no roles" in str(told.exception)
