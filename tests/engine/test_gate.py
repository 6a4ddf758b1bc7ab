"""The gate: what policy allows happens, what it denies does not, what it asks people about waits for them."""

from __future__ import annotations

import asyncio

import pytest

from core.states import CaseStatus, ReviewStatus, RunStatus
from tests.support.till import Till, pay, usd, write
from tools.fulfillment.faults import Fault, PlannedFault


async def test_what_policy_allows_happens_once_and_is_told(till: Till) -> None:
    case = await till.run([pay("10.00")], [write()])
    assert await till.status(case) is CaseStatus.CLOSED
    assert (await till.case(case)).outcome == "done"
    assert await till.happened(case) == ["gift.pay", "note.write"]
    assert await till.balance() == "990.00 USD"
    assert [run.status for run in await till.runs(case)] == [RunStatus.DONE] * 2
    assert await till.audit(case) == [
        "case.opened",
        "action.judged",
        "effect.started",
        "effect.done",
        "action.judged",
        "effect.started",
        "effect.done",
        "case.closed",
    ]
    assert (await till.check()).findings == []


async def test_what_policy_denies_does_not_happen_and_the_agent_is_told_why(till: Till) -> None:
    case = await till.run([pay("950.00")], [write()])
    assert await till.status(case) is CaseStatus.CLOSED
    assert await till.answers(case) == ["deny", "allow"]
    assert await till.happened(case) == ["note.write"]
    judged = (await till.trace(case, "action.judged"))[0]
    assert judged["reason"] == "Above the cap, or to nobody."
    assert judged["rules"] == ["T-2", "T-3", "T-4", "T-5"]


async def test_what_needs_people_waits_and_nothing_happens_before(till: Till) -> None:
    case = await till.run([pay("100.00")])
    assert await till.status(case) is CaseStatus.WAITING
    assert await till.happened(case) == []
    review = await till.review(case)
    assert [each["role"] for each in review.reviewers] == ["clerk"]
    assert review.facts["account.balance"]["value"] == usd("1000.00")
    await till.approve("ann", case)
    assert await till.status(case) is CaseStatus.CLOSED
    assert await till.balance() == "900.00 USD"
    assert (await till.check()).findings == []


async def test_a_missing_fact_denies(till: Till) -> None:
    case = await till.run([pay("10.00", account="acc_nobody")])
    assert await till.answers(case) == ["deny"]
    assert await till.happened(case) == []


async def test_facts_that_can_not_be_read_delay_the_case_and_nothing_is_decided(till: Till) -> None:
    till.fail(PlannedFault(operation="account.read", fault=Fault.ERROR, times=1))
    case = await till.run([pay("10.00")])
    assert await till.status(case) is CaseStatus.PAUSED
    assert await till.answers(case) == []
    assert await till.later(seconds=3) == 1
    assert await till.status(case) is CaseStatus.CLOSED
    assert await till.balance() == "990.00 USD"


async def test_calls_of_one_turn_go_their_own_ways(till: Till) -> None:
    case = await till.run([pay("10.00"), pay("950.00"), write(), {"tool": "vault.open", "args": {}}])
    assert await till.status(case) is CaseStatus.CLOSED
    assert sorted(await till.answers(case)) == ["allow", "allow", "deny"]
    assert sorted(await till.happened(case)) == ["gift.pay", "note.write"]


async def test_two_questions_of_one_turn_are_both_asked_and_each_answer_counts_for_its_own(till: Till) -> None:
    case = await till.run([pay("100.00"), pay("60.00", account="acc_2")])
    reviews = await till.reviews(case)
    assert len({review.interrupt_id for review in reviews}) == 2
    large, small = reviews
    if (await till.args(large.action_id))["account_id"] != "acc_1":
        large, small = small, large
    await till.vote("ann", small.id, "reject", reason_code="wrong_amount")
    assert [r.status for r in await till.reviews(case) if r.id == large.id] == [ReviewStatus.OPEN]
    await till.vote("ben", large.id, "approve")
    assert await till.status(case) is CaseStatus.CLOSED
    assert (await till.balance(), await till.balance("acc_2")) == ("900.00 USD", "1000.00 USD")
    assert (await till.check()).findings == []


@pytest.mark.parametrize("answer", ["reject", "expire"])
async def test_a_refused_action_proposed_again_unchanged_is_denied_without_asking(till: Till, answer: str) -> None:
    case = await till.run([pay("100.00")], [pay("100.00")], [pay("99.00")])
    if answer == "reject":
        await till.reject("ann", case)
    else:
        await till.later(hours=4)
    assert await till.answers(case) == ["review", "deny", "review"]
    assert "refused this very action" in (await till.trace(case, "action.judged"))[1]["reason"]
    assert (await till.args((await till.review(case)).action_id))["amount"] == usd("99.00")
    await till.approve("ann", case)
    assert await till.balance() == "901.00 USD"


async def test_what_one_case_was_refused_another_may_ask(till: Till) -> None:
    first = await till.run([pay("100.00")])
    await till.reject("ann", first)
    second = await till.run([pay("100.00")])
    assert await till.status(second) is CaseStatus.WAITING


async def test_money_in_flight_counts_against_the_limit_of_the_day(till: Till) -> None:
    """Six at once, 50 each allowed alone, 400 a day: before any has finished, the sum of them counts."""
    await till.run([pay("45.00")], [pay("45.00")], [pay("45.00")], [pay("45.00")])
    till.fail(PlannedFault(operation="gift.pay", fault=Fault.SLOW, seconds=0.3, times=9))
    cases = await asyncio.gather(*(till.submit([pay("45.00")]) for _ in range(6)))
    await till.settle(*cases)
    states = [await till.status(case) for case in cases]
    assert states.count(CaseStatus.CLOSED) == 4  # 8 x 45 = 360; the ninth would make 405
    assert states.count(CaseStatus.WAITING) == 2
    assert await till.balance() == "640.00 USD"
    waiting = [case for case, state in zip(cases, states, strict=True) if state is CaseStatus.WAITING]
    assert all([(await till.review(case)).reason.endswith("Much for a day.") for case in waiting])
    other = await till.run([pay("45.00")], customer="cus_2")
    assert await till.status(other) is CaseStatus.CLOSED


async def test_the_limit_of_the_day_forgets_yesterday(till: Till) -> None:
    await till.run(*[[pay("50.00")]] * 8)
    assert await till.balance() == "600.00 USD"
    assert await till.status(await till.run([pay("1.00")])) is CaseStatus.WAITING
    await till.later(hours=24)
    assert await till.status(await till.run([pay("1.00")])) is CaseStatus.CLOSED


async def test_every_decision_names_its_book_and_the_facts_it_read(till: Till) -> None:
    case = await till.run([pay("10.00")])
    action = (await till.actions(case))[0]
    decisions = await till.read(lambda ledger: ledger.effects.decisions(action.id))
    assert [(row.stage, row.verdict) for row in decisions] == [("gate", "allow"), ("execute", "allow")]
    for row in decisions:
        assert row.body["book"]["policy"] == "till"
        assert len(row.body["book"]["digest"]) == 64
        assert row.body["facts"]["account.balance"]["source"] == "shop"
        assert row.body["facts"]["customer.paid"] == {**row.body["facts"]["customer.paid"], "source": "ledger"}
