"""A policy tried on 100,000 recorded decisions, beside reading their rows and parsing their JSON."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Cost, Figure, Lap, Report, in_turns
from core.settings import Settings
from graphs.catalog import vocabulary
from graphs.returns.kind import KIND
from graphs.returns.rehearsal import rehearse
from ledger.database import Database, sqlite_database
from ledger.history import decisions
from ledger.tables import SYSTEM
from policies.backtest.trial import backtest
from policies.book import Book, read_book
from serving.house import open_house, owner
from tools.fulfillment.shop import EmbeddedShop

_CASES, _DECISIONS = 60, 100_000
_AIM = "30 s for 100,000"
_AIM_S = 30 / 100_000
_TIGHTER = ("auto_refund: [150 USD", "auto_refund: [20 USD")
_COPIED: Mapping[str, tuple[str, ...]] = {
    "case": ("id", "request_key"),
    "action": ("id", "case_id"),
    "decision": ("action_id",),
    "review": ("id", "case_id", "action_id", "interrupt_id", "edited_to"),
}
"""The columns that get another value in each copy; a serial number gets one by itself."""


async def measured(quick: bool) -> Report:
    wanted = 2_000 if quick else _DECISIONS
    with TemporaryDirectory() as folder:
        await _demo(Path(folder), 10 if quick else _CASES)
        many = _multiplied(Path(folder) / "ledger.db", wanted)
        old, new = _books()
        database = sqlite_database(Path(folder) / "ledger.db")
        ours, floor = await in_turns(
            1 if quick else 2,
            lambda: _tried(database, new, old, many),
            lambda: _read(Path(folder) / "ledger.db", many),
        )
        database.close()
    name, beside = f"a decision replayed, of {many:,}", "its rows from SQLite, their JSON parsed"
    aim, most_s = ("", None) if quick else (_AIM, _AIM_S)  # of few, the intervals take most of the time
    return Report([Figure(name, ours, beside, floor, aim=aim, most_s=most_s)])


async def _demo(folder: Path, cases: int) -> None:
    settings = Settings(data=folder)
    stage = rehearse(7, cases, datetime.now(UTC))
    async with open_house(settings, bell="tasks") as house:
        assert isinstance(house.shop, EmbeddedShop)
        await house.shop.load(stage.records)
        person = owner(settings)
        opened = {(await house.submit(person, KIND.name, payload))[0].id for _, payload in stage.requests}
        await house.settled(person.workspace, opened)


def _multiplied(path: Path, wanted: int) -> int:
    """Copies the rows of the demo under other names until there are so many decisions. Returns how many there are."""
    with closing(sqlite3.connect(path)) as ledger, ledger:
        first: int = ledger.execute("SELECT count(*) FROM decision WHERE stage = 'gate'").fetchone()[0]
        copies = -(-wanted // first)
        for table, renamed in _COPIED.items():
            names = [row[1] for row in ledger.execute(f'PRAGMA table_info("{table}")')]
            kept = [name for name in names if name != "id" or "id" in renamed]
            values = [f"{name} || '-' || copy.n" if name in renamed else f'"{name}"' for name in kept]
            gate = "WHERE stage = 'gate'" if table == "decision" else ""
            ledger.execute(
                f'INSERT INTO "{table}" ({", ".join(map(_quoted, kept))}) '
                "WITH RECURSIVE copy(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM copy WHERE n < ?) "
                f'SELECT {", ".join(values)} FROM (SELECT * FROM "{table}" {gate}), copy ORDER BY copy.n',
                (copies,),
            )
    return first * copies


def _quoted(name: str) -> str:
    return f'"{name}"'


def _books() -> tuple[Book, Book]:
    words, text = vocabulary(KIND.name), KIND.book.read_text()
    return read_book(KIND.book, words), read_book(("tighter.yaml", text.replace(*_TIGHTER)), words)


async def _tried(database: Database, new: Book, old: Book, many: int) -> Cost:
    lap = Lap()
    found = database.transact(
        SYSTEM, lambda ledger: backtest(decisions(ledger.session, KIND.name), new, earlier=[old]), writes=False
    )
    cost = lap.cost(many)
    if (found.replayed, found.reproduced) != (many, found.compared) or not found.changed:
        raise AssertionError(f"{found.replayed} replayed, {found.reproduced} reproduced, {found.changed} changed")
    return cost


async def _read(path: Path, many: int) -> Cost:
    query = (
        "SELECT action.args, decision.body FROM decision JOIN action ON action.id = decision.action_id "
        "WHERE decision.stage = 'gate' ORDER BY decision.id"
    )
    lap, read = Lap(), 0
    with closing(sqlite3.connect(path)) as ledger:
        for args, body in ledger.execute(query):
            json.loads(args)
            json.loads(body)
            read += 1
    if read != many:
        raise AssertionError(f"{read} of {many} decisions read")
    return lap.cost(many)
