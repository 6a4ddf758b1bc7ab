"""Workers that die: at every checkpoint and every call, before and after; every effect happens once all the same."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from core.settings import EngineSettings
from core.states import CaseStatus, Desired, RunStatus
from engine.incidents import RECOVER
from ledger.database import Ledger
from tests.support.crashes import Crashes
from tests.support.till import Till, open_till, pay, write

C = CaseStatus
HAPPENS = ["gift.pay", "gift.pay", "letter.send", "note.write"]
ENGINE = EngineSettings(sweep_s=3600, lease_s=0.2, concurrency=4)


async def begin(till: Till, *names: str) -> list[str]:
    """The same story for each of them, with an account of their own: two calls at once, a question, a letter."""
    cases = []
    for name in names:
        await till.set_balance("1000.00", name)
        story = ([write(), pay("10.00", name)], [pay("60.00", name)], [write("letter.send")])
        cases.append(await till.submit(*story, customer=name))
    return cases


async def play(till: Till, *cases: str) -> None:
    """To the end, with the one approval that each case needs."""
    await till.steady(*cases)
    for case in cases:
        assert await till.status(case) is C.WAITING, (await till.case(case)).problem
        await till.vote("ann", (await till.review(case)).id, wait=False)
    await till.steady(*cases)


async def whole(till: Till, case: str) -> None:
    """As if nothing had been: all is done once, and paid once."""
    assert await till.status(case) is C.CLOSED
    assert sorted(await till.happened(case)) == HAPPENS
    assert {run.status for run in await till.runs(case)} == {RunStatus.DONE}
    costs = await till.read(lambda ledger: [cost.component for cost in ledger.costs.of_case(case)])
    assert costs.count("postage") == costs.count("platform") == costs.count("reviewer") == 1


async def test_a_worker_that_dies_at_any_checkpoint(folder: Path) -> None:
    quiet = Crashes()
    async with open_till(folder, kind=quiet.kind()) as till:
        (case,) = await begin(till, "quiet")
        await play(till, case)
        await whole(till, case)
    points = [f"saver:{n}:before" for n in range(1, quiet.writes[case] + 1)] + ["saver:1:after", "saver:9:after"]
    assert len(points) > 25
    crashes = Crashes(list(points))
    async with open_till(folder, kind=crashes.kind(), engine=ENGINE) as till:
        cases = await begin(till, *points)
        await play(till, *cases)
        assert sorted(crashes.deaths.values()) == sorted(points)
        for case in cases:
            await whole(till, case)
        assert (await till.check()).findings == []


async def test_a_worker_that_dies_at_any_call(folder: Path) -> None:
    tools = ("note.write", "gift.pay", "letter.send")
    points = [f"{tool}:{when}" for tool in tools for when in ("before", "after")]
    crashes = Crashes(list(points), times=3)
    async with open_till(folder, kind=crashes.kind(), engine=ENGINE) as till:
        cases = await begin(till, *points)
        await play(till, *cases)
        assert sorted(crashes.deaths.values()) == sorted(points)
        for case in cases:
            await whole(till, case)
        assert (await till.check()).findings == []


@pytest.mark.parametrize(
    ("bell", "point"),
    [("tasks", "gift.pay:before"), ("tasks", "gift.pay:after"), ("queue", "gift.pay:after")],
)
async def test_a_process_that_is_opened_again_goes_on(
    folder: Path, bell: Literal["tasks", "queue"], point: str
) -> None:
    """Nobody rings for it: what was left is found when the house opens, and its lease is not waited for."""
    crashes = Crashes([point])
    engine = EngineSettings(sweep_s=3600, lease_s=3600)
    async with open_till(folder, kind=crashes.kind(), engine=engine) as till:
        case = await till.submit([pay("10.00")], [write()])
        await crashes.struck.wait()
        assert [run.status for run in await till.runs(case)] == [RunStatus.INTENT]
    async with open_till(folder, bell=bell, engine=engine) as till:
        await till.settle(case)
        assert await till.status(case) is C.CLOSED
        assert await till.happened(case) == ["gift.pay", "note.write"]
        assert [run.attempts for run in await till.runs(case)] == [2, 1]
        assert (await till.check()).findings == []


async def test_a_lease_of_another_worker_is_waited_for(folder: Path) -> None:
    """It may be alive and about to answer; only when its time is over may another one look."""
    crashes = Crashes(["gift.pay:after"])
    async with open_till(folder, kind=crashes.kind()) as till:
        case = await till.submit([pay("10.00")])
        await crashes.struck.wait()

        def elsewhere(ledger: Ledger) -> None:
            run = ledger.effects.runs(case)[0]
            run.worker, run.lease_until = "worker_elsewhere", ledger.now + timedelta(minutes=1)
            ledger.session.add(run)

        await till.house.database.write("default", elsewhere)
        await till.house.sweeper.sweep()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(till.settle(case), 0.3)
        assert [(run.status, run.attempts) for run in await till.runs(case)] == [(RunStatus.INTENT, 1)]
        till.clock.advance(timedelta(minutes=1))
        await till.settle(case)
        assert [(run.status, run.attempts) for run in await till.runs(case)] == [(RunStatus.DONE, 2)]
        assert await till.happened(case) == ["gift.pay"]


@pytest.mark.parametrize(
    ("point", "status"), [("gift.pay:after", RunStatus.DONE), ("gift.pay:before", RunStatus.FAILED)]
)
async def test_an_effect_of_a_case_that_was_cancelled_meanwhile_is_found_out(
    folder: Path, point: str, status: RunStatus
) -> None:
    """Nobody goes on with the case; the sweeper asks the provider, and calls nothing."""
    crashes = Crashes([point])
    async with open_till(folder, kind=crashes.kind()) as till:
        case = await till.submit([pay("10.00")])
        await crashes.struck.wait()
        await till.want(case, Desired.CANCEL)
        assert await till.status(case) is C.CANCELLED
        assert [each.what for each in (await till.check()).findings] == ["lost"]
        await till.later(minutes=2)
        assert [run.status for run in await till.runs(case)] == [status]
        assert await till.happened(case) == ["gift.pay"] * (status is RunStatus.DONE)
        assert (await till.check()).findings == []


async def test_a_case_that_kills_its_workers_reaches_the_desk(folder: Path) -> None:
    crashes = Crashes(["gift.pay:before"], times=5)
    async with open_till(folder, kind=crashes.kind(), engine=ENGINE) as till:
        case = await till.submit([pay("10.00")])
        healthy = await till.run([write()])
        await till.steady(case)
        assert crashes.died[case] == 5
        row = await till.case(case)
        assert (row.status, row.problem) == (C.FAILED, "its segment died 5 times")
        review = await till.review(case)
        assert (await till.read(lambda ledger: ledger.effects.action(review.action_id))).tool == RECOVER
        assert await till.status(healthy) is C.CLOSED
        assert (await till.check()).findings == []
        await till.decide("ops", case)
        assert await till.status(case) is C.CLOSED
        assert await till.happened(case) == ["gift.pay"]
        assert (await till.check()).findings == []
