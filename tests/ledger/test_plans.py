"""However many cases there are, what one case's step looks up is found by an index: no table is read through."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import event

from tests.support.folders import quick_folder
from tests.support.till import Till, open_till, pay, write

_MANY = ("case", "inbox", "action", "decision", "review", "vote", "run", "trace", "audit", "timer", "cost", "outbox")
"""Tables that grow with the cases."""


@contextmanager
def _heard(till: Till) -> Iterator[dict[str, Any]]:
    """Each statement that the ledger is asked meanwhile, with parameters that it had."""
    said: dict[str, Any] = {}

    def hear(
        _connection: object, _cursor: object, statement: str, parameters: Any, _context: object, many: bool
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")) and not many:
            said[statement] = parameters

    event.listen(till.house.database.engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(till.house.database.engine, "before_cursor_execute", hear)


def _read_through(file: sqlite3.Connection, statement: str, parameters: Any) -> list[str]:
    plan = [str(row[3]) for row in file.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    return [step for step in plan if re.match(rf"SCAN ({'|'.join(_MANY)})\b(?! USING (COVERING )?INDEX)", step)]


async def test_no_table_is_read_through_while_a_case_takes_its_way() -> None:
    with quick_folder() as folder:
        async with open_till(folder) as till:
            with _heard(till) as said:
                case = await till.run([pay("60.00"), write()], key="one")
                await till.approve("ann", case)
                await till.later(minutes=1)
            assert len(said) > 40
            with closing(sqlite3.connect(folder / "ledger.db")) as file:
                found = {s: steps for s, parameters in said.items() if (steps := _read_through(file, s, parameters))}
    assert found == {}


async def test_housekeeping_reads_no_table_through_either() -> None:
    with quick_folder() as folder:
        async with open_till(folder) as till:
            case = await till.run([write()])
            with _heard(till) as said:
                till.clock.advance(timedelta(days=40))
                await till.house.housekeeper.run()
            assert await till.trace(case, "case.pruned")
            with closing(sqlite3.connect(folder / "ledger.db")) as file:
                found = {s: steps for s, parameters in said.items() if (steps := _read_through(file, s, parameters))}
    assert found == {}
