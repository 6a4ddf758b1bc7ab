"""The second guard: the database itself refuses a run that nobody let, whatever the program above it does.

These are the rules of `engine/votes.py` and `engine/executor.py`, written a second time and in another
language, so that a mistake in one of them is caught by the other. They hold for whoever has the
connection: only who may drop a trigger can get around them. A migration that changes a table which they
read takes them away first (`remove`) and puts them back at its end (`install`).
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, inspect

from ledger import guards_postgres, guards_sqlite

TRIGGERS: Mapping[str, str] = {
    **{f"run_guard_{change}": "run" for change in ("insert", "update", "delete")},
    **{f"review_guard_{change}": "review" for change in ("insert", "update", "delete")},
}
"""Each trigger, and the table that it guards."""


def install(connection: Connection) -> None:
    """Puts the guard on runs and reviews. It is not there yet.

    Before version 0004 a run took nothing back, and no case was a copy; before version 0007 nobody passed a question
    on or took back what was decided, and who holds tokens of whom is asked from there on. What the guard says fits the
    columns.
    """
    takes_back, desk_work = _has(connection, "run", "compensates"), _has(connection, "review", "undo_until")
    if connection.dialect.name == "sqlite":
        _execute(connection, *guards_sqlite.views(desk_work), *guards_sqlite.triggers(takes_back, desk_work))
    else:
        made = guards_postgres.functions(_schema(connection), takes_back, desk_work)
        _execute(connection, *made, *guards_postgres.TRIGGERS)


def remove(connection: Connection) -> None:
    """Takes the guard away: for migrations, and to see that the program alone holds what it promises."""
    if connection.dialect.name == "sqlite":
        _execute(connection, *(f"DROP TRIGGER IF EXISTS {name}" for name in TRIGGERS))
        _execute(connection, *(f"DROP VIEW IF EXISTS {name}" for name in reversed(guards_sqlite.VIEWS)))
    else:
        for table in dict.fromkeys(TRIGGERS.values()):
            _execute(connection, f"DROP TRIGGER IF EXISTS {table}_guard_truncate ON {table}")
        _execute(connection, *(f"DROP TRIGGER IF EXISTS {name} ON {table}" for name, table in TRIGGERS.items()))
        _execute(connection, *(f"DROP FUNCTION IF EXISTS {name}()" for name in guards_postgres.FUNCTIONS))


def append_only(connection: Connection, tables: Mapping[str, str]) -> None:
    """Rows of these tables are only ever added. With each: in what a new row would replace an older one."""
    if connection.dialect.name == "sqlite":
        _execute(connection, *(sql for table, taken in tables.items() for sql in guards_sqlite.kept(table, taken)))
    else:
        _execute(connection, guards_postgres.KEPT)
        _execute(connection, *(sql for table in tables for sql in guards_postgres.kept(table)))


def forget_append_only(connection: Connection) -> None:
    """After the last of those tables was dropped, with its triggers."""
    if connection.dialect.name != "sqlite":
        _execute(connection, f"DROP FUNCTION IF EXISTS {guards_postgres.KEEPER}()")


def _has(connection: Connection, table: str, column: str) -> bool:
    return column in {each["name"] for each in inspect(connection).get_columns(table)}


def _schema(connection: Connection) -> str:
    return str(connection.exec_driver_sql("SELECT current_schema()").scalar())


def _execute(connection: Connection, *statements: str) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement)
