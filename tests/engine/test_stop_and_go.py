"""Stopping and going on: people pause, resume and cancel; what is down delays a case; what lasts goes to people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from langchain_core.messages import BaseMessage

from core.errors import AlreadyDecided, Conflict, Forbidden
from core.states import CaseStatus, Desired, ReviewStatus, RunStatus
from engine.incidents import RECOVER
from ledger.database import Ledger
from tests.support.script import ScriptedModel, Turn
from tests.support.till import Till, open_till, pay, person, write
from tools.fulfillment.faults import Fault, PlannedFault

C, R = CaseStatus, ReviewStatus


async def interrupted(till: Till, desired: Desired) -> str:
    """People want something else while the first of two effects is under way."""
    till.fail(PlannedFault(operation="note.write", fault=Fault.SLOW, seconds=0.1))
    case = await till.submit([write()], [pay("10.00")])
    await till.until(case, "effect.started")
    await till.want(case, desired)
    return case


async def test_a_pause_takes_hold_before_the_next_effect(till: Till) -> None:
    case = await interrupted(till, Desired.PAUSE)
    assert await till.status(case) is C.PAUSED
    assert await till.happened(case) == ["note.write"]
    assert [run.status for run in await till.runs(case)] == [RunStatus.DONE]
    await till.later(days=3)
    assert await till.status(case) is C.PAUSED
    await till.want(case, Desired.RUN)
    assert await till.status(case) is C.CLOSED
    assert await till.happened(case) == ["note.write", "gift.pay"]
    assert (await till.check()).findings == []


async def test_a_cancellation_takes_hold_before_the_next_effect(till: Till) -> None:
    case = await interrupted(till, Desired.CANCEL)
    assert await till.status(case) is C.CANCELLED
    assert (await till.case(case)).outcome == "cancelled"
    assert await till.happened(case) == ["note.write"]
    assert await till.inbox(case) == []
    assert (await till.check()).findings == []


async def test_cancelled_while_it_waits_its_question_is_withdrawn(till: Till) -> None:
    case = await till.run([pay("100.00")])
    review = await till.review(case)
    await till.want(case, Desired.CANCEL)
    assert await till.status(case) is C.CANCELLED
    assert [each.status for each in await till.reviews(case)] == [R.SUPERSEDED]
    with pytest.raises(AlreadyDecided, match="superseded"):
        await till.vote("ann", review.id)
    assert await till.later(days=2) == 0  # its timers went with it
    assert await till.balance() == "1000.00 USD"
    assert (await till.check()).findings == []


async def test_approved_and_then_cancelled_nothing_runs(till: Till) -> None:
    case = await till.run([pay("100.00")])
    await till.hold(case)
    await till.approve("ann", case)
    await till.want(case, Desired.CANCEL)
    assert await till.status(case) is C.CANCELLED
    assert await till.balance() == "1000.00 USD"


async def test_paused_while_it_waits_people_may_still_decide(till: Till) -> None:
    case = await till.run([pay("100.00")])
    await till.hold(case)
    await till.hold(case)  # twice is once
    await till.approve("ann", case)
    assert await till.status(case) is C.PAUSED
    assert await till.balance() == "1000.00 USD"
    await till.let_go(case)
    assert await till.status(case) is C.CLOSED
    assert await till.balance() == "900.00 USD"


async def test_what_has_ended_can_not_be_stopped(till: Till) -> None:
    case = await till.run([write()])
    for desired in Desired:
        with pytest.raises(Conflict, match="The case is closed"):
            await till.want(case, desired)


async def test_stopping_takes_an_operator(till: Till) -> None:
    case = await till.run([pay("100.00")])
    with pytest.raises(Forbidden, match="may not operate"):
        await till.house.intake.want(person("ann"), case, Desired.CANCEL)


async def test_a_cancellation_whose_bell_was_lost_is_found_by_the_sweeper(till: Till) -> None:
    """The process died right after it was written: also for a case that is paused."""
    case = await till.run([pay("100.00")])
    await till.hold(case)

    def cancel_without_a_ring(ledger: Ledger) -> None:
        row = ledger.cases.get(case)
        row.desired = Desired.CANCEL
        ledger.session.add(row)
        ledger.cases.post(row, source="desk", event_id="cancel-1", event="case.cancel", payload={})

    await till.house.database.write("default", cancel_without_a_ring)
    await till.later(seconds=1)
    assert await till.status(case) is C.CANCELLED


# What is down


async def test_a_model_that_is_away_for_a_moment_delays_the_case(till: Till) -> None:
    till.model.down = 2
    case = await till.run([pay("10.00")])
    row = await till.case(case)
    assert (row.status, row.problem) == (C.PAUSED, "The model server can't be reached.")
    assert (await till.trace(case, "case.delayed"))[0]["tried"] == 1
    assert (await till.check()).findings == []  # it waits for a timer: it is not stuck
    assert await till.later(seconds=1) == 0
    assert await till.later(seconds=1) == 1
    assert await till.status(case) is C.PAUSED
    await till.later(seconds=15)
    assert await till.status(case) is C.CLOSED
    assert await till.balance() == "990.00 USD"


async def until_people_are_asked(till: Till, case: str) -> None:
    for wait in (2, 15, 120):
        assert await till.status(case) is C.PAUSED
        await till.later(seconds=wait)
    assert await till.status(case) is C.FAILED
    review = await till.review(case)
    assert (await till.read(lambda ledger: ledger.effects.action(review.action_id))).tool == RECOVER
    assert (await till.check()).findings == []


async def test_a_model_that_stays_away_brings_the_case_to_people_who_try_again(till: Till) -> None:
    till.model.down = -1
    case = await till.run([pay("10.00")])
    await until_people_are_asked(till, case)
    await till.decide("ops", case)  # still down: the waits begin anew, and people are asked again
    await until_people_are_asked(till, case)
    till.model.down = 0
    await till.decide("ops", case)
    assert await till.status(case) is C.CLOSED
    assert await till.happened(case) == ["gift.pay"]
    assert (await till.check()).findings == []


async def test_people_may_also_give_it_up(till: Till) -> None:
    till.model.down = -1
    case = await till.run([pay("10.00")])
    await until_people_are_asked(till, case)
    await till.decide("ops", case, "reject", reason_code="other")
    row = await till.case(case)
    assert (row.status, row.summary) == (C.CANCELLED, "people gave it up")
    assert (await till.check()).findings == []


@pytest.mark.parametrize("desired", [Desired.RUN, Desired.CANCEL])
async def test_a_failed_case_can_be_taken_up_or_cancelled_without_the_question(till: Till, desired: Desired) -> None:
    till.model.down = -1
    case = await till.run([pay("10.00")])
    await until_people_are_asked(till, case)
    till.model.down = 0
    await till.want(case, desired)
    assert await till.status(case) is (C.CLOSED if desired is Desired.RUN else C.CANCELLED)
    assert [review.status for review in await till.reviews(case)] == [R.SUPERSEDED]


async def test_a_failed_case_can_be_paused_and_waits_even_if_people_say_go(till: Till) -> None:
    till.model.down = -1
    case = await till.run([pay("10.00")])
    await until_people_are_asked(till, case)
    till.model.down = 0
    await till.want(case, Desired.PAUSE)
    assert await till.status(case) is C.FAILED
    await till.decide("ops", case)
    assert await till.status(case) is C.PAUSED
    await till.want(case, Desired.RUN)
    assert await till.status(case) is C.CLOSED


async def test_a_provider_that_can_not_be_read_delays_and_then_goes_to_people(till: Till) -> None:
    till.fail(PlannedFault(operation="account.read", fault=Fault.ERROR, times=1000))
    case = await till.run([pay("10.00")])
    await until_people_are_asked(till, case)
    till.shop.faults = None
    await till.decide("ops", case)
    assert await till.status(case) is C.CLOSED
    assert await till.balance() == "990.00 USD"


async def test_a_decision_that_could_not_be_carried_out_yet_is_not_lost(till: Till) -> None:
    case = await till.run([pay("100.00"), pay("60.00", account="acc_2")])
    first, second = await till.reviews(case)
    till.fail(PlannedFault(operation="account.read", fault=Fault.ERROR, times=3))
    await till.vote("ann", first.id)
    await till.vote("ben", second.id)
    assert await till.status(case) is C.PAUSED
    for wait in (2, 15, 120):
        await till.later(seconds=wait)
    assert await till.status(case) is C.CLOSED
    assert (await till.balance(), await till.balance("acc_2")) == ("900.00 USD", "940.00 USD")
    assert (await till.check()).findings == []


class Defective(ScriptedModel):
    """A model whose code has a mistake in it, for one turn."""

    broken: int = 1

    def _turn(self, messages: Sequence[BaseMessage]) -> Turn:
        if self.broken:
            self.broken -= 1
            raise ZeroDivisionError("a mistake")
        return super()._turn(messages)


async def test_a_defect_leaves_the_case_whole_and_in_peoples_sight(folder: Path) -> None:
    async with open_till(folder, model=Defective()) as till:
        case = await till.run([pay("10.00")])
        row = await till.case(case)
        assert (row.status, row.problem) == (C.FAILED, "ZeroDivisionError: a mistake")
        await till.decide("ops", case)
        assert await till.status(case) is C.CLOSED
        assert await till.happened(case) == ["gift.pay"]
        assert (await till.check()).findings == []
