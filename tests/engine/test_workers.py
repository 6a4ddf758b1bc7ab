"""Several processes over one database: who has a case in hand, who may take it over, and what a late one may write."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import SetupError
from core.ports import CallContext
from core.states import CaseStatus, RunStatus
from engine.doorbell import Limits
from engine.task_bell import TaskBell
from engine.workers import Workers
from graphs.kind import Outside, TaskKind
from ledger.database import Database, Ledger
from ledger.process_tables import WorkerRow
from ledger.tables import SYSTEM
from tests.support.folders import quick_folder
from tests.support.script import ScriptedModel
from tests.support.servers import fresh_database
from tests.support.site import Site
from tests.support.till import Till, open_till, pay, write
from tests.support.till_kind import KIND
from tools.contract import Tool

C = CaseStatus


@dataclass
class Standstill:
    """A process that stands still in a tool, before it does something or after, until it is let go."""

    tool: str
    when: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def kind(self) -> TaskKind:
        return replace(KIND, tools=self._tools)

    def _tools(self, outside: Outside) -> list[Tool[Any]]:
        return [replace(tool, run=self._still(tool)) for tool in KIND.tools(outside)]

    def _still(self, tool: Tool[Any]) -> Any:
        async def run(args: Any, context: CallContext) -> Any:
            if tool.spec.name == self.tool and self.when == "before":
                await self._stand()
            result = await tool.run(args, context)
            if tool.spec.name == self.tool and self.when == "after":
                await self._stand()
            return result

        return run

    async def _stand(self) -> None:
        self.reached.set()
        await self.go.wait()


class SlowThinker(ScriptedModel):
    """A model whose second answer takes as long as it is told to."""

    reached: Any = None
    go: Any = None

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        answer = await super()._agenerate(*args, **kwargs)
        if self.calls == 2:
            self.reached.set()
            await self.go.wait()
        return answer


@pytest.fixture
def site() -> Iterator[Site]:
    with fresh_database() as url, quick_folder() as folder:
        yield Site(url, folder)


async def everything(till: Till, case: str) -> tuple[Any, ...]:
    """What there is of a case: its row, its log and how many checkpoints its graph has left."""
    row, log = (
        await till.case(case),
        await till.read(lambda ledger: [each.type for each in ledger.trace.of_case(case)]),
    )
    with till.house.database.lend() as connection:  # type: ignore[attr-defined]
        found = connection.execute("SELECT count(*) FROM checkpoints WHERE thread_id = %s", (case,)).fetchone()
    return (row.status, row.version, row.epoch, row.outcome), log, found


@pytest.mark.parametrize("point", ["gift.pay:before", "gift.pay:after", "model"])
async def test_a_worker_that_wakes_up_after_its_case_went_on_writes_nothing(site: Site, point: str) -> None:
    tool, _, when = point.partition(":")
    still = Standstill(tool, when)
    model = SlowThinker(reached=still.reached, go=still.go) if point == "model" else ScriptedModel()
    async with AsyncExitStack() as houses:
        stopped = await houses.enter_async_context(site.worker("stopped", kind=still.kind(), model=model))
        other = await houses.enter_async_context(site.worker("other"))
        case = await stopped.submit([pay("10.00")], [write()])
        await still.reached.wait()
        assert (await other.case(case)).worker == "stopped"
        await site.leases_pass(0.5, other)
        assert await other.status(case) is C.RUNNING  # it may be alive still

        await site.leases_pass(1.0, other)
        await other.settle(case)
        assert await other.status(case) is C.CLOSED
        assert [body["worker"] for body in await other.trace(case, "case.reclaimed")] == ["stopped"]
        assert "case.reclaimed" in await other.audit(case)
        before = await everything(other, case)

        still.go.set()
        while stopped.house.workers.at_work():  # noqa: ASYNC110 - it is what is looked for that nothing is told
            await asyncio.sleep(0.01)
        assert await everything(other, case) == before
        assert sorted(await other.happened(case)) == ["gift.pay", "note.write"]
        assert {run.status for run in await other.runs(case)} == {RunStatus.DONE}
        assert (await other.check()).findings == []

        await stopped.later(seconds=1)  # it is among the living again, and works
        again = await stopped.run([pay("5.00")])
        assert await stopped.status(again) is C.CLOSED


async def test_a_case_in_living_hands_is_left_alone(site: Site) -> None:
    still = Standstill("gift.pay", "before")
    async with site.worker("slow", kind=still.kind()) as slow, site.worker("other") as other:
        case = await slow.submit([pay("10.00")])
        await still.reached.wait()
        await site.leases_pass(3, slow, other)
        row = await other.case(case)
        assert (row.status, row.worker, row.crashes) == (C.RUNNING, "slow", 1)
        still.go.set()
        await slow.settle(case)
        assert await other.status(case) is C.CLOSED
        assert (await other.case(case)).worker == ""
        assert await other.trace(case, "case.reclaimed") == []


async def test_who_comes_back_after_an_outage_gives_the_others_time_to_say_that_they_are_alive(site: Site) -> None:
    still = Standstill("gift.pay", "before")
    async with site.worker("slow", kind=still.kind()) as slow:
        case = await slow.submit([pay("10.00")])
        await still.reached.wait()
        site.clock.advance(slow.house.workers.lease * 1.5)  # the database was away for all of them
        async with site.worker("back") as back:
            await back.house.sweeper.sweep()
            row = await back.case(case)
            assert (row.status, row.worker, row.crashes) == (C.RUNNING, "slow", 1)
            await site.leases_pass(2, slow, back)
            assert (await back.case(case)).worker == "slow"
            still.go.set()
            await slow.settle(case)
            assert await back.status(case) is C.CLOSED
            assert await back.trace(case, "case.reclaimed") == []


class Lost(Exception):
    """A process ends, right there."""


class CutOff(TaskBell):
    """One that dies when it is to give others what a dead worker had taken, the first time."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, Limits(at_once=1))
        self.reclaimed: list[str] = []

    async def reclaim(self, worker: str) -> int:
        self.reclaimed.append(worker)
        if len(self.reclaimed) == 1:
            raise Lost
        return 0


async def test_who_dies_while_burying_another_leaves_the_rest_to_the_next_round(site: Site) -> None:
    async with site.worker("dead"), site.worker("other") as other:
        workers, lease = other.house.workers, other.house.workers.lease
        bell = CutOff(other.house.database)
        digger = Workers(
            other.house.database, bell, workers._segments,
            name="digger", role="worker", release="", lease=lease, alone=False, parts={},
        )  # fmt: skip
        await digger.join()
        for _ in range(5):
            site.clock.advance(lease / 4)
            await digger.beat()
        with pytest.raises(Lost):
            await digger.reclaim()
        await digger.reclaim()
        assert bell.reclaimed[1] == bell.reclaimed[0]
        assert {"dead", "other"} == set(bell.reclaimed)


async def test_one_name_is_of_one_living_worker(site: Site) -> None:
    async with site.worker("twin") as first:
        with pytest.raises(SetupError, match="named twin is at work already"):
            async with site.worker("twin"):
                pass
        site.clock.advance(first.house.workers.lease * 1.1)  # it was silent for so long
        async with site.worker("twin") as second:
            await first.house.sweeper.sweep()
            assert first.house.workers.ousted.is_set()
            case = await second.run([pay("10.00")])
            assert await second.status(case) is C.CLOSED
        rows: list[WorkerRow] = await first.house.database.read(SYSTEM, lambda ledger: ledger.workers.everyone())
        assert [(row.id, row.draining, row.stopped_at is None) for row in rows] == [("twin", True, False)]
    async with site.worker("twin"):
        pass  # it stopped: its name is free at once


async def test_a_worker_that_is_told_to_stop_hands_over_what_takes_too_long(site: Site) -> None:
    still = Standstill("gift.pay", "before")
    async with site.worker("other") as other:
        async with site.worker("leaving", kind=still.kind(), drain_s=0.2) as leaving:
            case = await leaving.submit([pay("10.00")], [write()])
            await still.reached.wait()
        row = await other.case(case)
        assert (row.status, row.worker, row.crashes) == (C.OPEN, "", 0)
        assert await other.trace(case, "case.handed_over") == [{"worker": "leaving"}]
        assert "case.handed_over" in await other.audit(case)
        await site.leases_pass(1.5, other)  # the call that it had begun has a lease
        await other.settle(case)
        assert await other.status(case) is C.CLOSED
        assert await other.happened(case) == ["gift.pay", "note.write"]
        assert await other.trace(case, "case.reclaimed") == []
        assert (await other.check()).findings == []


async def test_a_worker_that_is_told_to_stop_ends_what_it_can(site: Site) -> None:
    still = Standstill("gift.pay", "after")
    async with site.worker("other") as other:
        async with site.worker("leaving", kind=still.kind(), drain_s=10) as leaving:
            case = await leaving.submit([pay("10.00")], [write()])
            await still.reached.wait()
            asyncio.get_running_loop().call_later(0.1, still.go.set)
        assert await other.status(case) is C.CLOSED
        assert await other.trace(case, "case.handed_over") == []


async def test_what_a_killed_process_left_in_a_folder_goes_on_at_once(folder: Path) -> None:
    """The folder is this process's alone: whatever a row says, nobody else is alive."""

    def killed(ledger: Ledger) -> None:
        row = ledger.cases.get(case, lock=True)
        row.worker, row.crashes = "worker_killed", 1
        ledger.cases.move(row, C.RUNNING)
        ledger.cases.post(row, source="test", event_id="again", event="case.retry", payload={})

    async with open_till(folder) as till:
        case = await till.run([pay("100.00")])
        await till.house.database.write("default", killed)
        await till.house.database.write(
            SYSTEM,
            lambda ledger: (
                ledger.workers.enlist("worker_killed", role="all", host="here", pid=1, release="1", parts={}) and None
            ),
        )
    async with open_till(folder) as till:
        await till.settle(case)
        assert await till.status(case) is C.WAITING
        assert [body["worker"] for body in await till.trace(case, "case.reclaimed")] == ["worker_killed"]
        rows = await till.house.database.read(SYSTEM, lambda ledger: ledger.workers.everyone())
        assert [row.id for row in rows if row.stopped_at is None] == [till.house.worker]
