"""The review desk: people take reviews, hold them for a while, and of two who decide one is first."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from core.errors import AlreadyDecided, Conflict, Forbidden, InvalidInput, KeyReused, LeaseLost, NotFound, StaleState
from core.people import Person
from core.states import CaseStatus, ReviewStatus
from engine.decisions import Choice, Decided, Decision
from engine.reviews import CLAIM_LEASE
from ledger.database import Ledger
from ledger.tables import SYSTEM
from tests.support.till import Till, pay, person, usd

R = ReviewStatus


async def test_a_claim_keeps_others_away_until_it_runs_out(till: Till) -> None:
    case = await till.run([pay("100.00")])
    review = await till.review(case)
    desk = till.house.desk
    await desk.claim(person("ann"), review.id)
    with pytest.raises(LeaseLost, match="ann is looking at it") as lost:
        await desk.claim(person("ben"), review.id)
    assert (lost.value.status, lost.value.extra["present"]) == (409, "ann")
    with pytest.raises(StaleState, match="ann holds it"):
        await till.approve("ben", case)
    till.clock.advance(CLAIM_LEASE - timedelta(seconds=1))
    await desk.claim(person("ann"), review.id)  # renewed
    till.clock.advance(CLAIM_LEASE - timedelta(seconds=1))
    with pytest.raises(StaleState):
        await till.approve("ben", case)
    till.clock.advance(timedelta(seconds=1))
    await desk.claim(person("ben"), review.id)
    with pytest.raises(StaleState, match="ben holds it"):
        await till.approve("ann", case)
    await till.approve("ben", case)
    assert await till.balance() == "900.00 USD"


async def test_a_claim_is_given_back_by_who_holds_it(till: Till) -> None:
    case = await till.run([pay("100.00")])
    review = await till.review(case)
    desk = till.house.desk
    with pytest.raises(LeaseLost):
        await desk.release(person("ann"), review.id)
    await desk.claim(person("ann"), review.id)
    with pytest.raises(LeaseLost) as lost:
        await desk.release(person("ben"), review.id)
    assert lost.value.extra["present"] == "ann"
    await desk.release(person("ann"), review.id)
    await desk.claim(person("ben"), review.id)


async def test_claims_are_for_those_who_are_asked(till: Till) -> None:
    review = await till.review(await till.run([pay("100.00")]))
    with pytest.raises(Forbidden, match="It takes the role clerk"):
        await till.house.desk.claim(person("cat"), review.id)
    with pytest.raises(Forbidden):
        await till.house.desk.claim(Person(id="zoe", roles=frozenset({"viewer"})), review.id)
    with pytest.raises(NotFound):
        await till.house.desk.claim(person("ann"), "rev_nothing")
    with pytest.raises(NotFound):
        await till.house.desk.claim(person("ann").model_copy(update={"workspace": "other"}), review.id)


@pytest.mark.parametrize(("one", "other"), [("approve", "approve"), ("approve", "reject"), ("reject", "approve")])
async def test_of_two_at_once_one_wins_and_the_other_is_told_who(till: Till, one: str, other: str) -> None:
    case = await till.run([pay("100.00")])
    review = await till.review(case)
    seen, code = await till.seen(review.id), {"approve": "", "reject": "other"}
    answers = await asyncio.gather(
        till.vote("ann", review.id, one, seen=seen, reason_code=code[one]),
        till.vote("ben", review.id, other, seen=seen, reason_code=code[other]),
        return_exceptions=True,
    )
    won = [answer for answer in answers if isinstance(answer, Decided)]
    lost = [answer for answer in answers if isinstance(answer, AlreadyDecided)]
    assert (len(won), len(lost)) == (1, 1)
    winner = "ann" if isinstance(answers[0], Decided) else "ben"
    assert lost[0].status == 409
    assert lost[0].detail == f"It is {won[0].status} already, by {winner}."
    assert await till.balance() == ("900.00 USD" if won[0].status is R.APPROVED else "1000.00 USD")
    assert (await till.check()).findings == []


async def test_the_same_person_twice_at_once_votes_once(till: Till) -> None:
    review = await till.review(await till.run([pay("300.00")]))
    answers = await asyncio.gather(*(till.vote("cat", review.id) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(answer, Decided) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 2
    assert len(await till.read(lambda ledger: ledger.reviews.votes(review.id))) == 1


async def test_who_looked_before_it_changed_has_to_look_again(till: Till) -> None:
    case = await till.run([pay("100.00")])
    review = await till.review(case)
    seen = await till.seen(review.id)
    await till.hold(case)
    await till.approve("ann", case)
    await till.set_balance("500.00")
    await till.let_go(case)  # asked anew, with other facts
    with pytest.raises(StaleState, match="It changed since you looked"):
        await till.decide("ann", case, seen=seen)
    await till.decide("ann", case)
    assert await till.balance() == "400.00 USD"


async def test_a_request_that_is_sent_again_gives_the_same_answer_and_no_second_vote(till: Till) -> None:
    case = await till.run([pay("300.00")])
    review = await till.review(case)
    first = await till.decide("cat", case, key="k1")
    assert await till.vote("cat", review.id, key="k1") == first
    assert first.waiting_for == ["clerk", "boss"]
    await till.decide("ann", case, key="k1")  # another person's keys are their own
    last = await till.decide("dan", case, key="k2")
    assert last.status is R.APPROVED
    assert await till.vote("dan", review.id, key="k2") == last
    assert (await till.vote("cat", review.id, key="k1")).status is R.APPROVED
    assert len(await till.read(lambda ledger: ledger.reviews.votes(review.id))) == 3
    assert await till.balance() == "700.00 USD"


async def test_an_edit_that_is_sent_again_names_the_same_review(till: Till) -> None:
    case = await till.run([pay("300.00")])
    review = await till.review(case)
    more: dict[str, Any] = {"args": {"account_id": "acc_1", "amount": usd("250.00")}, "key": "k1"}
    first = await till.decide("ann", case, "edit", **more)
    assert first.review_id != review.id
    assert await till.vote("ann", review.id, "edit", **more) == first
    assert len(await till.reviews(case)) == 2


async def test_a_key_with_another_decision_is_refused(till: Till) -> None:
    case = await till.run([pay("300.00")])
    review = await till.review(case)
    await till.decide("cat", case, key="k1")
    changes: list[dict[str, Any]] = [{"choice": "reject", "reason_code": "other"}, {"note": "Yes!"}, {"seen": "0" * 64}]
    for change in changes:
        with pytest.raises(KeyReused):
            await till.vote("cat", review.id, key="k1", **change)
    assert (await till.review(case)).status == R.OPEN


async def test_a_rejection_says_why(till: Till) -> None:
    case = await till.run([pay("100.00")])
    with pytest.raises(InvalidInput, match="reason code") as no:
        await till.decide("ann", case, "reject")
    assert no.value.field == "reason_code"
    await till.decide("ann", case, "reject", reason_code="fraud_suspected", note="Same card as last week.")
    told = (await till.trace(case, "review.rejected"))[0]
    assert (told["by"], told["reason_code"], told["note"]) == ("ann", "fraud_suspected", "Same card as last week.")


async def test_deciding_takes_a_reviewer(till: Till) -> None:
    review = await till.review(await till.run([pay("100.00")]))
    decision = Decision(choice=Choice.APPROVE, seen=await till.seen(review.id))
    for roles in ({"viewer"}, {"service"}, {"admin"}, set()):
        with pytest.raises(Forbidden):
            await till.house.desk.decide(Person(id="zoe", roles=frozenset(roles)), review.id, decision)
    stranger = Person(id="zoe", workspace="other", roles=frozenset({"clerk"}))
    with pytest.raises(NotFound):
        await till.house.desk.decide(stranger, review.id, decision)


async def test_a_vote_of_somebody_who_left_does_not_count(till: Till) -> None:
    case = await till.run([pay("300.00")])
    await till.approve("cat", case)

    def leave(ledger: Ledger) -> None:
        row = ledger.people.get("default", "cat")
        row.active = False
        ledger.session.add(row)

    await till.house.database.write(SYSTEM, leave)
    await till.approve("ann", case)
    assert (await till.approve("dan", case)).waiting_for == ["boss"]
    await till.approve("ben", case)
    assert await till.balance() == "700.00 USD"


async def test_what_people_looked_at_is_kept_with_their_vote_and_their_time_is_billed(till: Till) -> None:
    case = await till.run([pay("100.00")])
    review = await till.review(case)
    seen = await till.seen(review.id)
    await till.decide("ann", case, dwell_s=90)
    vote = (await till.read(lambda ledger: ledger.reviews.votes(review.id)))[0]
    assert (vote.person, vote.seen, vote.action_id, vote.roles) == ("ann", seen, review.action_id, ["clerk"])
    costs = await till.read(lambda ledger: ledger.costs.of_case(case))
    assert [(c.amount_minor, c.quantity, c.unit) for c in costs if c.component == "reviewer"] == [(90, 90, "second")]


# Time


async def test_nobody_in_time_is_a_no(till: Till) -> None:
    case = await till.run([pay("100.00")])
    assert await till.later(hours=3, minutes=59, seconds=59) == 0
    assert await till.status(case) is CaseStatus.WAITING
    assert await till.later(seconds=1) == 1
    assert await till.status(case) is CaseStatus.CLOSED
    assert [review.status for review in await till.reviews(case)] == [R.EXPIRED]
    assert await till.balance() == "1000.00 USD"
    with pytest.raises(AlreadyDecided, match="by the clock"):
        await till.vote("ann", (await till.reviews(case))[0].id)
    assert await till.later(days=2) == 0


async def test_a_decided_review_has_no_timer_left(till: Till) -> None:
    case = await till.run([pay("100.00")])
    await till.approve("ann", case)
    assert await till.later(days=2) == 0


async def test_the_shortest_time_of_several_groups_counts(till: Till) -> None:
    case = await till.run([pay("300.00")])  # clerks within 4 hours, bosses within a day
    review = await till.review(case)
    assert review.due_at - review.opened_at == timedelta(hours=4)
    await till.approve("cat", case)
    await till.later(hours=4)
    assert await till.status(case) is CaseStatus.CLOSED
    assert await till.balance() == "1000.00 USD"
