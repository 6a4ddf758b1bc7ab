"""Four eyes stay four: a no is not walked around, and a party to an action neither votes on it nor holds it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.errors import AlreadyDecided, CountersignError, Forbidden
from core.people import Person
from core.states import CaseStatus
from engine.superseding import Words
from ledger.database import Ledger
from tests.support.till import PEOPLE, Till, pay, person, usd


async def groups(till: Till, case: str) -> list[str]:
    return [each["group"] for each in (await till.review(case)).reviewers]


# A no holds


async def test_what_a_boss_refused_comes_back_smaller_to_the_bosses_too(till: Till) -> None:
    """Six hundred asks the desk and the bosses, a hundred and fifty the desk alone."""
    case = await till.run([pay("600.00")], [pay("150.00")])
    await till.reject("cat", case)
    review = await till.review(case)
    assert review.reason == "Above the limit. People refused the like of it in this case."
    assert await groups(till, case) == ["desk", "bosses"]
    assert (await till.approve("ann", case)).waiting_for == ["boss"]
    assert await till.balance() == "1000.00 USD"
    await till.approve("cat", case)
    await till.approve("dan", case)
    assert await till.balance() == "850.00 USD"
    assert (await till.check()).findings == []


async def test_of_one_group_asked_twice_the_larger_number_counts(till: Till) -> None:
    case = await till.run([pay("300.00")], [pay("250.00")], [pay("240.00")])
    till.change_policy("role: boss, people: 2", "role: boss, people: 1")
    await till.reject("cat", case)
    people = {each["group"]: each["people"] for each in (await till.review(case)).reviewers}
    assert people == {"desk": 1, "bosses": 2}
    till.change_policy("role: boss, people: 2", "role: boss, people: 3")
    await till.reject("cat", case)
    people = {each["group"]: each["people"] for each in (await till.review(case)).reviewers}
    assert people == {"desk": 1, "bosses": 3}


async def test_everybody_who_refused_is_asked_and_not_only_who_did_it_last(till: Till) -> None:
    """Two payments of one turn were asked about before either was refused."""
    case = await till.run([pay("600.00"), pay("150.00")], [pay("40.00")])
    large, small = sorted(await till.reviews(case), key=lambda each: -len(each.reviewers))
    await till.vote("cat", large.id, "reject", reason_code="wrong_amount")
    await till.vote("ann", small.id, "reject", reason_code="wrong_amount")
    assert sorted(await groups(till, case)) == ["bosses", "desk"]


async def test_what_was_approved_before_a_no_waits_for_who_said_it(till: Till) -> None:
    case = await till.run([pay("600.00"), pay("150.00")])
    large, small = sorted(await till.reviews(case), key=lambda each: -len(each.reviewers))
    await till.hold(case)
    await till.vote("ann", small.id)
    await till.vote("cat", large.id, "reject", reason_code="wrong_amount")
    await till.let_go(case)
    assert await till.balance() == "1000.00 USD"
    assert "Approval is missing from: boss" in (await till.review(case)).reason
    assert await groups(till, case) == ["desk", "bosses"]


# Who is a party to it


async def test_nobody_votes_on_what_names_them(till: Till) -> None:
    """A gift into an account that is called like the clerk."""
    await till.set_balance("1000.00", "ann")
    case = await till.run([pay("100.00", "ann")])
    for choice in ("approve", "reject"):
        with pytest.raises(Forbidden, match="It is about you: somebody else has to approve it"):
            await till.decide("ann", case, choice, reason_code="other")
    with pytest.raises(Forbidden, match="It is about you"):
        await till.edit("ann", case, account_id="ann", amount=usd("90.00"))
    await till.approve("ben", case)
    assert await till.balance("ann") == "900.00 USD"
    assert (await till.check()).findings == []


async def test_a_name_inside_a_text_names_nobody(till: Till) -> None:
    case = await till.run([{"tool": "people.ask", "args": {"text": "Has ann seen it?"}}])
    await till.approve("ann", case)
    assert await till.status(case) is CaseStatus.CLOSED


async def test_who_is_named_by_an_edit_has_no_vote_either(till: Till) -> None:
    await till.set_balance("1000.00", "ben")
    case = await till.run([pay("100.00")])
    await till.edit("ann", case, account_id="ben", amount=usd("100.00"))
    with pytest.raises(Forbidden, match="It is about you"):
        await till.approve("ben", case)
    with pytest.raises(Forbidden, match="You proposed this action"):
        await till.approve("ann", case)
    assert await till.balance("ben") == "1000.00 USD"


async def test_who_holds_a_token_of_the_proposer_is_no_second_pair_of_eyes(till: Till) -> None:
    """The robot may act in any case; whoever can come as the robot may be who wanted it."""
    robot = Person(id="robot", roles=frozenset({"service", "operator"}))
    case = await till.run([{"tool": "people.ask", "args": {"text": "What now?"}}])
    args = {"account_id": "acc_1", "amount": usd("100.00")}
    told = await till.house.by_hand.propose(robot, case, "gift.pay", args)
    (review,) = [each for each in await till.reviews(case) if each.action_id == told.action]

    def keeps(ledger: Ledger) -> None:
        ledger.people.add("default", "robot", robot.roles)
        ledger.people.keep("default", "robot", "ann")

    await till.house.database.write("default", keeps)
    with pytest.raises(Forbidden, match="You hold a token of robot, who proposed this action"):
        await till.vote("ann", review.id)
    await till.vote("ben", review.id)
    await till.settle(case)
    assert await till.balance() == "900.00 USD"
    assert (await till.check()).findings == []


@pytest.mark.parametrize("writer", ["ann", "robot"])
async def test_who_writes_as_the_customer_decides_nothing_that_comes_of_it(till: Till, writer: str) -> None:
    """Themselves, or by an account of which they hold a token."""

    def keeps(ledger: Ledger) -> None:
        ledger.people.add("default", "robot", frozenset({"service", "operator"}))
        ledger.people.keep("default", "robot", "ann")

    await till.house.database.write("default", keeps)
    case = await till.run([{"tool": "people.ask", "args": {"text": "What now?"}}], [pay("100.00")])
    by = Person(id=writer, roles=frozenset({"operator", "clerk"}))
    await till.house.intake.say(by, case, Words(key="m1", text="I want a hundred."))
    await till.settle(case)
    with pytest.raises(Forbidden, match=r"wrote as (the|its) customer"):
        await till.approve("ann", case)
    await till.approve("ben", case)
    assert await till.balance() == "900.00 USD"
    assert (await till.check()).findings == []


async def test_words_of_a_voter_that_come_after_the_run_do_not_make_it_ungated(till: Till) -> None:
    clerk = Person(id="ann", roles=frozenset({"operator", "clerk"}))
    case = await till.run([pay("100.00")], [{"tool": "people.ask", "args": {"text": "Anything else?"}}])
    await till.approve("ann", case)
    till.clock.advance(timedelta(seconds=1))
    await till.house.intake.say(clerk, case, Words(key="m1", text="Thank you."))
    await till.settle(case)
    assert await till.balance() == "900.00 USD"
    assert (await till.check()).findings == []


async def claims_in_vain(till: Till, who: Person, case: str, error: type[CountersignError], why: str) -> None:
    review = await till.review(case)
    with pytest.raises(error, match=why):
        await till.house.desk.claim(who, review.id)
    assert (await till.review(case)).claimed_by == ""


async def test_who_has_no_vote_keeps_nobody_from_voting(till: Till) -> None:
    await till.set_balance("1000.00", "ann")
    about_ann = await till.run([pay("100.00", "ann")])
    await claims_in_vain(till, person("ann"), about_ann, Forbidden, "It is about you")

    edited = await till.run([pay("100.00")])
    await till.edit("ann", edited, account_id="acc_1", amount=usd("90.00"))
    await claims_in_vain(till, person("ann"), edited, Forbidden, "You proposed this action")

    opener = Person(id="ben", roles=frozenset(PEOPLE["ben"] | {"operator"}))
    opened, _ = await till.house.submit(
        opener, "till", {"customer": "cus_1", "script": [[pay("100.00")]], "loop": False}
    )
    await till.settle(opened.id)
    await claims_in_vain(till, opener, opened.id, Forbidden, "You opened this case")

    voted = await till.run([pay("300.00")])
    await till.approve("cat", voted)
    await claims_in_vain(till, person("cat"), voted, AlreadyDecided, "You have voted on it already")
    await till.house.desk.claim(person("dan"), (await till.review(voted)).id)


async def test_a_claim_ends_when_the_review_is_due(till: Till) -> None:
    case = await till.run([pay("100.00")])
    review = await till.review(case)
    till.clock.advance(timedelta(hours=4, minutes=-2))
    claimed = await till.house.desk.claim(person("ann"), review.id)
    assert claimed.claimed_until == review.due_at
    till.clock.advance(timedelta(minutes=2))
    with pytest.raises(AlreadyDecided, match="Its time is over"):
        await till.house.desk.claim(person("ann"), review.id)


# What an approval was given for


BY_RULE = "  when: args.amount > $auto\n  reason: Above the limit.\n  cite: Till Rules\n- id: T-3"
REWRITTEN = {
    "another reason": (BY_RULE, BY_RULE.replace("Above the limit.", "Look at the passport.")),
    "another citation": (BY_RULE, BY_RULE.replace("Till Rules", "Memo 7")),
    "another decision": (
        "decide: allow\n  when: args.amount <= $auto and account.exists",
        "decide: review by desk\n  when: account.exists",
    ),
}


@pytest.mark.parametrize(("old", "new"), REWRITTEN.values(), ids=REWRITTEN.keys())
async def test_a_rule_rewritten_under_its_old_name_is_shown_before_it_runs(till: Till, old: str, new: str) -> None:
    till.change_policy("when: args.amount <= $auto and account.exists", "when: account.exists")
    case = await till.run([pay("60.00")])
    await till.hold(case)
    await till.approve("ann", case)
    till.change_policy(old, new)
    await till.let_go(case)
    assert await till.balance() == "1000.00 USD"
    assert "There are further reasons since it was approved: T-" in (await till.review(case)).reason
    await till.approve("ann", case)
    assert await till.balance() == "940.00 USD"


async def test_another_version_with_the_same_rules_asks_nobody_again(till: Till) -> None:
    case = await till.run([pay("60.00")])
    await till.hold(case)
    await till.approve("ann", case)
    till.change_policy('version: "1"', 'version: "2"')
    await till.let_go(case)
    assert await till.balance() == "940.00 USD"
