"""The customer writes again while their case is open: nothing that was planned before goes on as if they had not."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import AlreadyDecided, Busy, Forbidden, NotFound
from core.people import Person
from core.states import CaseStatus, Desired, ReviewStatus
from engine.superseding import MOST, Taken, Words
from ledger.tables import AuditRow
from tests.support.folders import quick_folder
from tests.support.servers import fresh_database, needs_postgres
from tests.support.till import Till, open_till, pay, person
from tools.fulfillment.faults import Fault, PlannedFault

R = ReviewStatus


async def wrote(till: Till, case: str, text: str = "Wait, there is more to say.", key: str = "m1") -> Taken:
    taken = await till.house.intake.say(person("ops"), case, Words(key=key, text=text))
    await till.settle(case)
    return taken


async def test_an_open_question_is_superseded_and_asked_anew(till: Till) -> None:
    case = await till.run([pay("100.00")], [pay("120.00")])
    before = await till.review(case)
    taken = await wrote(till, case)
    assert (taken.new, taken.superseded) == (True, [before.id])
    after = await till.review(case)
    assert [each.status for each in await till.reviews(case)] == [R.SUPERSEDED, R.OPEN]
    assert (await till.args(after.action_id))["amount"]["amount_minor"] == 12_000
    with pytest.raises(AlreadyDecided, match="superseded"):
        await till.vote("ann", before.id)
    await till.approve("ann", case)
    assert await till.status(case) is CaseStatus.CLOSED
    assert await till.balance() == "880.00 USD"
    assert (await till.check()).findings == []
    assert [body["reason"] for body in await till.trace(case, "review.superseded")] == ["the customer wrote again"]
    (said,) = await till.trace(case, "customer.wrote")
    assert (said["text"], said["superseded"]) == ("Wait, there is more to say.", [before.id])


async def test_the_same_action_proposed_again_needs_a_new_approval(till: Till) -> None:
    case = await till.run([pay("100.00")], [pay("100.00")])
    first = await till.review(case)
    await wrote(till, case)
    second = await till.review(case)
    assert first.action_id != second.action_id
    assert await till.balance() == "1000.00 USD"


async def test_an_approval_that_has_not_run_is_taken_back(till: Till) -> None:
    case = await till.run([pay("100.00")], [pay("60.00")])
    await till.hold(case)
    await till.approve("ann", case)
    taken = await wrote(till, case)
    assert len(taken.superseded) == 1
    await till.let_go(case)
    assert [each.status for each in await till.reviews(case)] == [R.SUPERSEDED, R.OPEN]
    assert await till.happened(case) == []
    await till.approve("ann", case)
    assert await till.happened(case) == ["gift.pay"]
    assert await till.balance() == "940.00 USD"


async def test_of_two_approvals_one_given_none_is_left(till: Till) -> None:
    case = await till.run([pay("300.00")], [pay("300.00")])
    await till.approve("cat", case)
    await wrote(till, case)
    again = await till.review(case)
    assert await till.read(lambda ledger: ledger.reviews.votes(again.id)) == []
    for name in ("ann", "cat"):
        await till.approve(name, case)
    assert await till.happened(case) == []
    await till.approve("dan", case)
    assert await till.happened(case) == ["gift.pay"]


async def test_what_siblings_did_is_known_and_not_done_again(till: Till) -> None:
    case = await till.run([pay("10.00"), pay("100.00")], [pay("70.00")])
    assert await till.happened(case) == ["gift.pay"]
    await wrote(till, case)
    await till.approve("ann", case)
    assert await till.happened(case) == ["gift.pay", "gift.pay"]
    assert await till.balance() == "920.00 USD"
    assert (await till.check()).findings == []


async def test_two_open_questions_end_together(till: Till) -> None:
    case = await till.run([pay("100.00"), pay("110.00")], [pay("60.00")])
    taken = await wrote(till, case)
    assert len(taken.superseded) == 2
    await till.approve("ann", case)
    assert await till.balance() == "940.00 USD"


async def test_the_same_message_is_taken_once(till: Till) -> None:
    case = await till.run([pay("100.00")], [pay("100.00")], [pay("100.00")])
    await wrote(till, case)
    again = await wrote(till, case)
    assert (again.new, again.superseded) == (False, [])
    assert len(await till.reviews(case)) == 2
    assert len(await till.trace(case, "customer.wrote")) == 1


async def test_messages_are_read_in_their_order_and_each_once(till: Till) -> None:
    case = await till.run([pay("100.00")], [pay("100.00")], [pay("100.00")])
    await till.hold(case)
    for number in range(3):
        await wrote(till, case, f"message {number}", f"m{number}")
    await till.let_go(case)
    state = await till.house.rewind.steps("till", case)
    detail = await till.house.rewind.step("till", case, state[-1].id)
    said = [each.text for each in detail.said if each.by == "human" and each.text.startswith("<message>")]
    assert [f"message {n}" in text for n, text in enumerate(said)] == [True, True, True]


async def test_a_case_that_is_over_takes_no_message(till: Till) -> None:
    case = await till.run([pay("10.00")])
    taken = await wrote(till, case)
    assert (taken.new, taken.status) == (False, "closed")
    assert await till.trace(case, "customer.wrote") == []


async def test_what_happened_at_a_provider_is_still_asked(till: Till) -> None:
    """Nobody knows whether it was paid: that has to be answered first, and then the words are read."""
    till.fail(
        PlannedFault(operation="gift.pay", fault=Fault.TIMEOUT_AFTER),
        PlannedFault(operation="find", fault=Fault.ERROR, times=1000),
    )
    case = await till.run([pay("10.00")], [pay("100.00")])
    (asked,) = await till.reviews(case)
    taken = await wrote(till, case)
    assert taken.superseded == []
    assert (await till.review(case)).id == asked.id
    till.fail()
    await till.approve("ops", case)
    assert len(await till.trace(case, "customer.wrote")) == 1
    assert (await till.args((await till.review(case)).action_id))["amount"]["amount_minor"] == 10_000
    assert await till.happened(case) == ["gift.pay"]


async def test_only_who_opened_the_case_or_operates_speaks_for_the_customer(till: Till) -> None:
    case = await till.run([pay("100.00")])
    service = Person(id="shop-chat", roles=frozenset({"service"}))
    elsewhere = Person(id="ops", workspace="elsewhere", roles=frozenset({"operator"}))
    with pytest.raises(Forbidden):
        await till.house.intake.say(service, case, Words(key="m1", text="hello"))
    with pytest.raises(NotFound):
        await till.house.intake.say(elsewhere, case, Words(key="m1", text="hello"))
    assert (await till.review(case)).status == R.OPEN


async def test_who_writes_without_end_is_asked_to_wait(till: Till) -> None:
    case = await till.run([pay("100.00")])
    await till.want(case, Desired.PAUSE)
    for number in range(MOST):
        await till.house.intake.say(person("ops"), case, Words(key=f"m{number}", text="and"))
    with pytest.raises(Busy):
        await till.house.intake.say(person("ops"), case, Words(key="more", text="and"))
    assert not (await till.house.intake.say(person("ops"), case, Words(key="m3", text="and"))).new


async def test_what_was_planned_before_the_words_does_not_run_even_if_policy_lets_it(till: Till) -> None:
    """It is allowed, and its facts are being read for the last time, when the message comes in."""
    till.fail(PlannedFault(operation="account.read", fault=Fault.SLOW, seconds=0.3, times=2))
    case = await till.submit([pay("10.00")], [pay("20.00")])
    await till.until(case, "action.judged")
    await wrote(till, case)
    assert await till.happened(case) == ["gift.pay"]
    assert await till.balance() == "980.00 USD"
    assert (await till.check()).findings == []


async def races(till: Till, trials: int) -> set[bool]:
    """A vote and a message at the same moment. Whether the old action ran, of each trial: only before the words."""
    ran = set()
    for trial in range(trials):
        await till.set_balance("1000.00", f"acc_{trial + 10}")
        case = await till.run([pay("100.00", f"acc_{trial + 10}")], [pay("110.00", f"acc_{trial + 10}")])
        old = await till.review(case)
        words = Words(key="m1", text="Wait.")
        vote, said = till.vote("ann", old.id, wait=False), till.house.intake.say(person("ops"), case, words)
        await asyncio.gather(*((vote, said) if trial % 2 else (said, vote)), return_exceptions=True)
        await till.settle(case)
        entries = await till.read(lambda ledger, case=case: ledger.audit.entries(case_id=case, limit=1000))
        order = [entry.type for entry in sorted(entries, key=lambda each: each.seq) if _about(entry, old.action_id)]
        ran.add("effect.started" in order)
        assert order.index("effect.started") < order.index("customer.wrote") if "effect.started" in order else True
    assert (await till.check()).findings == []
    return ran


def _about(entry: AuditRow, action: str) -> bool:
    return entry.type == "customer.wrote" or (entry.type == "effect.started" and action in entry.body)


async def test_a_vote_and_a_message_at_once(till: Till) -> None:
    assert False in await races(till, 6)


@needs_postgres
async def test_a_vote_and_a_message_at_once_over_a_server() -> None:
    with fresh_database() as url, quick_folder() as fresh:
        async with open_till(fresh, server=url) as opened:
            assert await races(opened, 6)
