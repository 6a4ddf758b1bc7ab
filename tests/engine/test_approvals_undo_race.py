"""Taking back against going on: of the two one happens, in every trial, on both databases.

A reviewer takes an approval back in the last moment for it, while a worker with connections of its own lets go on what
is due in the first one after. The worker's executor tries the action before that, too, and however the timer went.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from core.actions import Effect, ProposedAction, ToolSpec
from core.clock import FakeClock
from core.errors import AlreadyDecided, ProviderUnavailable
from core.money import Money
from core.people import Person
from core.ports import CallContext
from core.states import ReviewStatus
from core.verdicts import Fact, Review
from engine.decisions import Choice, Decision
from engine.executor import Executor, _Taken
from engine.gate import Gate
from engine.journal import Journal
from engine.rates import RateCard
from engine.reviews import ReviewDesk
from engine.stream import Stream
from engine.sweeper import Sweeper
from engine.undo_window import UndoTerms
from ledger.database import Database, Ledger, sqlite_database
from ledger.migrate import migrate, migrate_server
from ledger.server import driver_url, server_database
from ledger.tables import SYSTEM
from policies.shelf import BookJudge
from tests.support.folders import quick_folder
from tests.support.reckoning import read_book
from tests.support.servers import fresh_database, needs_postgres
from tests.support.till import usd
from tests.support.till_kind import BOOK

TRIALS = int(os.environ.get("COUNTERSIGN_TRIALS", "40"))
WINDOW, INSTANT = timedelta(seconds=30), timedelta(microseconds=1)
ANN = Person(id="ann", roles=frozenset({"clerk"}))


class _Specs:
    def __init__(self, specs: Mapping[str, ToolSpec[Any]]) -> None:
        self._specs = specs

    def specs(self) -> Mapping[str, ToolSpec[Any]]:
        return self._specs

    async def call(self, tool: str, args: Mapping[str, Any], context: CallContext) -> dict[str, Any]:
        raise NotImplementedError

    async def lookup(self, tool: str, key: str) -> dict[str, Any] | None:
        raise NotImplementedError


class Process:
    """What one process has of its own: connections, a desk, an executor, a sweeper."""

    def __init__(self, database: Database, name: str) -> None:
        self.database = database
        book, stream = read_book(BOOK.read_text()), Stream()
        tools = _Specs(book.vocabulary.specs)
        self.gate = Gate(database, tools, BookJudge({"till": book}), {}, Journal(database, stream, RateCard()), stream)
        self.executor = Executor(database, tools, self.gate, stream, worker=name, lease=timedelta(seconds=30))
        self.desk = ReviewDesk(
            database, tools, self.gate, stream, RateCard(), self._ring, UndoTerms(WINDOW.total_seconds())
        )
        self.sweeper = Sweeper(database, self.desk, self.executor, stream, self._ring, every_s=1, whole=False)

    async def _ring(self, workspace: str, case_id: str) -> None:
        """Nobody listens."""

    def ask(self, number: int) -> tuple[ProposedAction, str, str]:
        return self.database.transact("default", partial(self._ask, number=number))

    def _ask(self, ledger: Ledger, number: int) -> tuple[ProposedAction, str, str]:
        customer = f"cus_{number}"
        payload = {"customer": customer, "script": [], "loop": False}
        case, _ = ledger.cases.open(kind="till", payload=payload, subject=customer, opened_by="ops", request_key=None)
        action = ProposedAction(
            workspace="default",
            case_id=case.id,
            kind="till",
            tool="gift.pay",
            schema_version=1,
            args={"account_id": "acc_1", "amount": usd("60.00")},
            proposer="agent:till",
            step_key="1.0",
        )
        ledger.effects.propose(action, effect=Effect.IRREVERSIBLE, described="Pay 60.00")
        verdict = self.gate.decide(ledger, action, customer, self._facts())
        assert isinstance(verdict, Review)
        ledger.effects.decided(action.id, "gate", verdict)
        review = self.desk.open(ledger, case, action.id, f"i{number}", verdict)
        return action, review.id, ledger.reviews.saw(review, action.args)

    def _facts(self) -> dict[str, Fact]:
        now = self.database.clock.now()
        return {
            "account.exists": Fact(value=True, source="shop", at=now),
            "account.balance": Fact(value=Money.of(1000, "USD"), source="shop", at=now, witnessed=True),
        }

    def takes_back(self, review: str, start: threading.Barrier, late_s: float) -> bool:
        """Whether the approval was taken back."""
        start.wait()
        time.sleep(late_s)
        with suppress(AlreadyDecided):
            return asyncio.run(self.desk.undo(ANN, review)).status is ReviewStatus.OPEN
        return False

    def goes_on(self, action: ProposedAction, start: threading.Barrier, clock: FakeClock, *, early: bool) -> bool:
        """Whether the effect has begun. `early`: it is tried before its time as well."""
        start.wait()
        begun = early and self._reserve(action)
        clock.advance(INSTANT)
        asyncio.run(self.sweeper.sweep())
        return self._reserve(action) or begun

    def _reserve(self, action: ProposedAction) -> bool:
        """Whether it may call the provider: the run is there."""
        now = self.database.clock.now()
        step = partial(self.executor._reserve, action=action, facts=self._facts(), asked_at=now)
        with suppress(_Taken, ProviderUnavailable):
            return self.database.transact("default", step) is None
        return False


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[[], Database]]:
    if request.param == "sqlite":
        with quick_folder() as folder:
            migrate(folder / "ledger.db")
            yield lambda: sqlite_database(folder / "ledger.db", FakeClock())
        return
    with fresh_database() as url:
        migrate_server(driver_url(url))
        yield lambda: server_database(url, connections=2)


def test_what_is_taken_back_never_runs_and_what_runs_is_never_taken_back(connect: Callable[[], Database]) -> None:
    reviewer, worker = Process(connect(), "reviewer"), Process(connect(), "worker")
    clock = FakeClock()
    for each in (reviewer, worker):
        each.database.clock = clock
    reviewer.database.transact(
        SYSTEM, lambda ledger: ledger.people.add("default", "ann", frozenset({"clerk"})) and None
    )
    late_s, ends = 0.002, Counter[str]()
    with ThreadPoolExecutor(2) as threads:
        for number in range(TRIALS):
            action, review, seen = reviewer.ask(number)
            asyncio.run(reviewer.desk.decide(ANN, review, Decision(choice=Choice.APPROVE, seen=seen)))
            clock.advance(WINDOW - INSTANT)  # the last moment at which it may be taken back
            start = threading.Barrier(2)
            back = threads.submit(reviewer.takes_back, review, start, late_s)
            ran = threads.submit(worker.goes_on, action, start, clock, early=number % 8 == 0)
            taken, went = back.result(), ran.result()
            end = reviewer.database.transact("default", partial(_end, action=action), writes=False)
            assert (taken, went) in ((True, False), (False, True)), (number, taken, went)
            assert end == ("taken back" if taken else "ran"), (number, end)
            ends[end] += 1
            late_s *= 1.5 if taken else 0.6  # so the two come ever closer
    for each in (reviewer, worker):
        each.database.close()
    assert ends.total() == TRIALS
    assert len(ends) == 2, ends  # each of them came first now and then


def _end(ledger: Ledger, action: ProposedAction) -> str:
    asked = ledger.reviews.of_action(action.id)
    ran = ledger.effects.run(action.id) is not None
    statuses = [ReviewStatus(each.status) for each in asked]
    if ran and statuses == [ReviewStatus.APPROVED]:
        return "ran"
    if not ran and statuses == [ReviewStatus.SUPERSEDED, ReviewStatus.OPEN]:
        return "taken back"
    return f"{'ran' if ran else 'did not run'}, {statuses}"
