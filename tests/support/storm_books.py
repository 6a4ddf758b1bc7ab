"""What a storm sees of the books while they are written, and how they are judged in the end."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from core.settings import Settings
from engine.checker import Checker, Finding
from ledger.audit import BrokenLink
from ledger.database import Ledger
from ledger.tables import SYSTEM
from serving.storage import open_storage
from tests.support.storm_business import Business, Due
from tools.fulfillment.http import HttpShop

T = TypeVar("T")
_PATIENCE_S = 60.0


@dataclass
class Books:
    """The ledger, by SQL of our own, and the provider's log. `server` is empty for a data folder."""

    ledger: Path
    server: str
    shop: Path
    _server: psycopg.Connection[Any] | None = None

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the ledger; waits for a database that is away. Placeholders are `?`."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._ask(query, values)
            except (psycopg.OperationalError, sqlite3.OperationalError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def _ask(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if self.server:
            if self._server is None or self._server.closed:
                self._server = psycopg.connect(self.server, autocommit=True, connect_timeout=5)
            return self._server.execute(query.replace("?", "%s").encode(), values).fetchall()
        with closing(sqlite3.connect(self.ledger, timeout=10)) as folder:
            return folder.execute(query, values).fetchall()

    def count(self, query: str, *values: Any) -> int:
        return int(self.ask(query, *values)[0][0])

    def in_the_air(self, worker: str) -> int:
        """Effects that a worker has begun and not told the end of."""
        return self.count("SELECT count(*) FROM run WHERE status = 'intent' AND worker = ?", worker)

    def acted(self, worker: str = "") -> int:
        """Entries of the provider's log; with the effects ledger off, a key says which worker's."""
        with closing(sqlite3.connect(f"file:{self.shop}?mode=ro", uri=True, timeout=10)) as shop:
            found = shop.execute("SELECT count(*) FROM log WHERE key LIKE ?", (f"%:{worker}:%" if worker else "%",))
            return int(found.fetchone()[0])

    def happened(self) -> dict[str, Counter[str]]:
        """Operations in the provider's log, by case."""
        found: dict[str, Counter[str]] = {}
        with closing(sqlite3.connect(f"file:{self.shop}?mode=ro", uri=True, timeout=10)) as shop:
            for case, operation in shop.execute("SELECT case_id, operation FROM log"):
                found.setdefault(case, Counter())[operation] += 1
        return found

    def outcome(self) -> Due:
        """How each case ended and what happened for it, by the key of its request."""
        happened = self.happened()
        cases = self.ask('SELECT request_key, id, status FROM "case" WHERE request_key IS NOT NULL')
        return {key: (status, happened.get(case, Counter())) for key, case, status in cases}


@dataclass
class Verdict:
    findings: list[Finding]
    """Of the project's own checker."""
    broken: list[BrokenLink]
    """Links of the audit chain that do not hold."""
    unlike: list[str]
    """Where the end differs from the oracle's."""
    lost: int
    duplicated: int

    @property
    def clean(self) -> bool:
        return not (self.findings or self.broken or self.unlike or self.lost or self.duplicated)


@contextmanager
def _opened(settings: Settings) -> Iterator[Any]:
    with open_storage(settings) as storage:
        yield storage.database


def enrol(settings: Settings, business: Business) -> dict[str, str]:
    """The people of a business, each with a token."""

    def add(ledger: Ledger) -> dict[str, str]:
        for name, roles in business.people.items():
            ledger.people.add("default", name, frozenset(roles))
        return {name: ledger.people.new_token("default", name, None) for name in business.people}

    return _transact(settings, add)


def _transact(settings: Settings, step: Callable[[Ledger], T]) -> T:
    with _opened(settings) as database:
        found: T = database.transact(SYSTEM, step)
        return found


async def judge(settings: Settings, business: Business, books: Books, due: Due | None) -> Verdict:
    """Compares the provider's log, the ledger, the chain and the oracle. No process of the house is left."""
    shop = HttpShop(settings.shop.url, settings.shop.token.get_secret_value(), 30)
    try:
        with _opened(settings) as database:
            report = await Checker(database, shop, business.tools(shop)).check()
            links = [
                database.transact(SYSTEM, lambda ledger, of=of: ledger.audit.verify(of)[1], writes=False)
                for of in database.transact(SYSTEM, lambda ledger: ledger.audit.workspaces(), writes=False)
            ]
    finally:
        await shop.close()
    unlike, lost, twice = _compare(books.outcome(), due) if due is not None else ([], 0, 0)
    return Verdict(
        findings=report.findings,
        broken=[link for link in links if link is not None],
        unlike=unlike,
        lost=max(lost, report.count("lost")),
        duplicated=max(twice, report.count("duplicated")),
    )


def _compare(found: Due, due: Due) -> tuple[list[str], int, int]:
    unlike, lost, twice = [], 0, 0
    for key, (status, operations) in due.items():
        ended, happened = found.get(key, ("never opened", Counter()))
        missing, more = operations - happened, happened - operations
        lost, twice = lost + missing.total(), twice + more.total()
        if ended != status or missing or more:
            unlike.append(f"{key} is {ended}, not {status}; missing {dict(missing)}, too many {dict(more)}")
    return unlike + [f"nobody asked for {key}" for key in found.keys() - due.keys()], lost, twice
