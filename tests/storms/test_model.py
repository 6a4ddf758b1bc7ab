"""Whatever comes in whatever order: submit, vote, pause, resume, cancel, time, deaths. A few lines say what must be.

The same is drawn each time. COUNTERSIGN_SEED draws something else, COUNTERSIGN_EXAMPLES more of it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from core.errors import Conflict
from core.settings import EngineSettings
from core.states import FINISHED, CaseStatus, Desired
from ledger.database import Ledger
from tests.support.crashes import Crashes
from tests.support.folders import quick_folder
from tests.support.till import Till, open_till, pay, write

T = TypeVar("T")
SEED = int(os.environ.get("COUNTERSIGN_SEED", "11"))
SETTINGS = settings(
    max_examples=int(os.environ.get("COUNTERSIGN_EXAMPLES", "8")),
    stateful_step_count=15,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
ENGINE = EngineSettings(sweep_s=3600, lease_s=0.2)
POINTS = ("", "gift.pay:before", "gift.pay:after", "note.write:before", "note.write:after", "saver:3:after")
SEEN: Counter[str] = Counter()
MOST = 6
"""Cases of one example."""
WITHIN = timedelta(hours=4)
"""How long the till's clerks have."""


@dataclass
class Told:
    """A case as the model has it. `answer` is what people said, or what their silence came to."""

    id: str
    asks: bool
    opened: timedelta
    answer: str = ""
    paused: bool = False
    over: str = ""
    paid: bool = False

    @property
    def waits(self) -> bool:
        return self.asks and not self.answer and not self.over

    def settle(self) -> None:
        """What runs when nothing holds it."""
        if self.over or self.paused or self.waits:
            return
        self.over, self.paid = "closed", not self.asks or self.answer == "approve"

    @property
    def status(self) -> CaseStatus:
        if self.over:
            return CaseStatus(self.over)
        return CaseStatus.PAUSED if self.paused else CaseStatus.WAITING

    @property
    def happened(self) -> list[str]:
        done = self.over == "closed"
        return ["gift.pay"] * (self.paid and done) + ["note.write"] * done


class Engine(RuleBasedStateMachine):
    prepared: Path

    def __init__(self) -> None:
        super().__init__()
        self._doors = AsyncExitStack()
        self._runner = asyncio.Runner()
        self._folder = quick_folder()
        shutil.copytree(self.prepared, home := self._folder.__enter__() / "house")
        self._crashes = Crashes()
        self.now = timedelta()
        self.told: list[Told] = []
        self.till: Till = self._do(
            self._doors.enter_async_context(open_till(home, kind=self._crashes.kind(), engine=ENGINE))
        )

    def teardown(self) -> None:
        try:
            report = self._do(self.till.check())
            assert report.findings == []
        finally:
            self._do(self._doors.aclose())
            self._runner.close()
            self._folder.__exit__(None, None, None)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def _steady(self) -> None:
        self._do(self.till.steady(*(each.id for each in self.told)))
        for each in self.told:
            each.settle()
            SEEN[f"{each.status}, {each.answer}"] += 1

    @rule(
        what=st.sampled_from(("submit", "vote", "want", "want", "time_passes", "sweep")),
        which=st.integers(0, MOST),
        asks=st.booleans(),
        dies=st.sampled_from(POINTS),
        choice=st.sampled_from(("approve", "reject")),
        twice=st.booleans(),
        desired=st.sampled_from(list(Desired)),
        hours=st.sampled_from((0.1, 1.0, 3.0)),
    )
    def step(
        self, what: str, which: int, asks: bool, dies: str, choice: str, twice: bool, desired: Desired, hours: float
    ) -> None:
        """One rule for all: hypothesis would leave whole rules out of most of so few examples."""
        match what if self.told else "submit":
            case "submit":
                self.submit(asks, dies)
            case "vote":
                self.vote(which, choice, twice)
            case "want":
                self.want(which, desired)
            case "time_passes":
                self.time_passes(hours)
            case _:
                self._do(self.till.house.sweeper.sweep())
        self._steady()

    def submit(self, asks: bool, dies: str) -> None:
        if len(self.told) == MOST:
            return
        account = f"acc_{len(self.told)}"
        self._crashes.points.append(dies)
        self._do(self.till.set_balance("1000.00", account))
        amount = "100.00" if asks else "10.00"
        customer = f"cus_{len(self.told)}"
        case = self._do(self.till.submit([pay(amount, account)], [write()], customer=customer))
        self._crashes.of_case[case] = self._crashes.points.pop() if self._crashes.points else dies
        self.told.append(Told(case, asks, self.now))

    def vote(self, which: int, choice: str, twice: bool) -> None:
        found = [each for each in self.told if each.waits]
        if not found:
            return
        case = found[which % len(found)]
        review = self._do(self.till.review(case.id)).id
        seen = self._do(self.till.seen(review))
        more = {"reason_code": "wrong_amount"} if choice == "reject" else {}
        for _ in range(1 + twice):
            self._do(self.till.vote("ann", review, choice, key=review, wait=False, seen=seen, **more))
        case.answer = choice

    def want(self, which: int, desired: Desired) -> None:
        case = self.told[which % len(self.told)]
        if case.over:
            with pytest.raises(Conflict):
                self._do(self.till.want(case.id, desired))
            return
        self._do(self.till.want(case.id, desired))
        case.paused = desired is Desired.PAUSE
        if desired is Desired.CANCEL:
            case.over = "cancelled"

    def time_passes(self, hours: float) -> None:
        self.now += timedelta(hours=hours)
        self._do(self.till.later(hours=hours))
        for case in self.told:
            if case.waits and self.now - case.opened >= WITHIN:
                case.answer = "expired"

    @invariant()
    def it_is_as_told(self) -> None:
        def statuses(ledger: Ledger) -> list[str]:
            return [ledger.cases.get(each.id).status for each in self.told]

        assert self._do(self.till.read(statuses)) == [each.status for each in self.told]
        log = self._do(self.till.shop.log())
        for each in self.told:
            assert [call.operation for call in log if call.case_id == each.id] == each.happened, each
        over = [each for each in self.told if each.over]
        assert all(each.status in FINISHED for each in over)


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    async def open_and_close(folder: Path) -> None:
        async with open_till(folder):
            pass

    with quick_folder() as folder:
        asyncio.run(open_and_close(folder / "house"))
        yield folder / "house"


def test_the_engine_does_what_a_few_lines_say(prepared: Path) -> None:
    machine = type("Prepared", (Engine,), {"prepared": prepared})
    run_state_machine_as_test(seed(SEED)(machine), settings=SETTINGS)
    assert {each.split(",")[0] for each in SEEN} == {"closed", "waiting", "paused", "cancelled"}, SEEN
