"""Outcomes that nobody knows, and reservations that say something else: priced as people tell, never run blindly."""

from __future__ import annotations

import asyncio

import pytest

from core.actions import ProposedAction
from core.errors import Conflict
from core.ids import digest
from core.states import CaseStatus, Desired, RunStatus
from core.verdicts import Deny
from engine.incidents import RECONCILE
from engine.unknown import Word, unknowns
from ledger import guards
from ledger.database import Ledger
from tests.support.till import Till, pay, write
from tools.fulfillment.faults import Fault, PlannedFault


async def postage(till: Till, case: str) -> int:
    costs = await till.read(lambda ledger: ledger.costs.of_case(case))
    return [cost.component for cost in costs].count("postage")


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("happened", [True, False])
async def test_what_people_say_that_happened_costs_what_it_costs(till: Till, happened: bool, cancelled: bool) -> None:
    till.fail(PlannedFault(operation="parcel.send", fault=Fault.TIMEOUT_AFTER if happened else Fault.TIMEOUT_BEFORE))
    case = await till.run([write("parcel.send")])
    assert [run.status for run in await till.runs(case)] == [RunStatus.UNKNOWN]
    assert await postage(till, case) == 0
    if cancelled:
        await till.want(case, Desired.CANCEL)
    await till.decide("ops", case, "approve" if happened else "reject", reason_code="other")
    await till.house.sweeper.sweep()  # in a case that is over no graph takes it up
    assert await postage(till, case) == happened
    assert await till.status(case) is (CaseStatus.CANCELLED if cancelled else CaseStatus.CLOSED)
    assert (await till.check()).findings == []
    if happened:
        with till.house.database.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM cost WHERE component = 'postage'")
        assert [each.what for each in (await till.check()).findings] == ["unrecorded"]


@pytest.mark.parametrize("status", [RunStatus.INTENT, RunStatus.DONE])
async def test_a_reservation_for_other_arguments_is_an_error_and_never_a_run(till: Till, status: RunStatus) -> None:
    """Whoever wrote it: neither is it called, nor is its result taken for the action's."""
    case = await till.run([pay("60.00")])
    action = (await till.actions(case))[-1]

    def forge(ledger: Ledger) -> None:
        guards.remove(ledger.session.connection())
        proposed = ledger.effects.proposed(ledger.effects.action(action.id))
        row = till.house._executor._intent  # type: ignore[attr-defined]
        run = row(ledger, proposed, "cus_1", Deny(reason="", book=till.house.judge.book("till", ledger.now)), {})
        run.args_digest, run.status = digest({"amount": "another"}), status
        ledger.effects.reserve(run)

    await till.house.database.write("default", forge)
    with pytest.raises(Conflict, match="reserved for other arguments"):
        await till.house._executor.run("default", action.id)
    await till.later(minutes=2)  # nor does the sweeper settle it
    await till.approve("ann", case)
    row = await till.case(case)
    assert (row.status, "other arguments" in row.problem) == (CaseStatus.FAILED, True)
    assert await till.happened(case) == []


async def test_unknown_outcomes_are_listed_with_what_their_provider_says_now(till: Till) -> None:
    till.fail(
        PlannedFault(operation="parcel.send", fault=Fault.TIMEOUT_AFTER),
        PlannedFault(operation="gift.pay", fault=Fault.TIMEOUT_AFTER),
        PlannedFault(operation="note.write", fault=Fault.TIMEOUT_BEFORE),
        PlannedFault(operation="find", fault=Fault.ERROR, times=1000),
    )
    cases = [await till.run([each]) for each in (write("parcel.send"), pay("1.00"), write())]
    words = {each.run.case_id: each.word for each in await unknowns(till.house.database, till.house.tools, "default")}
    assert [words[case] for case in cases] == [Word.CANT_TELL, Word.DOWN, Word.DOWN]
    till.fail()
    found = await unknowns(till.house.database, till.house.tools, "default")
    assert [each.word for each in found] == [Word.CANT_TELL, Word.HAPPENED, Word.NOT_THERE]
    assert found[1].result["account_id"] == "acc_1"
    assert [each.asked is not None for each in found] == [True] * 3
    assert {run.status for case in cases for run in await till.runs(case)} == {RunStatus.UNKNOWN}
    await asyncio.gather(*(till.decide("ops", case) for case in cases))
    assert await unknowns(till.house.database, till.house.tools, "default") == []
    queued = await till.read(lambda ledger: ledger.reviews.queue(status=["approved"], tools=[RECONCILE]))
    assert len(queued) == 3


async def test_what_people_found_not_to_have_happened_is_proposed_again_and_happens_once(till: Till) -> None:
    till.fail(PlannedFault(operation="parcel.send", fault=Fault.TIMEOUT_BEFORE))
    case = await till.run([write("parcel.send")], insists=True)
    assert await till.happened(case) == []
    await till.decide("ops", case, "reject", reason_code="other")
    await till.settle(case)
    assert await till.happened(case) == ["parcel.send"]
    assert sorted(run.status for run in await till.runs(case)) == [RunStatus.DONE, RunStatus.FAILED]
    assert (await till.case(case)).status == CaseStatus.CLOSED
    assert (await till.check()).findings == []


async def test_a_call_that_may_be_made_again_is_left_to_a_segment_that_is_still_to_come(till: Till) -> None:
    """Its worker died long ago, and the queue is long: people need not find out what the next call tells."""
    case = await till.run([pay("60.00")], [write("letter.send")])
    await till.house.database.write("default", lambda ledger: setattr(ledger.cases.get(case), "held", "long queue"))
    await till.approve("ann", case)  # its event waits
    (action,) = await till.actions(case)

    def begun(ledger: Ledger) -> None:
        guards.remove(ledger.session.connection())
        named = ledger.effects.proposed(action).model_dump()
        other = {"tool": "letter.send", "args": {"text": "hello"}, "step_key": "3.1"}
        letter = ProposedAction.model_validate(named | other)
        ledger.effects.propose(letter, effect="reversible", described="Write hello")
        row = till.house._executor._intent  # type: ignore[attr-defined]
        run = row(ledger, letter, "cus_1", Deny(reason="", book=till.house.judge.book("till", ledger.now)), {})
        run.worker, run.lease_until = "gone", ledger.now
        ledger.effects.reserve(run)

    await till.house.database.write("default", begun)
    await till.later(minutes=5)
    assert [run.status for run in await till.runs(case)] == [RunStatus.INTENT]
    await till.want(case, Desired.CANCEL)
    await till.later(minutes=5)
    assert [run.status for run in await till.runs(case)] == [RunStatus.UNKNOWN]  # nobody is going to call any more
