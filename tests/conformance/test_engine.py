"""One suite for every engine: tasks of a process and a durable queue, on both databases. Each opens a whole house."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest

from core.errors import Conflict, Forbidden, InvalidInput
from core.people import HOME, Person
from core.settings import EngineSettings
from core.states import CaseStatus, Desired, RunStatus
from engine.dbos_bell import DbosBell
from engine.doorbell import Limits
from engine.incidents import RECOVER
from ledger.server import driver_url
from tests.support.folders import quick_folder
from tests.support.servers import fresh_database
from tests.support.till import Till, open_till, pay, person, write
from tests.support.watched_till import Watch
from tools.fulfillment.faults import Fault, PlannedFault

Bell = Literal["tasks", "queue"]
C = CaseStatus
MAIN: list[tuple[Bell, str]] = [("tasks", "sqlite"), ("queue", "sqlite"), ("queue", "server")]
ENGINES: list[tuple[Bell, str]] = [*MAIN, ("tasks", "server")]

on_main = pytest.mark.parametrize("place", MAIN, indirect=True, ids="-".join)
"""Where the database makes no difference to tasks."""


@dataclass(frozen=True)
class Place:
    """Where the houses of one test stand, and which engine is in them."""

    bell: Bell
    folder: Path
    server: str

    def open(self, **more: Any) -> Any:
        return open_till(self.folder, bell=self.bell, server=self.server, **more)


@asynccontextmanager
async def _prepared(folder: Path, server: str) -> AsyncIterator[None]:
    async with open_till(folder, bell="queue", server=server):
        yield


@pytest.fixture(scope="module")
def made() -> Iterator[dict[str, tuple[Path, str]]]:
    """A house of each sort that was opened once: a test begins with a copy."""

    async def open_once(folder: Path, server: str) -> None:
        async with _prepared(folder, server):
            pass

    with quick_folder() as folder, fresh_database() as server:
        asyncio.run(open_once(folder / "sqlite", ""))
        asyncio.run(open_once(folder / "server", server))
        yield {"sqlite": (folder / "sqlite", ""), "server": (folder / "server", server)}


@pytest.fixture(params=ENGINES, ids="-".join)
def place(request: pytest.FixtureRequest, made: dict[str, tuple[Path, str]]) -> Iterator[Place]:
    bell, where = request.param
    prepared, template = made[where]
    with ExitStack() as stack:
        folder = Path(shutil.copytree(prepared, stack.enter_context(quick_folder()) / "house"))
        yield Place(bell, folder, stack.enter_context(fresh_database(template)) if template else "")


@pytest.fixture
async def watch() -> Watch:
    return Watch()


def engine(**wanted: Any) -> EngineSettings:
    return EngineSettings(sweep_s=3600, lease_s=0.2, **wanted)


async def test_every_ring_is_answered_and_ringing_again_does_nothing_twice(place: Place, watch: Watch) -> None:
    async with place.open(kind=watch.kind(), engine=engine()) as till:
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


@on_main
async def test_closing_lets_what_runs_come_to_its_end_and_opening_goes_on_with_the_rest(
    place: Place, watch: Watch
) -> None:
    async with place.open(kind=watch.kind(), engine=engine(concurrency=1)) as till:
        watch.hold()
        cases = [await till.submit([write()], customer=f"cus_{n}") for n in range(4)]
        await watch.until(calls=1)
        asyncio.get_running_loop().call_later(0.1, watch.let_go)
    async with place.open(engine=engine()) as till:
        await till.steady(*cases)
        assert [await till.status(case) for case in cases] == [C.CLOSED] * 4
        assert [await till.happened(case) for case in cases] == [["note.write"]] * 4
        runs = [run for case in cases for run in await till.runs(case)]
        assert [(run.status, run.attempts) for run in runs] == [(RunStatus.DONE, 1)] * 4
        assert (await till.check()).findings == []


@on_main
async def test_drained_it_begins_nothing_and_breaks_off_what_does_not_end(place: Place, watch: Watch) -> None:
    async with place.open(kind=watch.kind(), engine=engine(concurrency=1)) as till:
        watch.hold()
        begun = await till.submit([write()])
        await watch.until(calls=1)
        waiting = await till.submit([write()], customer="cus_2")
        assert await till.house._bell.drain(0.05) == {("default", begun)}
        watch.let_go()
        assert watch.order == [begun]
        assert await till.happened(waiting) == []
    async with place.open(engine=engine()) as till:
        await till.steady(begun, waiting)
        assert [await till.happened(case) for case in (begun, waiting)] == [["note.write"]] * 2
        assert (await till.check()).findings == []


@on_main
async def test_the_most_urgent_goes_first_and_no_more_at_a_time_than_one_process_may(
    place: Place, watch: Watch
) -> None:
    async with place.open(kind=watch.kind(), engine=engine(concurrency=1)) as till:
        watch.hold()
        first = await till.submit([write()])
        await watch.until(calls=1)
        urgent = {n: await till.submit([write()], customer=f"cus_{n}", priority=n) for n in (0, 3, 9, 5)}
        await till.house.sweeper.sweep()
        watch.let_go()
        await till.settle(first, *urgent.values())
        assert watch.order == [first, urgent[9], urgent[5], urgent[3], urgent[0]]
        assert watch.most == 1
        errand = {"customer": "cus_1", "script": []}
        with pytest.raises(Forbidden, match="may not operate"):
            await till.house.submit(Person(id="svc", roles=frozenset({"service"})), "till", errand, priority=1)
        with pytest.raises(InvalidInput, match="0 to 9"):
            await till.submit([write()], priority=10)


@on_main
async def test_all_processes_together_run_no_more_than_they_may(place: Place, watch: Watch) -> None:
    async with place.open(kind=watch.kind(), engine=engine(concurrency=8, concurrency_in_all=2)) as till:
        watch.hold()
        cases = [await till.submit([write()], customer=f"cus_{n}") for n in range(5)]
        await watch.until(calls=2)
        await till.house.sweeper.sweep()
        watch.let_go()
        await till.settle(*cases)
        assert watch.most == 2


@pytest.mark.parametrize("place", [("tasks", "sqlite"), ("queue", "server")], indirect=True, ids="-".join)
async def test_in_a_second_no_more_segments_begin_than_may(place: Place, watch: Watch) -> None:
    async with place.open(kind=watch.kind(), engine=engine(segments_per_s=2)) as till:
        cases = [await till.submit([write()], customer=f"cus_{n}") for n in range(5)]
        await till.settle(*cases)
        assert watch.begun[4] - watch.begun[0] > 1  # two, then two, then one


async def test_people_stop_a_case_and_set_it_going_and_its_log_tells(place: Place) -> None:
    async with place.open(engine=engine()) as till:
        case = await till.run([pay("100.00")])
        await till.want(case, Desired.PAUSE)
        assert await till.status(case) is C.PAUSED
        await till.approve("ann", case)
        assert await till.happened(case) == []
        await till.want(case, Desired.RUN)
        assert await till.status(case) is C.CLOSED
        assert await till.happened(case) == ["gift.pay"]
        assert await told(till, case) == ["opened", "wanted", "paused", "wanted", "resumed", "closed"]

        case = await till.run([pay("100.00")])
        await till.want(case, Desired.CANCEL)
        assert await told(till, case) == ["opened", "wanted", "cancelled"]
        with pytest.raises(Conflict, match="cancelled"):
            await till.want(case, Desired.RUN)

        # What failed is tried again when people say so.
        till.model.down = -1
        case = await till.run([write()])
        while await till.status(case) is not C.FAILED:
            await till.later(minutes=5)
        with pytest.raises(Forbidden, match="operate"):
            await till.house.intake.retry(person("ann"), case)
        till.model.down = 0
        await till.house.intake.retry(person("ops"), case)
        await till.settle(case)
        assert await till.status(case) is C.CLOSED
        assert await told(till, case) == ["opened", *["delayed"] * 3, "failed", "wanted", "retried", "closed"]
        with pytest.raises(Conflict, match="closed"):
            await till.house.intake.retry(person("ops"), case)
        healthy = await till.run([pay("100.00")])
        with pytest.raises(Conflict, match="waiting"):
            await till.house.intake.retry(person("ops"), healthy)
        assert (await till.check()).findings == []


async def test_a_case_that_kills_its_workers_reaches_the_desk_and_goes_on_from_there(
    place: Place, watch: Watch
) -> None:
    watch.deadly["gift.pay"] = 5
    async with place.open(kind=watch.kind(), engine=engine()) as till:
        case = await till.submit([pay("10.00")])
        healthy = await till.run([write()])
        await till.steady(case)
        assert watch.deadly["gift.pay"] == 0
        row = await till.case(case)
        assert (row.status, row.problem) == (C.FAILED, "its segment died 5 times")
        review = await till.review(case)
        assert (await till.read(lambda ledger: ledger.effects.action(review.action_id))).tool == RECOVER
        assert await till.status(healthy) is C.CLOSED
        await till.approve("ops", case)
        assert await till.status(case) is C.CLOSED
        assert await till.happened(case) == ["gift.pay"]
        assert (await till.check()).findings == []


@pytest.mark.parametrize("place", [("queue", "server")], indirect=True, ids="-".join)
async def test_a_queue_that_is_away_loses_no_case(place: Place) -> None:
    async with place.open(engine=engine()) as till:
        with psycopg.connect(place.server, autocommit=True) as server:
            server.execute("ALTER SCHEMA dbos RENAME TO gone")
            case = await till.submit([write()])
            assert await till.status(case) is C.OPEN
            server.execute("ALTER SCHEMA gone RENAME TO dbos")
        await till.steady(case)
        assert await till.happened(case) == ["note.write"]


@pytest.mark.parametrize("place", [("queue", "sqlite"), ("queue", "server")], indirect=True, ids="-".join)
async def test_rings_that_were_answered_are_forgotten_when_they_are_old(place: Place) -> None:
    async with place.open(engine=engine()) as till:
        cases = [await till.run([write()]), await till.run([pay("100.00")])]
        bell = till.house._bell
        now = datetime.now(UTC)  # the queue's rows are stamped by this machine's clock
        assert await bell.prune(now - timedelta(days=1)) == 0
        assert await bell.prune(now + timedelta(minutes=1)) >= 1  # the last one may be about to be written
        await till.approve("ann", cases[1])
        assert await till.happened(cases[1]) == ["gift.pay"]


@pytest.mark.parametrize("place", [("queue", "server")], indirect=True, ids="-".join)
async def test_processes_that_start_beside_a_long_queue_do_not_make_it_longer(place: Place) -> None:
    async with open_till(place.folder, server=place.server) as till:
        case = await till.run([pay("100.00")])
        await till.house.database.write(HOME, lambda ledger: setattr(ledger.cases.get(case), "held", "to look at it"))
        await till.approve("ann", case)  # its event waits, whoever rings

        async def nothing(_workspace: str, _case_id: str) -> None:
            """It runs elsewhere."""

        for number in range(3):
            bell = DbosBell(
                till.house.database, driver_url(place.server), executor=f"p{number}", limits=Limits(1), serves=False
            )
            await bell.start(nothing)
            await bell.ring(HOME, case)
            await bell.stop()
        with psycopg.connect(place.server) as server:
            enqueued = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'ENQUEUED'"
            assert server.execute(enqueued).fetchone() == (1,)


async def told(till: Till, case: str) -> list[str]:
    """The case's own turns, as its log tells them."""
    rows = await till.read(lambda ledger: ledger.trace.of_case(case))
    return [row.type.removeprefix("case.") for row in rows if row.type.startswith("case.")]
