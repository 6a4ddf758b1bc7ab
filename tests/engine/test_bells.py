"""Doorbells, one suite for both: tasks of this process, and a durable queue. Each opens a whole house."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from core.ports import CallContext
from core.settings import EngineSettings
from core.states import CaseStatus, RunStatus
from graphs.kind import Outside, TaskKind
from tests.support.folders import quick_folder
from tests.support.till import Till, open_till, pay, write
from tests.support.till_kind import KIND
from tools.contract import Tool
from tools.fulfillment.faults import Fault, PlannedFault

Bell = Literal["tasks", "queue"]
BELLS: list[Bell] = ["tasks", "queue"]
C = CaseStatus


class Watch:
    """How many calls of tools run side by side: in any one case, and in all of them."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most_of_a_case = self.most = 0

    def kind(self) -> TaskKind:
        return replace(KIND, tools=lambda outside: [self._watched(tool) for tool in self._tools(outside)])

    def _tools(self, outside: Outside) -> list[Tool[Any]]:
        return list(KIND.tools(outside))

    def _watched(self, tool: Tool[Any]) -> Tool[Any]:
        async def run(args: Any, context: CallContext) -> BaseModel:
            self.now[context.case_id] += 1
            self.most = max(self.most, self.now.total())
            self.most_of_a_case = max(self.most_of_a_case, *self.now.values())
            try:
                return await tool.run(args, context)
            finally:
                self.now[context.case_id] -= 1

        return replace(tool, run=run)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture(params=BELLS)
def bell(request: pytest.FixtureRequest) -> Bell:
    found: Bell = request.param
    return found


@pytest.fixture
def data() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder / "house"


@pytest.fixture
async def till(data: Path, bell: Bell, watch: Watch) -> AsyncIterator[Till]:
    async with open_till(data, bell=bell, kind=watch.kind()) as opened:
        yield opened


async def test_every_ring_is_answered_and_ringing_again_does_nothing_twice(till: Till, watch: Watch) -> None:
    till.fail(PlannedFault(operation="note.write", fault=Fault.SLOW, seconds=0.05, times=100))
    cases = [await till.submit([write()], [write(text="again")], customer=f"cus_{n}") for n in range(6)]
    while any([await till.status(case) is not C.CLOSED for case in cases]):
        await till.house.sweeper.sweep()  # rings for whatever is not worked off, also what is in work
        await asyncio.sleep(0.01)
    assert [await till.happened(case) for case in cases] == [["note.write"] * 2] * 6
    assert till.model.calls == 6 * 4  # a plan, two turns and an end each: no segment ran beside another
    assert watch.most_of_a_case == 1
    assert watch.most > 1
    assert (await till.check()).findings == []

    waiting = await till.run([pay("100.00")])
    before = till.model.calls
    for _ in range(5):
        await till.house.sweeper.sweep()
    await till.approve("ann", waiting)
    await till.house.sweeper.sweep()
    await till.settle(waiting)
    assert await till.happened(waiting) == ["gift.pay"]
    assert till.model.calls == before + 1


async def test_closing_lets_what_runs_come_to_its_end_and_opening_goes_on_with_the_rest(data: Path, bell: Bell) -> None:
    engine = EngineSettings(sweep_s=3600, concurrency=1)
    async with open_till(data, bell=bell, engine=engine) as till:
        till.fail(PlannedFault(operation="note.write", fault=Fault.SLOW, seconds=0.2, times=100))
        cases = [await till.submit([write()], customer=f"cus_{n}") for n in range(4)]
        await till.until(cases[0], "effect.started")
    async with open_till(data, bell=bell, engine=engine) as till:
        await till.settle(*cases)
        assert [await till.status(case) for case in cases] == [C.CLOSED] * 4
        assert [await till.happened(case) for case in cases] == [["note.write"]] * 4
        runs = [run for case in cases for run in await till.runs(case)]
        assert [(run.status, run.attempts) for run in runs] == [(RunStatus.DONE, 1)] * 4
        assert (await till.check()).findings == []
