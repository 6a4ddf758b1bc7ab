"""Many at once: a cap holds whoever is first, and a question is decided once."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.actions import Effect, OutcomeStatus, ProposedAction, ToolOutcome, ToolSpec
from core.clock import SystemClock
from core.errors import AlreadyDecided, CountersignError
from core.money import Money
from core.people import Person
from core.ports import CallContext
from core.states import CaseStatus, ReviewStatus, RunStatus
from core.verdicts import Fact
from engine.decisions import Choice, Decision
from engine.executor import Executor, _Another, _Taken
from engine.gate import Gate
from engine.journal import Journal
from engine.outcomes import outcome_of
from engine.rates import RateCard
from engine.reviews import ReviewDesk
from engine.stream import Stream
from ledger.database import Database, Ledger, sqlite_database
from ledger.migrate import migrate_server
from ledger.server import driver_url, server_database
from policies.shelf import BookJudge
from tests.guarantee.stage import STAFF, Stage, empty_house, on_stage, play
from tests.support.reckoning import Ticking, read_book
from tests.support.servers import fresh_database, needs_postgres
from tests.support.till import open_till, pay, usd
from tests.support.till_kind import BOOK

DENIES = ("decide: review by desk\n  when: customer.paid", "decide: deny\n  when: customer.paid")
"""Beyond the day's cap nothing is paid, whoever would approve it."""
CAP = 400


@pytest.fixture
def folder() -> Iterator[Path]:
    with empty_house() as made:
        yield made


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_hundred_payments_of_a_customer_stay_below_the_cap_of_a_day(folder: Path, at_once: int) -> None:
    """In a hundred cases, or in fifty with two in each turn; people approve what they are asked, all at once."""
    amounts = random.Random(7).choices(["3.00", "9.50", "21.00", "48.00", "60.00"], k=100)

    async def story(stage: Stage) -> int:
        stage.change_policy(*DENIES)
        for first in range(0, 100, at_once):
            turn = [pay(amount, f"acc_{1 + n % 2}") for n, amount in enumerate(amounts[first : first + at_once])]
            await stage.submit(turn, wait=False)
        await stage.calm()
        for review in await stage.waiting():
            with suppress(CountersignError):
                await stage.vote("ann", review.id, wait=False)
        await stage.calm()
        stage.check()
        runs = stage.oracle.rows["run"].values()
        assert all([await stage.till.status(case) is CaseStatus.CLOSED for case in stage.cases])
        return sum(stage.oracle.rows["action"][run["action_id"]]["args"]["amount"]["amount_minor"] for run in runs)

    paid = play(_on(folder, story))
    assert CAP * 100 - 300 < paid <= CAP * 100  # all that fits, and no cent more


async def _on(folder: Path, story: Any) -> Any:
    async with on_stage(folder) as stage:
        return await story(stage)


def test_fifty_votes_at_once_are_one_decision(folder: Path) -> None:
    async def story(stage: Stage) -> tuple[int, list[str]]:
        case = await stage.submit([pay("100.00")])
        (review,) = await stage.waiting(case)
        seen = await stage.till.seen(review.id)
        votes = [stage.vote(("ann", "ben")[n % 2], review.id, seen=seen, wait=False) for n in range(50)]
        answers = await asyncio.gather(*votes, return_exceptions=True)
        await stage.calm()
        stage.check()
        entries = [row["type"] for row in stage.oracle.rows["audit"].values() if row["case_id"] == case]
        assert all(isinstance(each, CountersignError) for each in answers if isinstance(each, BaseException))
        return sum(not isinstance(each, BaseException) for each in answers), entries

    accepted, entries = play(_on(folder, story))
    assert accepted == 1
    assert entries.count("review.approved") == entries.count("effect.started") == entries.count("effect.done") == 1


# Several processes on one file. A house keeps its folder to itself, so here its transaction is called without one.

WORKERS = 8


class Worker:
    """What a process has of its own: a connection and an executor, and no memory of what others do."""

    def __init__(self, database: Database, name: str, text: str, effect: Effect) -> None:
        self.database = database
        book, stream = read_book(text), Stream()
        tools = _Specs({each: replace(spec, effect=effect) for each, spec in book.vocabulary.specs.items()})
        gate = Gate(
            self.database, tools, BookJudge({"till": book}), {}, Journal(self.database, stream, RateCard()), stream
        )
        self._executor = Executor(self.database, tools, gate, stream, worker=name, lease=timedelta(seconds=30))
        self._desk = ReviewDesk(self.database, tools, gate, stream, RateCard(), _no_bell)

    def reserve(self, action: ProposedAction) -> ToolOutcome | None:
        """None where it may call the provider; there it succeeds at once."""
        while True:
            now = self.database.clock.now()
            facts = {
                "account.exists": Fact(value=True, source="shop", at=now),
                "account.balance": Fact(value=Money.of(1000, "USD"), source="shop", at=now, witnessed=True),
            }
            step = partial(self._executor._reserve, action=action, facts=facts, asked_at=now)
            try:
                stop = self.database.transact("default", step)
            except _Taken:
                return outcome_of(action, OutcomeStatus.DENIED, reason="another worker runs this action")
            if isinstance(stop, _Another):
                time.sleep(0.001)
                continue
            assert stop is None or isinstance(stop, ToolOutcome)
            if stop is None:
                self.database.transact("default", lambda ledger: _done(ledger, action))
            return stop

    def vote(self, name: str, review: str) -> ReviewStatus | None:
        """What became of the question; None where the vote came too late."""

        def look(ledger: Ledger) -> str:
            row = ledger.reviews.get(review)
            return ledger.reviews.saw(row, ledger.effects.action(row.action_id).args)

        decision = Decision(choice=Choice.APPROVE, seen=self.database.transact("default", look, writes=False))
        person = Person(id=name, roles=STAFF[name])
        with suppress(AlreadyDecided):
            return asyncio.run(self._desk.decide(person, review, decision)).status
        return None


async def _no_bell(workspace: str, case_id: str) -> None:
    """Nobody listens."""


class _Specs:
    """Tools that are only looked at."""

    def __init__(self, specs: Mapping[str, ToolSpec[Any]]) -> None:
        self._specs = specs

    def specs(self) -> Mapping[str, ToolSpec[Any]]:
        return self._specs

    async def call(self, tool: str, args: Mapping[str, Any], context: CallContext) -> dict[str, Any]:
        raise NotImplementedError

    async def lookup(self, tool: str, key: str) -> dict[str, Any] | None:
        raise NotImplementedError


def _done(ledger: Ledger, action: ProposedAction) -> None:
    assert ledger.effects.finish(action.id, RunStatus.DONE, {}, "")


def _propose(ledger: Ledger, amount: str) -> ProposedAction:
    payload = {"customer": "cus_1", "script": [], "loop": False}
    case, _ = ledger.cases.open(kind="till", payload=payload, subject="cus_1", opened_by="ops", request_key=None)
    action = ProposedAction(
        workspace="default",
        case_id=case.id,
        kind="till",
        tool="gift.pay",
        schema_version=1,
        args={"account_id": "acc_1", "amount": usd(amount)},
        proposer="agent:till",
        step_key="1.0",
    )
    ledger.effects.propose(action, effect=Effect.IRREVERSIBLE, described=f"Pay {amount}")
    return action


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def connect(request: pytest.FixtureRequest, folder: Path) -> Iterator[Callable[[], Database]]:
    """Opens the one ledger of a story, with connections of its own each time."""
    if request.param == "sqlite":
        yield lambda: sqlite_database(folder / "ledger.db", SystemClock())
        return
    with fresh_database() as url:
        migrate_server(driver_url(url))
        yield lambda: server_database(url, connections=2)


@pytest.mark.parametrize("effect", [Effect.IRREVERSIBLE, Effect.REVERSIBLE])
def test_workers_with_connections_of_their_own_stay_below_the_cap(
    connect: Callable[[], Database], effect: Effect
) -> None:
    """Irreversible effects of one customer wait for each other; without that, the transaction alone has to do."""
    text = BOOK.read_text().replace(*DENIES)
    workers = [Worker(connect(), f"worker_{n}", text, effect) for n in range(WORKERS)]
    amounts = random.Random(3).choices(["3.00", "9.50", "21.00", "48.00"], k=100)
    actions = workers[0].database.transact("default", lambda ledger: [_propose(ledger, each) for each in amounts])
    start = threading.Barrier(WORKERS)

    def work(n: int) -> list[ToolOutcome | None]:
        """Each tries all of them, in an order of its own: every action is wanted by everybody."""
        start.wait()
        return [workers[n].reserve(action) for action in random.Random(n).sample(actions, len(actions))]

    with ThreadPoolExecutor(WORKERS) as threads:
        answers = [answer for each in threads.map(work, range(WORKERS)) for answer in each]
    runs = workers[0].database.transact("default", lambda ledger: ledger.effects.all_runs(), writes=False)
    entries = workers[0].database.transact("default", lambda ledger: ledger.audit.entries(limit=5000), writes=False)
    for worker in workers:
        worker.database.close()
    amount_of = {action.id: action.args["amount"]["amount_minor"] for action in actions}
    paid = sum(amount_of[run.action_id] for run in runs)
    assert answers.count(None) == len(runs) > 10
    assert CAP * 100 - 300 < paid <= CAP * 100
    assert sum(each.type == "effect.started" for each in entries) == len(runs)


def test_workers_with_connections_of_their_own_decide_once(folder: Path) -> None:
    clock = Ticking(datetime.now(UTC))  # workers look at the time of day

    async def ask() -> str:
        async with open_till(folder, clock=clock) as till:
            return (await till.review(await till.run([pay("100.00")]))).id

    review = play(ask())
    ledgers = [sqlite_database(folder / "ledger.db", SystemClock()) for _ in range(WORKERS)]
    workers = [Worker(each, f"worker_{n}", BOOK.read_text(), Effect.IRREVERSIBLE) for n, each in enumerate(ledgers)]
    start = threading.Barrier(WORKERS)

    def work(n: int) -> list[ReviewStatus | None]:
        start.wait()
        return [workers[n].vote(("ann", "ben")[(n + each) % 2], review) for each in range(50 // WORKERS + 1)]

    with ThreadPoolExecutor(WORKERS) as threads:
        answers = [answer for each in threads.map(work, range(WORKERS)) for answer in each]
    for worker in workers:
        worker.database.close()
    assert len(answers) > 50
    assert [answer for answer in answers if answer] == [ReviewStatus.APPROVED]
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        assert db.execute("SELECT count(*) FROM vote WHERE review_id = ?", (review,)).fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM audit WHERE type = 'review.approved'").fetchone() == (1,)
