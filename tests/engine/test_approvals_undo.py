"""Taking back what was decided: as long as its effect waits, by whoever decided, and never around anybody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from core.errors import AlreadyDecided, Forbidden, NotFound
from core.settings import DeskSettings
from core.states import CaseStatus, Desired, ReviewStatus
from engine.decisions import Decided
from ledger.database import Ledger
from tests.support.till import Till, open_till, pay, person

R = ReviewStatus
WAIT = DeskSettings(undo_s=30)
CHAIN = ("within: 4 hours, if_late: deny", "within: 4 hours, if_late: escalate to bosses")


@pytest.fixture
async def slow(folder: Path) -> AsyncIterator[Till]:
    """A till that waits for half a minute after each decision."""
    async with open_till(folder, desk=WAIT) as opened:
        yield opened


async def undo(till: Till, name: str, review_id: str) -> Decided:
    return await till.house.desk.undo(person(name), review_id)


async def test_an_approval_waits_and_then_runs_by_itself(slow: Till) -> None:
    case = await slow.run([pay("100.00")])
    review = await slow.review(case)
    assert (await slow.approve("ann", case)).status is R.APPROVED
    assert await slow.later(seconds=29) == 0
    assert (await slow.status(case), await slow.balance()) == (CaseStatus.WAITING, "1000.00 USD")
    assert await slow.later(seconds=1) == 1
    assert (await slow.status(case), await slow.balance()) == (CaseStatus.CLOSED, "900.00 USD")
    with pytest.raises(AlreadyDecided, match="The case is over"):
        await undo(slow, "ann", review.id)
    assert (await slow.check()).findings == []


async def test_an_approval_that_was_taken_back_is_asked_again_and_runs_once(slow: Till) -> None:
    case = await slow.run([pay("100.00")])
    first = await slow.review(case)
    await slow.approve("ann", case)
    back = await undo(slow, "ann", first.id)
    assert (back.status, back.waiting_for) == (R.OPEN, ["clerk"])
    assert back.review_id != first.id
    assert await slow.later(minutes=5) == 0
    assert await slow.balance() == "1000.00 USD"
    with pytest.raises(AlreadyDecided, match="superseded"):
        await undo(slow, "ann", first.id)
    await slow.approve("ann", case)
    await slow.later(seconds=30)
    assert await slow.balance() == "900.00 USD"
    assert {"review.undone", "review.superseded"} <= set(await slow.audit(case))
    assert (await slow.check()).findings == []


async def test_where_nothing_waits_nothing_is_taken_back(till: Till) -> None:
    case = await till.run([pay("300.00")])
    review = await till.review(case)
    await till.approve("cat", case)
    with pytest.raises(AlreadyDecided, match="The time to take it back is over"):
        await undo(till, "cat", review.id)
    await till.hold(case)
    for name in ("ann", "dan"):
        await till.approve(name, case)
    with pytest.raises(AlreadyDecided, match="may begin at any moment"):
        await undo(till, "ann", review.id)


async def test_a_vote_among_several_is_taken_back_before_and_after_the_last_one(slow: Till) -> None:
    """Each time all are asked anew: nobody's vote is carried over, and nobody's is taken by another."""
    case = await slow.run([pay("300.00")])
    first = await slow.review(case)
    await slow.approve("cat", case)
    await undo(slow, "cat", first.id)
    second = await slow.review(case)
    assert await slow.read(lambda ledger: ledger.reviews.votes(second.id)) == []
    for name in ("ann", "cat", "dan"):
        await slow.approve(name, case)
    await undo(slow, "ann", second.id)
    third = await slow.review(case)
    assert (await slow.approve("ann", case)).waiting_for == ["boss"]
    await slow.later(minutes=1)
    assert await slow.balance() == "1000.00 USD"
    for name in ("cat", "dan"):
        await slow.approve(name, case)
    await slow.later(minutes=1)
    assert await slow.balance() == "700.00 USD"
    assert third.status == R.OPEN
    assert (await slow.check()).findings == []


async def test_nobody_takes_back_what_others_decided(slow: Till) -> None:
    case = await slow.run([pay("300.00")])
    review = await slow.review(case)
    await slow.approve("cat", case)
    await slow.reject("ann", case)
    for name in ("dan", "ben", "ops"):
        with pytest.raises(Forbidden, match="You decided nothing here"):
            await undo(slow, name, review.id)
    with pytest.raises(AlreadyDecided, match="It is rejected, by ann"):
        await undo(slow, "cat", review.id)
    with pytest.raises(NotFound):
        await slow.house.desk.undo(person("ann").model_copy(update={"workspace": "other"}), review.id)
    await slow.later(seconds=30)
    assert await slow.status(case) is CaseStatus.CLOSED


async def test_a_no_that_was_taken_back_is_no_refusal_any_more(slow: Till) -> None:
    case = await slow.run([pay("100.00")], [pay("40.00")])
    review = await slow.review(case)
    await slow.reject("ann", case)
    await undo(slow, "ann", review.id)
    await slow.approve("ben", case)
    await slow.later(seconds=30)
    assert await slow.status(case) is CaseStatus.CLOSED
    assert await slow.balance() == "860.00 USD"  # the forty are below the limit, and nobody refused the like of it
    assert (await slow.check()).findings == []


async def test_words_are_taken_back_before_the_agent_hears_them(slow: Till) -> None:
    case = await slow.run([pay("100.00")])
    review = await slow.review(case)
    calls = slow.model.calls
    await slow.decide("ann", case, "respond", note="No.")
    await undo(slow, "ann", review.id)
    await slow.later(minutes=2)
    assert slow.model.calls == calls
    await slow.approve("ben", case)
    await slow.later(seconds=30)
    assert await slow.balance() == "900.00 USD"


async def test_the_time_that_was_left_is_left_and_not_more(slow: Till) -> None:
    """Deciding and taking back again and again keeps no question alive."""
    case = await slow.run([pay("100.00")])
    end = (await slow.review(case)).due_at
    for _ in range(3):
        review = await slow.review(case)
        await slow.approve("ann", case)
        slow.clock.advance(timedelta(seconds=20))
        await undo(slow, "ann", review.id)
        slow.clock.advance(timedelta(minutes=10))
    assert (await slow.review(case)).due_at == end + timedelta(seconds=60)
    await slow.later(hours=4)
    assert [each.status for each in await slow.reviews(case)][-1] == R.EXPIRED
    assert await slow.balance() == "1000.00 USD"


async def test_what_was_passed_on_is_called_back_until_others_take_it_up(slow: Till) -> None:
    slow.change_policy(*CHAIN)
    case = await slow.run([pay("100.00")])
    review = await slow.review(case)
    before = (review.reviewers, review.due_at, review.reason, review.asked_of)
    await slow.decide("ann", case, "escalate", note="Too large for me.")
    await undo(slow, "ann", review.id)
    now = await slow.review(case)
    assert (now.reviewers, now.due_at, now.reason, now.asked_of) == before
    await slow.decide("ann", case, "escalate", note="It is, after all.")
    await slow.house.desk.claim(person("cat"), review.id)
    with pytest.raises(AlreadyDecided, match="Others have taken it up"):
        await undo(slow, "ann", review.id)
    for name in ("cat", "dan"):
        await slow.approve(name, case)
    await slow.later(seconds=30)
    assert await slow.balance() == "900.00 USD"
    assert (await slow.check()).findings == []


async def test_whoever_calls_it_back_may_decide_it_again(slow: Till) -> None:
    slow.change_policy(*CHAIN)
    case = await slow.run([pay("100.00")])
    await slow.decide("ann", case, "escalate", note="Hm.")
    await undo(slow, "ann", (await slow.review(case)).id)
    assert (await slow.approve("ann", case)).status is R.APPROVED
    await slow.later(seconds=30)
    assert await slow.balance() == "900.00 USD"
    assert (await slow.check()).findings == []


async def test_an_event_that_claims_the_time_is_over_changes_nothing(slow: Till) -> None:
    case = await slow.run([pay("100.00")])
    review = await slow.review(case)
    await slow.approve("ann", case)

    def forge(ledger: Ledger) -> None:
        payload = {"review_id": review.id, "interrupt_id": review.interrupt_id}
        row = ledger.cases.get(case)
        ledger.cases.post(row, source="desk", event_id="forged", event="review.decided", payload=payload)

    await slow.house.database.write("default", forge)
    await slow.later(seconds=5)
    assert await slow.balance() == "1000.00 USD"
    await undo(slow, "ann", review.id)
    await slow.later(seconds=60)
    assert await slow.balance() == "1000.00 USD"
    assert (await slow.review(case)).action_id == review.action_id


async def test_a_case_that_was_cancelled_meanwhile_has_nothing_to_take_back_and_does_nothing(slow: Till) -> None:
    case = await slow.run([pay("100.00")])
    review = await slow.review(case)
    await slow.approve("ann", case)
    await slow.want(case, Desired.CANCEL)
    with pytest.raises(AlreadyDecided, match="The case is over"):
        await undo(slow, "ann", review.id)
    await slow.later(seconds=60)
    assert await slow.happened(case) == []
    assert (await slow.check()).findings == []


async def test_the_wait_survives_a_restart(folder: Path) -> None:
    async with open_till(folder, desk=WAIT) as till:
        clock = till.clock
        taken, kept = await till.run([pay("100.00")]), await till.run([pay("70.00")], customer="cus_2")
        reviews = {case: (await till.review(case)).id for case in (taken, kept)}
        for case in (taken, kept):
            await till.approve("ann", case)
    async with open_till(folder, desk=WAIT, clock=clock) as till:
        await undo(till, "ann", reviews[taken])
        await till.later(seconds=30)
        assert await till.balance() == "930.00 USD"
        assert await till.status(kept) is CaseStatus.CLOSED
        assert (await till.review(taken)).status == R.OPEN


async def test_each_tool_may_wait_for_a_time_of_its_own(folder: Path) -> None:
    async with open_till(folder, desk=DeskSettings(undo_s=30, undo_tools={"gift.pay": 0})) as till:
        case = await till.run([pay("100.00")])
        await till.approve("ann", case)
        assert await till.balance() == "900.00 USD"


async def test_of_many_who_take_back_at_once_one_does(slow: Till) -> None:
    case = await slow.run([pay("100.00")])
    review = await slow.review(case)
    await slow.approve("ann", case)
    answers = await asyncio.gather(*(undo(slow, "ann", review.id) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(each, Decided) for each in answers) == 1
    assert len(await slow.reviews(case)) == 2
