"""A return through a model server over HTTP: streamed, tool by tool, to its end; and with every fault that it has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from agents.returns.procedure import ReturnsProcedure
from core.clock import FakeClock
from core.people import Person
from core.settings import EngineSettings, ModelSettings, Settings
from core.states import CaseStatus
from engine.decisions import Choice, Decision
from ledger.database import Ledger
from ledger.tables import SYSTEM, CaseRow, ReviewRow, TraceRow
from serving.house import House, open_house
from tests.support.folders import quick_folder
from tests.support.model_server import Fault, ModelServer, nobody, planning, serve
from tests.support.returns_desk import NOW, customer, usual, world
from tools.fulfillment.shop import EmbeddedShop

C = CaseStatus
CLERK = Person(id="clerk", roles=frozenset({"service"}))
RITA = Person(id="rita", roles=frozenset({"returns_reviewer"}))
SMALL, DEAR = "fli_tee", "fli_phones"
STEPS = ["returns.request", "returns.approve", "labels.create_return", "refunds.create", "messages.send"]


@pytest.fixture(scope="module")
def running() -> Iterator[ModelServer]:
    with serve(planning(ReturnsProcedure())) as server:
        yield server


@pytest.fixture
def server(running: ModelServer) -> ModelServer:
    running.faults, running.always = [], None
    running.requests.clear()
    return running


class Returns:
    """A house whose returns are thought about by a model server."""

    def __init__(self, house: House, clock: FakeClock) -> None:
        self.house = house
        self.clock = clock
        self._numbers = count(1)

    async def submit(self, item: str) -> str:
        number = next(self._numbers)
        # Each at an address of their own: many refunds to one are no small matter.
        who = customer(f"cus_{number}").model_dump(mode="json") | {"address": f"{number} Mill Road"}
        what = usual(f"ord_{number}", customer=f"cus_{number}").model_dump(mode="json")
        assert isinstance(self.house.shop, EmbeddedShop)
        await self.house.shop.load({"customers": [who], "orders": [what]})
        lines = [{"fulfillment_line_item_id": item, "quantity": 1, "reason": "SIZE_TOO_SMALL"}]
        payload = {"customer_id": who["customer_id"], "order_id": what["order_id"], "lines": lines}
        case, _ = await self.house.submit(CLERK, "returns", payload | {"wants": "REFUND_ORIGINAL"})
        await self.house.settled("default", {case.id})
        return case.id

    async def later(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        await self.house.sweeper.sweep()
        await self.house.settled("default", await self.read(lambda ledger: ledger.cases.moving()))

    async def read(self, step: Any) -> Any:
        return await self.house.database.read("default", step)

    async def case(self, case: str) -> CaseRow:
        row: CaseRow = await self.read(lambda ledger: ledger.cases.get(case))
        return row

    async def done(self, case: str) -> list[str]:
        return [call.operation for call in await self.house.shop.log(0, 1000) if call.case_id == case]

    async def said(self, case: str) -> str:
        rows: list[TraceRow] = await self.read(lambda ledger: ledger.trace.of_case(case, limit=5000))
        return "".join(row.body["text"] for row in rows if row.type == "model.delta")

    async def waiting(self, case: str) -> tuple[ReviewRow, str]:
        """The approval that waits, and the tool that it is about."""

        def look(ledger: Ledger) -> tuple[ReviewRow, str]:
            (review,) = ledger.reviews.of_case(case, only_open=True)
            return review, ledger.effects.action(review.action_id).tool

        found: tuple[ReviewRow, str] = await self.read(look)
        return found

    async def approve(self, case: str) -> None:
        review, _ = await self.waiting(case)

        def seen(ledger: Ledger) -> str:
            return ledger.reviews.saw(review, ledger.effects.action(review.action_id).args)

        await self.house.desk.decide(RITA, review.id, Decision(choice=Choice.APPROVE, seen=await self.read(seen)))
        await self.house.settled("default", {case})

    async def whole(self) -> bool:
        return not (await self.house.checker.check()).findings


@asynccontextmanager
async def opened(folder: Path, url: str, timeout_s: float = 5.0) -> AsyncIterator[Returns]:
    model = ModelSettings(
        backend="openai", base_url=url, name="tiny", api_key=SecretStr("secret"), timeout_s=timeout_s, retries=0
    )
    clock = FakeClock(NOW)
    settings = Settings(data=folder, model=model, engine=EngineSettings(sweep_s=3600))
    async with open_house(settings, bell="tasks", clock=clock) as house:
        assert isinstance(house.shop, EmbeddedShop)
        await house.shop.load(world())
        await house.database.write(SYSTEM, lambda ledger: ledger.people.add("default", RITA.id, RITA.roles) and None)
        yield Returns(house, clock)


@pytest.fixture
async def returns(server: ModelServer) -> AsyncIterator[Returns]:
    with quick_folder() as folder:
        async with opened(folder, server.url) as found:
            yield found


async def test_one_return_streams_tokens_calls_tools_and_closes(returns: Returns, server: ModelServer) -> None:
    case = await returns.submit(SMALL)
    row = await returns.case(case)
    assert (row.status, row.outcome) == (C.CLOSED, "refunded")
    assert sorted(await returns.done(case)) == sorted(STEPS)
    said = await returns.said(case)
    assert "Reading order ord_1." in said
    assert '"order_id"' in said  # arguments stream as well as words
    assert all(asked["stream"] for asked in server.requests)
    costs = await returns.read(lambda ledger: [cost for cost in ledger.costs.of_case(case) if cost.unit == "token"])
    assert sum(cost.quantity for cost in costs) == 120 * len(server.requests)
    assert await returns.whole()


async def test_a_streamed_return_waits_for_people_and_goes_on(returns: Returns) -> None:
    case = await returns.submit(DEAR)
    assert (await returns.case(case)).status == C.WAITING
    assert (await returns.waiting(case))[1] == "refunds.create"
    assert "refunds.create" not in await returns.done(case)
    before = await returns.said(case)
    await returns.approve(case)
    row = await returns.case(case)
    assert (row.status, row.outcome) == (C.CLOSED, "refunded")
    assert sorted(await returns.done(case)) == sorted(STEPS)
    assert len(await returns.said(case)) > len(before)
    assert await returns.whole()


DOWN = [Fault.BUSY, Fault.ERROR, Fault.ERROR_MID_STREAM, Fault.CUT, Fault.ENDS_EARLY]
SILENT = [Fault.SLOW, Fault.STALL]
NONSENSE = [
    *(Fault.REFUSED, Fault.HTML, Fault.WRONG_SHAPE, Fault.CHATTER, Fault.TOO_LONG, Fault.BROKEN_ARGUMENTS),
    *(Fault.UNKNOWN_TOOL, Fault.WRONG_ARGUMENTS, Fault.LOOP),
]


def test_no_fault_is_left_out() -> None:
    assert {*DOWN, *SILENT, *NONSENSE} == set(Fault)


async def test_a_server_that_fails_in_the_middle_delays_the_case_and_nothing_is_done_twice(
    returns: Returns, server: ModelServer
) -> None:
    """The fifth request, when the return has been opened; after two seconds the case goes on where it stood."""
    for fault in DOWN:
        server.faults = [None, None, None, None, fault]  # type: ignore[list-item]  # None: no fault
        case = await returns.submit(SMALL)
        row = await returns.case(case)
        assert (row.status, bool(row.problem)) == (C.PAUSED, True), fault
        assert await returns.done(case) == ["returns.request"], fault
        await returns.later(2)
        assert (await returns.case(case)).outcome == "refunded", fault
        assert sorted(await returns.done(case)) == sorted(STEPS), fault
    assert await returns.whole()


async def test_a_server_that_stays_away_brings_the_case_to_people(server: ModelServer) -> None:
    with quick_folder() as folder:
        async with opened(folder, nobody()) as returns:
            case = await returns.submit(SMALL)
            for seconds in (2, 15, 120):
                assert (await returns.case(case)).status == C.PAUSED
                await returns.later(seconds)
            row = await returns.case(case)
            assert row.status == C.FAILED
            assert "can't be reached" in row.problem
            assert (await returns.waiting(case))[1] == "case.recover"
            assert await returns.done(case) == []
            assert await returns.whole()


async def test_a_server_that_falls_silent_delays_the_case(server: ModelServer) -> None:
    with quick_folder() as folder:
        async with opened(folder, server.url, timeout_s=0.3) as returns:
            for fault in SILENT:
                server.faults = [fault]
                case = await returns.submit(SMALL)
                assert (await returns.case(case)).status == C.PAUSED, fault
                assert await returns.done(case) == [], fault
                await returns.later(2)
                assert (await returns.case(case)).outcome == "refunded", fault
            assert await returns.whole()


async def test_a_server_that_talks_nonsense_for_ever_hands_the_case_to_people(
    returns: Returns, server: ModelServer
) -> None:
    for fault in NONSENSE:
        server.always = fault
        case = await returns.submit(SMALL)
        assert (await returns.case(case)).status == C.WAITING, fault
        assert (await returns.waiting(case))[1] == "people.ask", fault
        assert await returns.done(case) == [], fault
        server.always = None
        await returns.approve(case)
        assert (await returns.case(case)).outcome == "handed_over", fault
    assert await returns.whole()


async def test_nonsense_that_passes_is_asked_again_and_does_no_harm(returns: Returns, server: ModelServer) -> None:
    for fault in (Fault.CHATTER, Fault.TOO_LONG, Fault.BROKEN_ARGUMENTS, Fault.UNKNOWN_TOOL):
        server.faults = [None, None, None, None, fault]  # type: ignore[list-item]  # None: no fault
        case = await returns.submit(SMALL)
        row = await returns.case(case)
        assert (row.status, row.outcome) == (C.CLOSED, "refunded"), fault
        assert sorted(await returns.done(case)) == sorted(STEPS), fault
    assert await returns.whole()
