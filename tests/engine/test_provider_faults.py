"""Providers that fail: whatever they answer, or don't, an effect happens once or people are asked."""

from __future__ import annotations

import asyncio

import pytest

from core.states import CaseStatus, ReviewStatus, RunStatus
from engine.incidents import RECONCILE
from tests.support.till import Till, pay, write
from tools.fulfillment.faults import Fault, PlannedFault


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (Fault.TIMEOUT_AFTER, 1),
        (Fault.TIMEOUT_BEFORE, 1),
        (Fault.TIMEOUT_BEFORE, 3),
        (Fault.ERROR, 1),
        (Fault.ERROR, 3),
        (Fault.SLOW, 1),
    ],
)
@pytest.mark.parametrize("tool", ["gift.pay", "letter.send"])
async def test_a_fault_that_passes_is_lived_through(till: Till, tool: str, fault: Fault, times: int) -> None:
    """`gift.pay` can be looked up by its key; `letter.send` only takes the key, and that is enough."""
    if (fault, times) == (Fault.TIMEOUT_BEFORE, 3) and tool == "gift.pay":
        till.fail(PlannedFault(operation=tool, fault=fault, times=times), ("find", Fault.ERROR))
    else:
        till.fail(PlannedFault(operation=tool, fault=fault, times=times))
    case = await till.run([pay("10.00") if tool == "gift.pay" else write(tool)])
    assert await till.status(case) is CaseStatus.CLOSED
    assert [run.status for run in await till.runs(case)] == [RunStatus.DONE]
    assert await till.happened(case) == [tool]
    assert await till.balance() == ("990.00 USD" if tool == "gift.pay" else "1000.00 USD")
    costs = await till.read(lambda ledger: [cost.component for cost in ledger.costs.of_case(case)])
    assert costs.count("postage") == (tool == "letter.send")
    assert (await till.check()).findings == []


async def test_a_provider_that_stays_down_is_told_to_the_agent_and_nothing_happened(till: Till) -> None:
    till.fail(PlannedFault(operation="note.write", fault=Fault.ERROR, times=4))
    case = await till.run([write()], [write(text="again")])
    assert await till.status(case) is CaseStatus.CLOSED
    first, second = await till.runs(case)
    assert (first.status, first.result) == (RunStatus.FAILED, {"code": "unavailable"})
    assert second.status == RunStatus.DONE
    assert await till.happened(case) == ["note.write"]
    assert (await till.check()).findings == []


async def test_a_refusal_is_told_to_the_agent_with_the_providers_word(till: Till) -> None:
    """Two cases see enough in the account; the provider, who has the last word, has enough for one."""
    await till.set_balance("60.00")
    till.fail(PlannedFault(operation="gift.pay", fault=Fault.SLOW, seconds=0.2))
    cases = await asyncio.gather(till.submit([pay("40.00")]), till.submit([pay("45.00")], customer="cus_2"))
    await till.settle(*cases)
    runs = [run for case in cases for run in await till.runs(case)]
    assert sorted(run.status for run in runs) == [RunStatus.DONE, RunStatus.FAILED]
    assert next(run.result for run in runs if run.status == RunStatus.FAILED) == {"code": "not_covered"}
    assert [await till.status(case) for case in cases] == [CaseStatus.CLOSED] * 2
    assert (await till.check()).findings == []


def lose(till: Till, tool: str, *, happened: bool) -> None:
    """The answer is lost, and the provider can't be asked either, until the tests put it right."""
    fault = Fault.TIMEOUT_AFTER if happened else Fault.TIMEOUT_BEFORE
    till.fail(PlannedFault(operation=tool, fault=fault), PlannedFault(operation="find", fault=Fault.ERROR, times=1000))


async def unknown(till: Till, *, happened: bool) -> str:
    lose(till, "gift.pay", happened=happened)
    case = await till.run([pay("10.00")], [write()])
    assert await till.status(case) is CaseStatus.WAITING
    assert [run.status for run in await till.runs(case)] == [RunStatus.UNKNOWN]
    review = await till.review(case)
    asked = await till.read(lambda ledger: ledger.effects.action(review.action_id))
    assert asked.tool == RECONCILE
    assert asked.described == "Did it happen? Pay 10.00 USD"
    assert [each["role"] for each in review.reviewers] == ["operator"]
    return case


@pytest.mark.parametrize("happened", [True, False])
async def test_an_outcome_that_nobody_knows_is_asked_of_operators_and_their_word_closes_it(
    till: Till, happened: bool
) -> None:
    case = await unknown(till, happened=happened)
    await till.decide("ops", case, "approve" if happened else "reject", reason_code="" if happened else "other")
    assert await till.status(case) is CaseStatus.CLOSED
    first, second = await till.runs(case)
    assert first.status == (RunStatus.DONE if happened else RunStatus.FAILED)
    assert first.reason.startswith("reconciled by people")
    assert second.status == RunStatus.DONE
    assert await till.happened(case) == ["gift.pay", "note.write"][0 if happened else 1 :]
    assert "effect.reconciled" in await till.audit(case)
    assert (await till.check()).findings == []


@pytest.mark.parametrize("answer", ["approve", "reject"])
async def test_a_provider_that_can_be_asked_again_knows_better_than_people(till: Till, answer: str) -> None:
    """It happened. Whatever people believe, its result is found, so that the agent can go on with it."""
    case = await unknown(till, happened=True)
    till.shop.faults = None
    await till.decide("ops", case, answer, reason_code="other")
    first = (await till.runs(case))[0]
    assert (first.status, first.reason) == (RunStatus.DONE, "found at the provider by its key")
    assert first.result["account_id"] == "acc_1"
    assert await till.balance() == "990.00 USD"
    assert (await till.check()).findings == []


async def test_a_question_about_an_outcome_that_nobody_answers_stays_unknown_to_the_agent(till: Till) -> None:
    case = await unknown(till, happened=False)
    await till.later(days=30)
    assert await till.status(case) is CaseStatus.CLOSED
    assert [run.status for run in await till.runs(case)] == [RunStatus.UNKNOWN, RunStatus.DONE]
    assert [review.status for review in await till.reviews(case)] == [ReviewStatus.EXPIRED]
    assert await till.happened(case) == ["note.write"]


@pytest.mark.parametrize("happened", [True, False])
async def test_a_call_without_key_and_look_up_is_never_made_twice(till: Till, happened: bool) -> None:
    till.fail(("parcel.send", Fault.TIMEOUT_AFTER if happened else Fault.TIMEOUT_BEFORE))
    case = await till.run([write("parcel.send")])
    assert await till.status(case) is CaseStatus.WAITING
    assert [run.status for run in await till.runs(case)] == [RunStatus.UNKNOWN]
    assert await till.happened(case) == ["parcel.send"] * happened
    await till.decide("ops", case, "approve" if happened else "reject", reason_code="" if happened else "other")
    assert await till.status(case) is CaseStatus.CLOSED
    assert await till.happened(case) == ["parcel.send"] * happened
    assert (await till.check()).findings == []


async def test_unknown_money_counts_against_the_limit(till: Till) -> None:
    """390 have been paid; another 10 may have been: the next euro is asked about."""
    await till.run(*[[pay("39.00")]] * 10)
    await unknown(till, happened=True)
    till.shop.faults = None
    assert await till.status(await till.run([pay("1.00")])) is CaseStatus.WAITING


async def test_reads_that_fail_are_told_and_cost_nothing(till: Till) -> None:
    case = await till.run([{"tool": "account.read", "args": {"account_id": "acc_nobody"}}])
    assert await till.status(case) is CaseStatus.CLOSED
    till.fail(PlannedFault(operation="account.read", fault=Fault.ERROR, times=2))
    case = await till.run([{"tool": "account.read", "args": {"account_id": "acc_1"}}])
    assert await till.status(case) is CaseStatus.CLOSED
    assert await till.runs(case) == []
