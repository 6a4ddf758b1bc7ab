"""What somebody proposes in a case beside its agent: through the same gate, carried out by the case's own segments."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import Conflict, CountersignError, Forbidden, InvalidInput, KeyReused, NotFound
from core.people import Person
from core.states import CaseStatus, Desired
from engine.decisions import Choice, Decision
from engine.handed import Handed, Stage
from engine.superseding import Words
from tests.support.till import Till, pay, person, usd, write
from tools.fulfillment.faults import Fault, PlannedFault

SHOPKEEPER = Person(id="ops", roles=frozenset({"operator"}))
ROBOT = Person(id="robot", roles=frozenset({"service"}))


async def waiting_case(till: Till, times: int = 1) -> str:
    """Opened by the robot; its agent waits for people, so many times."""
    asks = [[{"tool": "people.ask", "args": {"text": "What now?"}}]] * times
    case, _ = await till.house.submit(ROBOT, "till", {"customer": "cus_1", "script": [*asks, [write()]], "loop": False})
    await till.settle(case.id)
    return case.id


def gift(amount: str) -> dict[str, Any]:
    return {"account_id": "acc_1", "amount": usd(amount)}


async def handed(till: Till, case: str, tool: str, args: dict[str, Any], key: str = "", by: Person = ROBOT) -> Handed:
    """Proposes, and tells how it stands when the case has settled."""
    first = await till.house.by_hand.propose(by, case, tool, args, key)
    await till.settle(case)
    return first if not first.action or first.result else await till.house.by_hand.standing(by, case, first.action)


async def agents_question(till: Till, case: str) -> str:
    found = [each for each in await till.reviews(case) if each.interrupt_id and each.status == "open"]
    assert len(found) == 1
    return str(found[0].id)


async def test_what_policy_lets_is_done_once_and_the_agent_still_waits(till: Till) -> None:
    case = await waiting_case(till)
    asked = await agents_question(till, case)
    done = await handed(till, case, "gift.pay", gift("20.00"), "k1")
    assert done.status is Stage.DONE
    assert done.rules == ["T-1"]
    again = await handed(till, case, "gift.pay", gift("20.00"), "k1")
    assert again == done
    assert await till.happened(case) == ["gift.pay"]
    assert await till.balance() == "980.00 USD"
    assert await till.status(case) == CaseStatus.WAITING
    assert await agents_question(till, case) == asked
    await till.vote("ann", asked)
    assert await till.status(case) == CaseStatus.CLOSED
    assert await till.happened(case) == ["gift.pay", "note.write"]
    assert not (await till.check()).findings


async def test_without_a_key_the_same_call_is_the_same_proposal(till: Till) -> None:
    case = await waiting_case(till)
    first = await handed(till, case, "note.write", {"text": "a"})
    assert await handed(till, case, "note.write", {"text": "a"}) == first
    assert (await handed(till, case, "note.write", {"text": "b"})).action != first.action
    assert await till.happened(case) == ["note.write", "note.write"]
    await handed(till, case, "note.write", {"text": "c"}, "key")
    with pytest.raises(KeyReused):
        await till.house.by_hand.propose(ROBOT, case, "note.write", {"text": "d"}, "key")


async def test_what_needs_people_waits_for_them_and_never_for_its_proposer(till: Till) -> None:
    case = await waiting_case(till)
    told = await handed(till, case, "gift.pay", gift("80.00"), by=SHOPKEEPER)
    assert told.status is Stage.WAITING
    assert told.waiting_for == ["clerk"]
    assert await till.balance() == "1000.00 USD"
    await till.set_roles("ops", "operator", "clerk")
    clerk = Person(id="ops", roles=frozenset({"operator", "clerk"}))
    review, seen = told.approval, await till.seen(told.approval)
    with pytest.raises(Forbidden, match="You proposed this action"):
        await till.house.desk.decide(clerk, review, Decision(choice=Choice.APPROVE, seen=seen))
    await till.vote("ann", review)
    assert (await till.house.by_hand.standing(SHOPKEEPER, case, told.action)).status is Stage.DONE
    assert await till.balance() == "920.00 USD"
    assert await till.happened(case) == ["gift.pay"]
    assert await till.status(case) == CaseStatus.WAITING
    assert not (await till.check()).findings


async def test_what_people_refuse_or_change_is_told(till: Till) -> None:
    case = await waiting_case(till)
    told = await handed(till, case, "gift.pay", gift("80.00"), "a")
    await till.vote("ann", told.approval, "reject", reason_code="wrong_amount")
    refused = await till.house.by_hand.standing(ROBOT, case, told.action)
    assert refused.status is Stage.REFUSED
    assert "wrong_amount" in refused.reason
    assert (await handed(till, case, "gift.pay", gift("80.00"), "a")).status is Stage.REFUSED
    other = await handed(till, case, "gift.pay", gift("90.00"), "b")
    assert other.status is Stage.WAITING
    changed = await till.vote("ann", other.approval, "edit", args=gift("30.00"))
    await till.vote("ben", changed.review_id)
    assert (await till.house.by_hand.standing(ROBOT, case, other.action)).status is Stage.DONE
    assert await till.balance() == "970.00 USD"


async def test_what_policy_denies_is_told_with_the_reason(till: Till) -> None:
    case = await waiting_case(till)
    told = await handed(till, case, "gift.pay", gift("950.00"))
    assert told.status is Stage.DENIED
    assert "cap" in told.reason
    assert await till.happened(case) == []


async def test_a_read_is_judged_logged_and_answered(till: Till) -> None:
    case = await waiting_case(till)
    told = await till.house.by_hand.propose(ROBOT, case, "account.read", {"account_id": "acc_1"})
    assert told.status is Stage.DONE
    assert told.result["balance"] == usd("1000.00")
    judged = await till.trace(case, "hand.proposed")
    assert [(each["by"], each["tool"]) for each in judged] == [("robot", "account.read")]
    assert len(await till.actions(case)) == 1  # the agent's question alone


async def test_an_outcome_that_nobody_knows_goes_to_people(till: Till) -> None:
    case = await waiting_case(till)
    till.fail(PlannedFault(operation="parcel.send", fault=Fault.TIMEOUT_AFTER))
    told = await handed(till, case, "parcel.send", {"text": "box"})
    assert told.status is Stage.UNKNOWN
    (question,) = [each for each in await till.reviews(case) if each.status == "open" and not each.interrupt_id]
    await till.vote("ops", question.id)
    assert (await till.house.by_hand.standing(ROBOT, case, told.action)).status is Stage.DONE
    assert await till.happened(case) == ["parcel.send"]


@pytest.mark.parametrize(
    ("state", "error"),
    [("closed", Conflict), ("paused", Conflict), ("copy", Conflict), ("cancelled", Conflict), ("foreign", NotFound)],
)
async def test_a_case_that_takes_nothing_up_takes_nothing_from_outside(
    till: Till, state: str, error: type[CountersignError]
) -> None:
    case, by = await waiting_case(till), SHOPKEEPER
    match state:
        case "closed":
            await till.vote("ann", await agents_question(till, case))
        case "paused":
            await till.hold(case)
        case "cancelled":
            await till.want(case, Desired.CANCEL)
        case "copy":
            case = (await till.house.forks.fork(person("ops"), case)).id
            await till.settle(case)
        case "foreign":
            by = Person(id="other", roles=frozenset({"service"}))
    before = await till.actions(case)
    with pytest.raises(error) as caught:
        await till.house.by_hand.propose(by, case, "note.write", {"text": "x"})
    assert caught.value.detail
    assert await till.actions(case) == before


async def test_who_may_not_open_cases_may_not_act_in_them(till: Till) -> None:
    case = await waiting_case(till)
    for name in ("ann", "cat"):
        with pytest.raises(Forbidden):
            await till.house.by_hand.propose(person(name), case, "note.write", {"text": "x"})
    with pytest.raises(InvalidInput, match="has no tool"):
        await till.house.by_hand.propose(ROBOT, case, "model.call", {})
    with pytest.raises(InvalidInput, match="text"):
        await till.house.by_hand.propose(ROBOT, case, "note.write", {"wrong": 1})


async def test_a_case_that_ends_takes_what_waits_with_it(till: Till) -> None:
    case = await waiting_case(till)
    told = await handed(till, case, "gift.pay", gift("80.00"))
    await till.vote("ann", await agents_question(till, case))
    assert await till.status(case) == CaseStatus.CLOSED
    again = await till.house.by_hand.propose(ROBOT, case, "gift.pay", gift("80.00"))
    assert (again.action, again.status) == (told.action, Stage.REFUSED)
    assert await till.balance() == "1000.00 USD"


@pytest.mark.parametrize("key", ["", "k1"])
async def test_what_the_customers_words_withdrew_can_be_proposed_again(till: Till, key: str) -> None:
    """People are asked anew: what they said before counts for nothing."""
    case = await waiting_case(till, 2)
    told = await handed(till, case, "gift.pay", gift("300.00"), key)
    await till.vote("ann", told.approval)
    words = Words(key="m1", text="Wait, there is more to say.")
    assert told.approval in (await till.house.intake.say(person("ops"), case, words)).superseded
    await till.settle(case)
    withdrawn = await till.house.by_hand.standing(ROBOT, case, told.action)
    assert withdrawn.status is Stage.REFUSED
    assert "propose it again" in withdrawn.reason
    again = await handed(till, case, "gift.pay", gift("300.00"), key)
    assert (again.status, again.action) == (Stage.WAITING, told.action)
    assert again.approval != told.approval
    assert (await handed(till, case, "gift.pay", gift("300.00"), key)).approval == again.approval
    assert await till.balance() == "1000.00 USD"
    for name in ("ann", "cat", "dan"):
        if (await till.house.by_hand.standing(ROBOT, case, told.action)).status is Stage.WAITING:
            await till.vote(name, again.approval)
    assert (await till.house.by_hand.standing(ROBOT, case, told.action)).status is Stage.DONE
    assert await till.balance() == "700.00 USD"
    assert {vote.review_id for vote in await till.read(lambda ledger: ledger.reviews.votes(again.approval))} == {
        again.approval
    }
    assert not (await till.check()).findings


async def test_what_people_changed_and_words_withdrew_is_asked_from_the_start(till: Till) -> None:
    case = await waiting_case(till, 2)
    told = await handed(till, case, "gift.pay", gift("90.00"))
    changed = await till.vote("ann", told.approval, "edit", args=gift("60.00"))
    await till.house.intake.say(person("ops"), case, Words(key="m1", text="No."))
    await till.settle(case)
    again = await handed(till, case, "gift.pay", gift("90.00"))
    assert again.status is Stage.WAITING
    assert again.approval not in (told.approval, changed.review_id)
    await till.vote("ben", again.approval)
    assert await till.balance() == "910.00 USD"
    assert not (await till.check()).findings


async def test_the_books_hold_what_agent_and_people_did_in_one_case(till: Till) -> None:
    case = await till.submit([pay("40.00")], [{"tool": "people.ask", "args": {"text": "ok?"}}])
    await till.settle(case)
    told = await handed(till, case, "gift.pay", gift("40.00"), by=SHOPKEEPER)
    assert told.status is Stage.DONE
    assert await till.balance() == "920.00 USD"
    assert not (await till.check()).findings
