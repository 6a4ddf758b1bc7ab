"""Who is late: their time is over, and the policy says whether that is no, or whether others take over."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Forbidden, StaleState
from core.people import Person
from core.states import CaseStatus, ReviewStatus
from engine.decisions import Choice, Decision
from tests.support.till import Till, open_till, pay, person

R = ReviewStatus

_DESK = "desk: {role: clerk, within: 4 hours, if_late: deny}"
_BOSSES = "bosses: {role: boss, people: 2, within: 1 day, if_late: deny}"
_HEAD = "head: {role: boss, within: 2 hours, if_late: deny}"


def escalating(
    till: Till, *, desk: str = "escalate to head", bosses: str = "deny", head: str = "deny", more: str = ""
) -> None:
    """From now on the desk's clerks have four hours, the head two, the bosses a day."""
    old, new = f"{_DESK}\n  {_BOSSES}", "\n  ".join((_DESK, _BOSSES, _HEAD))
    for group, late in ((_DESK, desk), (_BOSSES, bosses), (_HEAD, head)):
        new = new.replace(group, group.replace("if_late: deny", f"if_late: {late}"))
    till.change_policy(old, new + more)


async def untouched(till: Till) -> bool:
    return await till.balance() == "1000.00 USD"


async def asked(till: Till, case: str) -> list[tuple[str, list[str]]]:
    review = await till.review(case)
    return [(each["group"], each["stands_for"]) for each in review.reviewers]


async def hours_left(till: Till, case: str) -> float:
    return ((await till.review(case)).due_at - till.clock.now()).total_seconds() / 3600


async def test_who_is_late_gives_the_question_to_others_and_the_effect_runs_with_their_approval(till: Till) -> None:
    escalating(till)
    case = await till.run([pay("100.00")])
    review = await till.review(case)
    assert await till.later(hours=4) == 1
    assert await asked(till, case) == [("head", ["desk"])]
    after = await till.review(case)
    assert (after.id, after.reason, await hours_left(till, case)) == (
        review.id,
        "Escalated from desk. Above the limit.",
        2,
    )
    assert await untouched(till)
    assert (await till.approve("cat", case)).status is R.APPROVED
    assert await till.balance() == "900.00 USD"
    assert [entry for entry in await till.audit(case) if entry.startswith("review.")] == [
        "review.opened",
        "review.escalated",
        "review.approved",
    ]
    assert [(body["late"], body["groups"]) for body in await till.trace(case, "review.escalated")] == [
        (["desk"], ["head"])
    ]
    assert (await till.check()).findings == []


async def test_whose_time_was_over_may_not_vote_any_more(till: Till) -> None:
    escalating(till)
    case = await till.run([pay("100.00")])
    await till.later(hours=4)
    with pytest.raises(Forbidden, match="It takes the role boss"):
        await till.approve("ann", case)
    assert await untouched(till)


async def test_nobody_holds_the_review_and_nobody_decides_on_its_old_version(till: Till) -> None:
    escalating(till)
    case = await till.run([pay("100.00")])
    review = await till.review(case)
    till.clock.advance(review.due_at - review.opened_at)
    await till.later(minutes=-1)
    await till.house.desk.claim(person("ann"), review.id)
    with pytest.raises(StaleState, match="ann holds it"):
        await till.approve("ben", case)
    await till.later(minutes=1)
    after = await till.review(case)
    assert (after.claimed_by, after.claimed_until, after.version > review.version) == ("", None, True)
    await till.approve("cat", case)
    assert await till.balance() == "900.00 USD"


async def test_a_chain_ends_with_no(till: Till) -> None:
    escalating(till, head="escalate to bosses")
    case = await till.run([pay("100.00")])
    await till.later(hours=4)
    await till.later(hours=2)
    assert await asked(till, case) == [("bosses", ["desk", "head"])]
    assert await hours_left(till, case) == 24
    assert (await till.review(case)).reason == "Escalated from head. Escalated from desk. Above the limit."
    assert (await till.approve("cat", case)).status is R.OPEN, "the last of them ask for two people"
    assert await untouched(till)
    await till.later(hours=24)
    assert [each.status for each in await till.reviews(case)] == [R.EXPIRED]
    assert await till.status(case) is CaseStatus.CLOSED
    assert await untouched(till)


async def test_the_last_of_a_chain_can_approve(till: Till) -> None:
    escalating(till, head="escalate to bosses")
    case = await till.run([pay("100.00")])
    await till.later(hours=4)
    await till.later(hours=2)
    await till.approve("cat", case)
    await till.approve("dan", case)
    assert await till.balance() == "900.00 USD"
    assert (await till.check()).findings == []


async def test_a_group_with_more_time_is_not_cut_off_when_another_one_escalates(till: Till) -> None:
    """The desk is late after four hours, the bosses have a day."""
    escalating(till)
    case = await till.run([pay("300.00")])
    await till.later(hours=4)
    assert await asked(till, case) == [("head", ["desk"]), ("bosses", [])]
    assert await hours_left(till, case) == 2
    await till.approve("cat", case)
    await till.later(hours=2)
    assert await hours_left(till, case) == 18
    await till.approve("dan", case)
    assert await untouched(till), "three seats, two people"
    await till.approve("ben", case)
    assert await till.balance() == "700.00 USD"
    assert (await till.check()).findings == []


async def test_a_group_that_has_voted_does_not_end_the_time_of_the_others(till: Till) -> None:
    case = await till.run([pay("300.00")])
    await till.approve("ann", case)
    await till.later(hours=4)
    assert await hours_left(till, case) == 20
    assert await asked(till, case) == [("desk", []), ("bosses", [])]
    assert len(await till.trace(case, "review.prolonged")) == 1
    await till.approve("cat", case)
    await till.approve("dan", case)
    assert await till.balance() == "700.00 USD"


async def test_one_group_that_denies_when_late_denies_it_whoever_else_escalates(till: Till) -> None:
    escalating(
        till, desk="deny", bosses="escalate to chiefs", more="\n  chiefs: {role: boss, people: 3, within: 1 day}"
    )
    case = await till.run([pay("300.00")])
    await till.approve("cat", case)
    await till.later(hours=4)
    assert [each.status for each in await till.reviews(case)] == [R.EXPIRED]
    assert await untouched(till)


async def test_the_longer_time_ends_too(till: Till) -> None:
    case = await till.run([pay("300.00")])
    await till.approve("ann", case)
    await till.later(hours=4)
    await till.later(hours=20)
    assert [each.status for each in await till.reviews(case)] == [R.EXPIRED]
    assert await untouched(till)


async def test_votes_that_suffice_for_those_who_take_over_decide_it_at_once(till: Till) -> None:
    """Two bosses and a clerk are asked for. Three bosses have voted; when the desk is late, its head is a boss."""
    escalating(till)
    await till.set_roles("eve", "boss")
    case = await till.run([pay("300.00")])
    for name in ("cat", "dan"):
        await till.approve(name, case)
    review = await till.review(case)
    eve = Person(id="eve", roles=frozenset({"boss"}))
    await till.house.desk.decide(eve, review.id, Decision(choice=Choice.APPROVE, seen=await till.seen(review.id)))
    assert await untouched(till)
    await till.later(hours=4)
    assert [each.status for each in await till.reviews(case)] == [R.APPROVED]
    assert await till.balance() == "700.00 USD"
    assert (await till.check()).findings == []


async def test_a_policy_that_does_not_escalate_any_more_is_not_met_by_those_who_took_over(till: Till) -> None:
    escalating(till)
    case = await till.run([pay("100.00")])
    await till.later(hours=4)
    await till.hold(case)
    await till.approve("cat", case)
    escalating(till, desk="deny")
    await till.let_go(case)
    assert await untouched(till)
    assert "Approval is missing from: clerk" in (await till.review(case)).reason
    assert await asked(till, case) == [("desk", [])]
    await till.approve("ann", case)
    assert await till.balance() == "900.00 USD"


async def test_who_takes_over_is_as_many_people_as_policy_asks_for_when_it_runs(till: Till) -> None:
    escalating(till)
    case = await till.run([pay("100.00")])
    await till.later(hours=4)
    await till.hold(case)
    await till.approve("cat", case)
    till.change_policy(
        f"{_DESK}\n  {_BOSSES}",
        f"{_DESK.replace('deny', 'escalate to head')}\n  {_BOSSES}\n  {_HEAD.replace('within', 'people: 2, within')}",
    )
    await till.let_go(case)
    assert await untouched(till)
    assert "Approval is missing from: boss" in (await till.review(case)).reason


async def test_a_house_that_was_down_finds_it_late_when_it_comes_back(folder: Path) -> None:
    async with open_till(folder) as till:
        escalating(till)
        case = await till.run([pay("100.00")])
        clock = till.clock
    async with open_till(folder, clock=clock) as till:
        escalating(till)
        await till.later(hours=30)
        assert await asked(till, case) == [("head", ["desk"])]
        assert await hours_left(till, case) == 2, "their time begins now"
