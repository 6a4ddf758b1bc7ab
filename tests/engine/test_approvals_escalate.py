"""Passing a question on: to those whom policy names, never to oneself, and never as a vote."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from core.errors import AlreadyDecided, Conflict, Forbidden, InvalidInput, KeyReused, StaleState
from core.states import CaseStatus, ReviewStatus
from engine.decisions import Decided
from tests.support.till import Till, pay, person

R = ReviewStatus
CHAIN = (
    "desk: {role: clerk, within: 4 hours, if_late: deny}",
    "desk: {role: clerk, within: 4 hours, if_late: escalate to bosses}",
)
WHY = "I know this customer."


async def pass_on(till: Till, name: str, case: str, **more: Any) -> Decided:
    return await till.decide(name, case, "escalate", **{"note": WHY, **more})


def groups(review: Any) -> list[str]:
    return [each["group"] for each in review.reviewers]


async def test_the_next_group_of_the_chain_takes_over_with_its_own_time(till: Till) -> None:
    till.change_policy(*CHAIN)
    case = await till.run([pay("100.00")])
    before = await till.review(case)
    till.clock.advance(timedelta(hours=3))
    passed = await pass_on(till, "ann", case)
    assert (passed.status, passed.review_id, passed.waiting_for) == (R.OPEN, before.id, ["boss"])
    review = await till.review(case)
    assert groups(review) == ["bosses"]
    assert review.due_at - till.clock.now() == timedelta(days=1)
    assert review.reason == f"Passed on by ann of desk: {WHY} Above the limit."
    assert await till.later(hours=2) == 0  # the clerks' time is over, and counts no more
    for name in ("cat", "dan"):
        await till.approve(name, case)
    assert await till.balance() == "900.00 USD"
    assert (await till.check()).findings == []
    (body,) = await till.trace(case, "review.escalated")
    assert (body["by"], body["to"], body["note"]) == ("ann", "bosses", WHY)
    assert "review.escalated" in await till.audit(case)


async def test_nobody_hands_a_question_to_themselves(till: Till) -> None:
    """Ben is clerk and boss: what he passes on as a clerk he can't approve as a boss."""
    till.change_policy(*CHAIN)
    case = await till.run([pay("100.00")])
    await pass_on(till, "ben", case)
    for _ in range(2):
        with pytest.raises(Forbidden, match="You passed it on"):
            await till.approve("ben", case)
    with pytest.raises(Forbidden, match="You passed it on"):
        await till.house.desk.claim(person("ben"), (await till.review(case)).id)
    await till.approve("cat", case)
    assert await till.balance() == "1000.00 USD"
    await till.approve("dan", case)
    assert await till.balance() == "900.00 USD"
    assert (await till.check()).findings == []


async def test_a_group_in_which_nobody_else_sits_gets_nothing(till: Till) -> None:
    till.change_policy(*CHAIN)
    case = await till.run([pay("100.00")])
    await till.set_roles("cat", "clerk")
    await till.set_roles("dan", "auditor")
    with pytest.raises(Conflict, match="nobody else is known"):
        await pass_on(till, "ben", case)
    assert groups(await till.review(case)) == ["desk"]


async def test_a_named_group_outside_of_the_chain_is_asked_as_well(till: Till) -> None:
    """The clerks' own seat stays to be filled, by another clerk."""
    case = await till.run([pay("100.00")])
    passed = await pass_on(till, "ann", case, to="bosses")
    assert passed.waiting_for == ["clerk", "boss"]
    assert groups(await till.review(case)) == ["desk", "bosses"]
    await till.approve("cat", case)
    await till.approve("dan", case)
    assert await till.balance() == "1000.00 USD"
    await till.approve("ben", case)
    assert await till.balance() == "900.00 USD"
    assert (await till.check()).findings == []


async def test_it_does_not_get_around_those_who_are_asked(till: Till) -> None:
    """Two clerks are not two bosses: bosses stay asked, and a vote is no way back in."""
    case = await till.run([pay("300.00")])
    with pytest.raises(InvalidInput, match="bosses is asked already"):
        await pass_on(till, "ann", case, to="bosses")
    with pytest.raises(InvalidInput, match="Policy has nobody who takes over"):
        await pass_on(till, "ann", case)
    with pytest.raises(InvalidInput, match="knows no group 'friends'"):
        await pass_on(till, "ann", case, to="friends")
    await till.approve("ben", case)
    with pytest.raises(AlreadyDecided, match="You have voted"):
        await pass_on(till, "ben", case, to="bosses")
    with pytest.raises(Forbidden, match="It takes the role"):
        await pass_on(till, "eve", case)
    assert await till.balance() == "1000.00 USD"


async def test_what_changed_is_not_passed_on_and_not_without_words(till: Till) -> None:
    till.change_policy(*CHAIN)
    case = await till.run([pay("100.00")])
    with pytest.raises(StaleState, match="It changed since"):
        await pass_on(till, "ann", case, seen="0" * 64)
    with pytest.raises(InvalidInput, match="It needs your words"):
        await pass_on(till, "ann", case, note=" ")
    await till.house.desk.claim(person("ben"), (await till.review(case)).id)
    with pytest.raises(StaleState, match="ben holds it"):
        await pass_on(till, "ann", case)


async def test_sent_twice_it_is_passed_on_once(till: Till) -> None:
    till.change_policy(*CHAIN)
    case = await till.run([pay("100.00")])
    first = await pass_on(till, "ann", case, key="k")
    again = await pass_on(till, "ann", case, key="k")
    assert again == first
    assert len(await till.trace(case, "review.escalated")) == 1
    with pytest.raises(KeyReused):
        await pass_on(till, "ann", case, key="k", note="Something else.")


async def test_who_is_late_after_it_is_denied(till: Till) -> None:
    till.change_policy(*CHAIN)
    case = await till.run([pay("100.00")])
    await pass_on(till, "ann", case)
    await till.later(days=1, seconds=1)
    assert await till.status(case) is CaseStatus.CLOSED
    assert [each.status for each in await till.reviews(case)] == [R.EXPIRED]
    assert await till.balance() == "1000.00 USD"
