"""Copies of cases: what would have come of something else. Nothing that happens in one gets out of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.actions import JSON, Effect, ToolSpec
from core.errors import Busy, Conflict, Forbidden, NotFound
from core.ports import CallContext, Tools
from core.settings import EngineSettings
from core.states import CaseStatus, Desired, ReviewStatus, RunStatus
from core.wire import CheckpointView
from engine.forks import Forks
from engine.housekeeping import since_when
from engine.rehearsal import Rehearsal, made_up
from graphs.catalog import kinds
from graphs.kind import Outside
from graphs.rewind import Rewind
from ledger import history, kpis
from ledger.database import Ledger
from ledger.tables import CaseRow
from tests.support.servers import fresh_database
from tests.support.till import Till, open_till, pay, person, write
from tools.fulfillment.faults import Fault, PlannedFault
from tools.vision.ports import NoScorer

C, R = CaseStatus, ReviewStatus


async def fork(till: Till, case: str, checkpoint: str = "") -> str:
    copy: CaseRow = await till.house.forks.fork(person("ops"), case, checkpoint)
    await till.settle(copy.id)
    return copy.id


async def steps(till: Till, case: str) -> list[CheckpointView]:
    return await till.house.rewind.steps("till", case)


async def step(till: Till, case: str, about: str) -> str:
    """The first one that was about to do this."""
    return next(each.id for each in await steps(till, case) if each.next == [about])


@pytest.fixture(params=["sqlite", "server"])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    with ExitStack() as stack:
        yield stack.enter_context(fresh_database()) if request.param == "server" else ""


async def test_a_copy_pays_nothing_even_when_people_approve_it(folder: Path, server: str) -> None:
    async with open_till(folder, server=server) as till:
        case = await till.run([write()], [pay("100.00")])
        copy = await fork(till, case)
        row = await till.case(copy)
        assert (row.status, row.simulated, row.forked_from) == (C.WAITING, True, case)
        asked, of_copy = await till.review(case), await till.review(copy)
        assert of_copy.reason == f"Simulation, a copy of {case}: {asked.reason}"
        assert of_copy.action_id != asked.action_id

        await till.approve("ann", copy)
        assert await till.status(copy) is C.CLOSED
        [paid] = await till.runs(copy)
        assert (paid.tool, paid.status, paid.simulated, paid.gated) == ("gift.pay", RunStatus.DONE, True, True)
        assert await till.happened(copy) == []
        assert await till.balance() == "1000.00 USD"
        assert await till.read(lambda ledger: ledger.costs.of_case(copy)) == []

        assert await till.status(case) is C.WAITING
        assert (await till.review(case)).status == R.OPEN
        assert await till.happened(case) == ["note.write"]
        await till.reject("ann", case)
        assert await till.happened(case) == ["note.write"]
        assert (await till.check()).findings == []

        assert [body["from"] for body in await till.trace(copy, "case.forked")] == [case]
        assert [body["to"] for body in await till.trace(case, "case.copied")] == [copy]
        assert await till.audit(copy) == [
            "case.forked", "action.judged", "review.opened", "review.approved",
            "effect.started", "effect.done", "case.closed",
        ]  # fmt: skip


async def test_a_copy_begins_at_any_step_and_each_call_gives_what_the_original_got(till: Till) -> None:
    till.fail(PlannedFault(operation="gift.pay", fault=Fault.ERROR, times=4))
    case = await till.run([write()], [pay("10.00")], [{"tool": "account.read", "args": {"account_id": "acc_1"}}])
    before = {"balance": await till.balance(), "log": len(await till.shop.log())}
    ended = {run.tool: (run.status, run.result, run.reason) for run in await till.runs(case)}
    assert ended["gift.pay"][0] == RunStatus.FAILED
    for each in await steps(till, case):
        if not each.next:
            with pytest.raises(Conflict, match="had ended there"):
                await fork(till, case, each.id)
            continue
        copy = await fork(till, case, each.id)
        assert await till.status(copy) is C.CLOSED
        for run in await till.runs(copy):
            assert (run.status, run.result, run.reason) == ended[run.tool]
            assert run.simulated
    assert {"balance": await till.balance(), "log": len(await till.shop.log())} == before
    assert (await till.check()).findings == []


async def test_what_the_original_never_did_is_made_up(till: Till) -> None:
    case = await till.run([pay("100.00")], [write()])
    copy = await fork(till, case)
    await till.edit("ben", copy, account_id="acc_2", amount={"amount_minor": 4_000, "currency": "USD"})
    await till.settle(copy)
    assert {run.tool: run.result for run in await till.runs(copy)} == {
        "gift.pay": {"simulated": True},
        "note.write": {"simulated": True},
    }
    assert await till.balance("acc_2") == "1000.00 USD"
    of_copy = await fork(till, copy)  # of a copy, its own results are known
    assert [run.result for run in await till.runs(of_copy)] == []
    assert await till.happened(of_copy) == []


async def test_no_count_and_no_figure_looks_at_copies(till: Till) -> None:
    case = await till.run([pay("200.00")])
    before = await till.read(lambda ledger: kpis.figures(ledger.session))
    decided = await till.read(lambda ledger: len(list(history.decisions(ledger.session, "till"))))
    for _ in range(3):
        copy = await fork(till, case)
        await till.approve("ann", copy)
        assert await till.status(copy) is C.CLOSED
    waiting = await fork(till, case)
    assert await till.status(waiting) is C.WAITING
    assert await till.read(lambda ledger: kpis.figures(ledger.session)) == before
    assert await till.read(lambda ledger: len(list(history.decisions(ledger.session, "till")))) == decided
    assert await till.read(lambda ledger: list(history.runs(ledger.session, ["gift.pay"]))) == []
    await till.want(waiting, Desired.CANCEL)
    await till.approve("ann", case)
    assert await till.happened(case) == ["gift.pay"]
    assert (await till.check()).findings == []


class Unreachable:
    """Tools of which none may be reached."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def specs(self) -> Mapping[str, ToolSpec[Any]]:
        return self._tools.specs()

    async def call(self, tool: str, args: Mapping[str, JSON], context: CallContext) -> dict[str, JSON]:
        raise ConnectionError(tool)

    async def lookup(self, tool: str, key: str) -> dict[str, JSON] | None:
        raise ConnectionError(tool)


async def test_neither_a_call_nor_a_look_up_leads_from_a_copy_to_a_provider(till: Till) -> None:
    case = await till.run([pay("100.00")])
    copy = await fork(till, case)
    for each in (copy, case):  # what the original does moves the facts for both
        await till.approve("ann", each)
    rehearsal = Rehearsal(till.house.database, Unreachable(till.house.tools))
    for each, reached in ((case, True), (copy, False)):
        [run] = await till.runs(each)
        args = await till.args(run.action_id)
        context = CallContext("default", each, run.action_id, run.key, "agent:till", till.clock.now())
        if reached:
            with pytest.raises(ConnectionError):
                await rehearsal.call("gift.pay", args, context)
            with pytest.raises(ConnectionError):
                await rehearsal.lookup("gift.pay", run.key)
        else:
            assert await rehearsal.call("gift.pay", args, context) == (await till.runs(case))[0].result
            assert await rehearsal.lookup("gift.pay", run.key) is None
        with pytest.raises(ConnectionError):  # reads are reads
            await rehearsal.call("account.read", {"account_id": "acc_1"}, context)


def test_a_result_is_made_up_as_its_schema_wants_it(till: Till) -> None:
    """Of every tool with an effect that the house's own kinds have."""
    for kind in kinds().values():
        for tool in kind.tools(Outside(till.house.shop, NoScorer(), till.clock, till.house.attachments)):
            if tool.spec.effect is not Effect.READ:
                assert tool.spec.result.model_validate(made_up(tool.spec, {}))


class Counted:
    """Copies what a house remembers, and something happens right after."""

    def __init__(self, rewind: Rewind) -> None:
        self._rewind = rewind
        self.forget = rewind.forget
        self.begun: list[str] = []
        self.meanwhile: Callable[[], Awaitable[Any]]

    async def copy(self, kind: str, case_id: str, to: str, checkpoint: str = "") -> str:
        begun_at = await self._rewind.copy(kind, case_id, to, checkpoint)
        self.begun.append(to)
        await self.meanwhile()
        return begun_at


async def test_of_a_copy_for_which_there_is_no_room_nothing_is_left(folder: Path) -> None:
    async with open_till(folder, engine=EngineSettings(sweep_s=3600, queue_limit=1)) as till:
        case = await till.run([write()], [pay("100.00")])
        till.model.down = 1
        steps_made = Counted(till.house.rewind)
        ring = till.house.forks._ring
        crowded = Forks(till.house.database, steps_made, till.house.stream, ring, queue_limit=1)
        steps_made.meanwhile = lambda: till.run([write()])  # its event waits for the model
        with pytest.raises(Busy):
            await crowded.fork(person("ops"), case)
        assert [await steps(till, copy) for copy in steps_made.begun] == [[]]
        with pytest.raises(Busy):
            await crowded.fork(person("ops"), case)
        assert len(steps_made.begun) == 1, "there was no room to begin with"


async def test_operators_alone_copy_and_only_what_is_there(till: Till) -> None:
    case = await till.run([write()])
    with pytest.raises(Forbidden):
        await till.house.forks.fork(person("ann"), case)
    with pytest.raises(NotFound, match="no case"):
        await till.house.forks.fork(person("ops"), "case_none")
    with pytest.raises(NotFound, match="no step"):
        await till.house.forks.fork(person("ops"), case, "1f0-none")

    def erase(ledger: Ledger) -> None:
        row = ledger.cases.get(case)
        row.erased_at = ledger.now
        ledger.session.add(row)

    await till.house.database.write("default", erase)
    with pytest.raises(Conflict, match="was erased"):
        await till.house.forks.fork(person("ops"), case)


async def test_of_a_case_whose_steps_were_pruned_that_is_told(till: Till) -> None:
    closed, waiting = await till.run([write()]), await till.run([write()], [pay("100.00")])
    till.clock.advance(timedelta(days=till.house.settings.engine.keep_checkpoints_days, minutes=1))
    await till.house.housekeeper.run()
    assert [each.next for each in await steps(till, closed)] == [[]]
    assert await till.read(lambda ledger: since_when(ledger, closed)) is not None
    with pytest.raises(Conflict, match="only its end is kept"):
        await fork(till, closed)
    copy = await fork(till, waiting)
    await till.approve("ann", copy)
    assert await till.status(copy) is C.CLOSED
    assert [(run.tool, run.simulated) for run in await till.runs(copy)] == [("gift.pay", True)]
    assert await till.happened(copy) == []


async def test_each_step_tells_what_was_known_then(till: Till) -> None:
    case = await till.run([write()], [pay("100.00")])
    known = await steps(till, case)
    assert [each.next for each in known] == [
        ["start"], ["plan"], ["act"], ["gate"], ["execute"], ["reflect"], ["act"], ["gate"], ["review"],
    ]  # fmt: skip
    assert [each.step for each in known] == list(range(-1, 8))
    assert [each.asks for each in known][-2:] == [0, 1]
    assert [each.messages for each in known] == sorted(each.messages for each in known)
    assert [call.tool for call in known[-1].calls] == ["gift.pay"]
    assert known[-1].plan[0].title == "Play the script"

    shown = await till.house.rewind.step("till", case, known[-1].id)
    assert [said.by for said in shown.said][:3] == ["system", "human", "ai"]
    assert shown.said[-1].calls[0]["args"] == pay("100.00")["args"]
    assert shown.spent["done"] == ["note.write"]
    with pytest.raises(NotFound):
        await till.house.rewind.step("till", case, "1f0-none")
    assert [each.id for each in await steps(till, case)] == [each.id for each in known]  # looking changed nothing
