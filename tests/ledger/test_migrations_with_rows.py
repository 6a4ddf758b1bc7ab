"""A ledger of each version with rows in it goes up, down and up again, in both kinds of database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, inspect, select, text
from sqlalchemy.exc import IntegrityError

from core.errors import Conflict
from ledger import guards
from ledger.migrate import HEAD, migrate
from tests.support.guarded import SERVERS, Server, no_postgres, open_server
from tests.support.records import everything

VERSIONS = ["0001", "0002", "0003", HEAD]
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(params=SERVERS)
def full(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A row in each table. They tell no story that the guard would let pass: it is put back afterwards."""
    with open_server(request.param) as server:
        with server.engine.begin() as connection:
            guards.remove(connection)
        server.database.transact("default", everything)
        with server.engine.begin() as connection:
            guards.install(connection)
        yield server


def rows(server: Server) -> Rows:
    with server.engine.connect().execution_options(writes=False) as connection:
        names = [name for name in inspect(connection).get_table_names() if not name.startswith("alembic")]
        found: Rows = {}
        for name in names:
            table = Table(name, MetaData(), autoload_with=connection)
            found[name] = [dict(row) for row in connection.execute(select(table)).mappings()]
        return found


def guarded(server: Server) -> bool:
    """Whether the guard stands: nobody makes an end of a run but once."""
    try:
        server.sql("DELETE FROM run")
    except IntegrityError:
        return True
    return False


def within(whole: Rows, part: Rows) -> bool:
    """Whether the rows of `part`, with the columns that they have, are those of `whole`."""

    def cut(row: dict[str, Any], to: dict[str, Any]) -> str:
        return json.dumps({name: row[name] for name in to}, sort_keys=True, default=str)

    return all(
        [cut(row, to) for row, to in zip(whole[name], those, strict=True)] == [cut(to, to) for to in those]
        for name, those in part.items()
    )


_ASKED = pytest.mark.skipif(bool(no_postgres()), reason=no_postgres())
PLACES = [pytest.param("sqlite", version) for version in VERSIONS]
PLACES += [pytest.param("postgresql", version, marks=_ASKED) for version in ("0001", "0003")]


@pytest.mark.parametrize(("full", "version"), PLACES, indirect=["full"])
def test_up_down_and_up_again_with_rows(full: Server, version: str) -> None:
    newest = rows(full)
    assert all(len(each) == 1 for each in newest.values())
    assert full.migrate(version) == version
    then = rows(full)
    assert within(newest, then)
    assert full.migrate("head") == HEAD
    assert within(rows(full), then)
    assert guarded(full)
    assert full.migrate(version) == version
    assert rows(full) == then
    assert full.migrate("head") == HEAD
    assert within(rows(full), then)
    assert full.database.transact("default", lambda ledger: ledger.audit.verify("default")) == (1, None)
    assert full.database.transact("default", lambda ledger: ledger.cases.backlog()) == 1


@pytest.mark.parametrize("name", SERVERS)
def test_one_that_breaks_off_leaves_the_version_before(name: str) -> None:
    with open_server(name, "0003") as server:
        before = rows(server)
        server.sql("CREATE TABLE arrival (something_else integer)")  # in the way of the last table
        with pytest.raises(Exception, match="arrival"):
            server.migrate("head")
        server.sql("DROP TABLE arrival")
        assert rows(server) == before
        assert server.value("SELECT version_num FROM alembic_version") == "0003"
        assert server.migrate("head") == HEAD


def test_of_several_processes_at_once_one_migrates() -> None:
    """In a file; on a server, see the stories of the guard there."""
    with open_server("sqlite", "0002") as server, ProcessPoolExecutor(3, get_context("fork")) as pool:
        path = Path(str(server.engine.url.database))
        assert list(pool.map(migrate, [path] * 3)) == [HEAD] * 3
        assert server.value("SELECT count(*) FROM alembic_version") == 1


@pytest.mark.parametrize("full", ["sqlite"], indirect=True)
def test_what_would_be_lost_is_counted_and_named(full: Server) -> None:
    path = str(full.engine.url.database)
    with full.engine.begin() as connection:
        guards.remove(connection)
        connection.execute(text("UPDATE \"case\" SET held = 'new prompt', priority = 3"))
        connection.execute(text("UPDATE run SET counted_by = '{\"card\": 1}'"))
    with pytest.raises(Conflict) as kept:
        migrate(Path(path), "0001")
    for lost in (
        "1 cases held or bound",
        "1 cases with a priority",
        "1 published versions",
        "1 runs that policy counts",
    ):
        assert lost in kept.value.detail
    assert full.value("SELECT version_num FROM alembic_version") == HEAD
