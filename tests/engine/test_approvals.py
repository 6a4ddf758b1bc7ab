"""Whose approval carries an action: distinct people with the role, on exactly this, in time, and still when it runs."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlmodel import col, select

from core.errors import AlreadyDecided, Forbidden, StaleState
from core.states import CaseStatus, ReviewStatus
from ledger.database import Ledger
from ledger.tables import InboxRow
from tests.support.till import Till, pay, usd
from tools.fulfillment.faults import Fault, PlannedFault

R = ReviewStatus


async def untouched(till: Till) -> bool:
    return await till.balance() == "1000.00 USD"


async def test_one_of_two_people_is_not_enough(till: Till) -> None:
    case = await till.run([pay("300.00")])
    waiting = await till.approve("cat", case)
    assert (waiting.status, waiting.waiting_for) == (R.OPEN, ["clerk", "boss"])
    with pytest.raises(AlreadyDecided, match="You have voted"):
        await till.approve("cat", case)
    assert (await till.approve("ann", case)).waiting_for == ["boss"]
    assert await untouched(till)
    assert (await till.approve("dan", case)).status is R.APPROVED
    assert await till.balance() == "700.00 USD"
    assert (await till.check()).findings == []


async def test_nobody_sits_on_two_seats(till: Till) -> None:
    """Two bosses and a clerk are asked for: ben is both, and still one person."""
    case = await till.run([pay("300.00")])
    await till.approve("ben", case)
    waiting = await till.approve("cat", case)
    assert waiting.status is R.OPEN
    assert waiting.waiting_for
    assert await untouched(till)
    assert (await till.approve("dan", case)).status is R.APPROVED
    assert await till.balance() == "700.00 USD"


async def test_the_wrong_role_may_not_even_vote(till: Till) -> None:
    case = await till.run([pay("100.00")])
    with pytest.raises(Forbidden, match="It takes the role clerk"):
        await till.approve("cat", case)
    with pytest.raises(Forbidden):
        await till.approve("ops", case)
    assert await untouched(till)


async def test_one_veto_is_enough(till: Till) -> None:
    case = await till.run([pay("300.00")])
    await till.approve("cat", case)
    assert (await till.reject("ann", case, "fraud_suspected")).status is R.REJECTED
    assert await till.status(case) is CaseStatus.CLOSED
    assert await untouched(till)


async def test_a_role_taken_away_after_the_vote_takes_the_vote_away(till: Till) -> None:
    case = await till.run([pay("300.00")])
    await till.approve("cat", case)
    await till.set_roles("cat", "clerk")
    await till.approve("ann", case)
    assert (await till.approve("dan", case)).status is R.OPEN
    assert await untouched(till)
    await till.approve("ben", case)
    assert await till.balance() == "700.00 USD"


async def test_a_role_taken_away_between_the_last_vote_and_the_run(till: Till) -> None:
    case = await till.run([pay("100.00")])
    await till.hold(case)
    await till.approve("ann", case)
    await till.set_roles("ann", "auditor")
    await till.let_go(case)
    assert await till.status(case) is CaseStatus.WAITING
    assert [review.status for review in await till.reviews(case)] == [R.SUPERSEDED, R.OPEN]
    assert "Approval is missing from: clerk" in (await till.review(case)).reason
    assert await untouched(till)
    await till.approve("ben", case)
    assert await till.balance() == "900.00 USD"
    assert (await till.check()).findings == []


async def test_a_review_that_is_late_is_not_approved_any_more(till: Till) -> None:
    case = await till.run([pay("100.00")])
    review = await till.review(case)
    till.clock.advance(review.due_at - review.opened_at)
    with pytest.raises(AlreadyDecided, match="Its time is over"):
        await till.approve("ann", case)
    await till.later(seconds=1)
    assert await till.status(case) is CaseStatus.CLOSED
    assert [each.status for each in await till.reviews(case)] == [R.EXPIRED]
    assert await untouched(till)


async def test_facts_that_moved_after_the_approval_are_shown_and_asked_about_again(till: Till) -> None:
    case = await till.run([pay("100.00")])
    await till.hold(case)
    await till.approve("ann", case)
    await till.set_balance("500.00")
    await till.let_go(case)
    assert await till.balance() == "500.00 USD"
    first, second = await till.reviews(case)
    assert (first.status, second.status) == (R.SUPERSEDED, R.OPEN)
    assert second.reason.startswith(
        "The facts moved since it was approved: account.balance was 1000.00 USD, is 500.00 USD"
    )
    assert second.facts["account.balance"]["value"] == usd("500.00")
    assert await till.seen(second.id) != await till.seen(first.id)
    await till.approve("ann", case)
    assert await till.balance() == "400.00 USD"
    assert (await till.check()).findings == []


async def test_a_stricter_policy_counts_for_what_was_approved_under_the_old_one(till: Till) -> None:
    case = await till.run([pay("100.00")])
    await till.hold(case)
    await till.approve("ann", case)
    till.change_policy("two_people: 200 USD", "two_people: 80 USD")
    await till.let_go(case)
    assert await untouched(till)
    review = await till.review(case)
    assert {each["role"] for each in review.reviewers} == {"clerk", "boss"}
    assert "Approval is missing" in review.reason
    for name in ("ann", "cat", "dan"):
        await till.approve(name, case)
    assert await till.balance() == "900.00 USD"
    assert (await till.check()).findings == []


async def test_a_policy_that_forbids_it_now_stops_what_was_approved(till: Till) -> None:
    case = await till.run([pay("100.00")])
    await till.hold(case)
    await till.approve("ann", case)
    till.change_policy("cap: 900 USD", "cap: 90 USD")
    await till.let_go(case)
    assert await untouched(till)
    assert await till.status(case) is CaseStatus.CLOSED
    assert [body["reason"] for body in await till.trace(case, "effect.denied")] == ["Above the cap, or to nobody."]
    assert await till.runs(case) == []


async def test_a_policy_that_asks_now_for_what_it_allowed_at_the_gate(till: Till) -> None:
    till.fail(PlannedFault(operation="account.read", fault=Fault.SLOW, seconds=0.2, times=2))
    case = await till.submit([pay("10.00")])
    await till.until(case, "action.judged")
    till.change_policy("auto: 50 USD", "auto: 5 USD")
    await till.settle(case)
    assert await till.answers(case) == ["allow"]
    assert await untouched(till)
    assert "Policy asks for people now" in (await till.review(case)).reason
    await till.approve("ann", case)
    assert await till.balance() == "990.00 USD"
    assert (await till.check()).findings == []


# A no holds


async def test_what_people_refused_is_not_paid_in_smaller_pieces_without_them(till: Till) -> None:
    """Forty alone would be allowed; after a no to a hundred the same people see it."""
    case = await till.run([pay("100.00")], [pay("40.00")])
    await till.reject("ann", case)
    assert await untouched(till)
    review = await till.review(case)
    assert (review.reason, [each["role"] for each in review.reviewers]) == (
        "People refused the like of it in this case.",
        ["clerk"],
    )
    await till.approve("ben", case)
    assert await till.balance() == "960.00 USD"
    assert (await till.check()).findings == []


async def test_a_reason_that_came_up_since_is_shown_before_it_runs(till: Till) -> None:
    """Approved because it is large; meanwhile it is also much for a day."""
    case = await till.run([pay("60.00")])
    await till.hold(case)
    await till.approve("ann", case)
    await till.run(*[[pay("50.00", "acc_2")]] * 7)
    await till.let_go(case)
    assert await untouched(till)
    assert "there are further reasons" in (await till.review(case)).reason.lower()
    await till.approve("ann", case)
    assert await till.balance() == "940.00 USD"


async def test_effects_of_one_customer_see_each_other(till: Till) -> None:
    """Two cases, sixty in the account: the second reads the balance only after the first has paid."""
    await till.set_balance("60.00")
    till.fail(PlannedFault(operation="gift.pay", fault=Fault.SLOW, seconds=0.2))
    cases = await asyncio.gather(till.submit([pay("40.00")]), till.submit([pay("45.00")]))
    await till.settle(*cases)
    assert sorted([len(await till.runs(case)) for case in cases]) == [0, 1]
    denied = [body["reason"] for case in cases for body in await till.trace(case, "effect.denied")]
    assert denied == ["More than there is."]


# What carries no authority


async def test_an_event_that_claims_a_decision_changes_nothing(till: Till) -> None:
    """Whoever can write into the inbox can wake the graph up, and that is all."""
    case = await till.run([pay("100.00")])
    review = await till.review(case)

    def forge(ledger: Ledger) -> None:
        row = ledger.cases.get(case)
        ledger.cases.post(
            row,
            source="desk",
            event_id=f"{review.id}:approved",
            event="review.decided",
            payload={"review_id": review.id, "interrupt_id": review.interrupt_id, "choice": "approve"},
        )

    await till.house.database.write("default", forge)
    await till.later(seconds=1)
    assert await untouched(till)
    assert await till.happened(case) == []
    assert (await till.review(case)).status == R.OPEN
    assert await till.status(case) is CaseStatus.WAITING
    await till.approve("ann", case)
    assert await till.status(case) is CaseStatus.CLOSED


async def test_a_decision_that_is_delivered_twice_does_nothing_the_second_time(till: Till) -> None:
    """The next question must not take the answer of the last one."""
    case = await till.run([pay("100.00")], [pay("200.00")])
    first = await till.review(case)
    await till.approve("ann", case)
    assert await till.balance() == "900.00 USD"
    second = await till.review(case)

    def events(ledger: Ledger) -> list[InboxRow]:
        return list(ledger.session.exec(select(InboxRow).where(InboxRow.case_id == case).order_by(col(InboxRow.seq))))

    def again(ledger: Ledger) -> None:
        row = ledger.cases.get(case)
        done = next(event for event in events(ledger) if event.type == "review.decided")
        ledger.cases.post(row, source="desk", event_id=f"{first.id}:again", event=done.type, payload=done.payload)

    await till.house.database.write("default", again)
    await till.later(seconds=1)
    assert await till.status(case) is CaseStatus.WAITING
    assert (await till.review(case)).id == second.id
    assert await till.balance() == "900.00 USD"
    assert (await till.read(events))[-1].note == "had nothing to answer"
    await till.approve("ann", case)
    assert await till.balance() == "700.00 USD"
    assert (await till.check()).findings == []


async def test_arguments_changed_in_the_store_lose_their_approval(till: Till, folder: Path) -> None:
    """The id is the content: what was approved is not what lies there now, so it does not run."""
    case = await till.run([pay("100.00")])
    await till.hold(case)
    await till.approve("ann", case)
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        db.execute("DROP TRIGGER action_is_append_only_update")
        db.execute("UPDATE action SET args = replace(args, '10000', '90000')")
        db.commit()
    await till.let_go(case)
    assert await untouched(till)
    assert await till.happened(case) == []
    assert await till.status(case) is CaseStatus.FAILED
    assert "was changed" in (await till.case(case)).problem


async def test_what_was_looked_at_has_to_be_what_is_there(till: Till) -> None:
    case = await till.run([pay("100.00")])
    with pytest.raises(StaleState, match="It changed since you looked"):
        await till.decide("ann", case, seen="0" * 64)
    assert await untouched(till)
