"""Edits by people: other arguments are another action, judged anew, and its editor has no vote on it."""

from __future__ import annotations

import pytest

from core.errors import Forbidden, InvalidInput
from core.states import CaseStatus, ReviewStatus
from tests.support.till import Till, pay, usd

R = ReviewStatus


async def untouched(till: Till) -> bool:
    return await till.balance() == "1000.00 USD"


async def test_an_edit_is_another_action_and_its_editor_can_not_approve_it(till: Till) -> None:
    case = await till.run([pay("300.00")])
    original = (await till.review(case)).action_id
    await till.approve("cat", case)
    edited = await till.edit("dan", case, account_id="acc_1", amount=usd("100.00"))
    assert edited.status is R.OPEN
    assert edited.action_id != original
    review = await till.review(case)
    assert review.id == edited.review_id
    assert {each["role"] for each in review.reviewers} == {"clerk"}  # judged anew: no two people for a hundred
    action = (await till.actions(case))[-1]
    assert (action.proposer, action.edited_from) == ("dan", original)
    with pytest.raises(Forbidden, match="You proposed this"):
        await till.approve("dan", case)
    await till.approve("ann", case)
    assert await till.balance() == "900.00 USD"
    assert [run.action_id for run in await till.runs(case)] == [action.id]
    assert (await till.check()).findings == []


async def test_votes_do_not_carry_over_an_edit(till: Till) -> None:
    case = await till.run([pay("300.00")])
    await till.approve("cat", case)
    await till.edit("ann", case, account_id="acc_1", amount=usd("250.00"))
    assert (await till.approve("dan", case)).status is R.OPEN
    assert (await till.approve("ben", case)).status is R.OPEN
    assert await untouched(till)
    assert (await till.approve("cat", case)).status is R.APPROVED
    assert await till.balance() == "750.00 USD"


async def test_an_edit_that_policy_allows_runs_without_another_vote(till: Till) -> None:
    case = await till.run([pay("100.00")])
    decided = await till.edit("ann", case, account_id="acc_1", amount=usd("20.00"))
    assert decided.status is R.EDITED
    assert await till.status(case) is CaseStatus.CLOSED
    assert await till.balance() == "980.00 USD"
    told = await till.trace(case, "review.edited")
    assert told[0]["edited_to"] == decided.action_id
    assert (await till.check()).findings == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"account_id": "acc_1", "amount": usd("950.00")}, "Policy does not allow it like this: Above the cap"),
        ({"account_id": "acc_nobody", "amount": usd("100.00")}, "Policy does not allow it like this"),
        ({"account_id": "acc_1", "amount": usd("100.00")}, "Nothing was changed"),
        ({"account_id": "acc_1", "amount": {"amount_minor": 1.5, "currency": "USD"}}, "amount_minor"),
        ({"account_id": "acc_1"}, "amount"),
        ({"account_id": "acc_1", "amount": usd("1.00"), "tip": 1}, "tip"),
        (None, "Nothing can be edited"),
    ],
)
async def test_an_edit_that_can_not_be_leaves_the_review_open_and_says_why(
    till: Till, args: dict[str, object] | None, said: str
) -> None:
    case = await till.run([pay("100.00")])
    before = await till.review(case)
    with pytest.raises(InvalidInput) as no:
        await till.decide("ann", case, "edit", args=args)
    assert said in no.value.detail
    assert no.value.field.startswith("args")
    assert await till.review(case) == before
    assert len(await till.actions(case)) == 1
    assert (await till.approve("ann", case)).status is R.APPROVED
    assert await till.balance() == "900.00 USD"


async def test_a_rejected_edit_stops_the_whole(till: Till) -> None:
    case = await till.run([pay("300.00")], [pay("250.00")])
    await till.edit("ann", case, account_id="acc_1", amount=usd("250.00"))
    await till.reject("cat", case)
    assert await untouched(till)
    assert (await till.answers(case))[-1] == "deny"  # what the edit became was refused, by whomever it is proposed
