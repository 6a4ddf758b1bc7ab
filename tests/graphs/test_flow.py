"""The flow that kinds share: whatever a model answers, the case ends, waits, or goes to a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatResult

from core.settings import BudgetSettings
from core.states import CaseStatus, Desired
from tests.support.script import DONE, ScriptedModel
from tests.support.till import Till, open_till, pay, write

C = CaseStatus


async def handed_over(till: Till, case: str, why: str) -> None:
    """A person is asked, and what the person says ends the case."""
    assert await till.status(case) is C.WAITING
    review = await till.review(case)
    assert why in (await till.args(review.action_id))["text"]
    await till.approve("ann", case)
    row = await till.case(case)
    assert (row.status, row.outcome) == (C.CLOSED, "handed_over")
    assert why in row.summary
    assert (await till.check()).findings == []


async def test_a_plan_is_written_shown_and_written_anew_after_trouble(folder: Path) -> None:
    async with open_till(folder) as till:
        case = await till.run([write()], [pay("950.00")], [write(text="instead")])
        assert await till.status(case) is C.CLOSED
        plans = await till.trace(case, "plan.written")
        assert [plan["steps"][0]["title"] for plan in plans] == ["Play the script"] * 2
        called = await till.trace(case, "model.called")
        assert [call["for"] for call in called] == ["plan", "act", "act", "plan", "act", "act"]
        assert [call["turn"] for call in called] == list(range(6))
        costs = await till.read(lambda ledger: [cost for cost in ledger.costs.of_case(case) if cost.unit == "token"])
        assert sum(cost.quantity for cost in costs) == 6 * 120


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"tool": "vault.open", "args": {}}, "there is no tool 'vault.open'; there are: account.read"),
        ({"tool": "", "args": {}}, "there is no tool 'nameless'"),
        ({"tool": "gift.pay", "args": {}}, "gift.pay: account_id: Field required"),
        ({"tool": "gift.pay", "args": {"account_id": "acc_1", "amount": "10 USD"}}, "gift.pay: amount"),
        ({"tool": "note.write", "args": {"text": "x", "key": "mine"}}, "note.write: key: Extra inputs"),
        ({"tool": "note.write", "args": {"text": ["x"]}}, "note.write: text"),
        ({"tool": "note.write", "args": {"text": "x" * 20_000}}, "note.write: "),
    ],
)
async def test_a_call_that_is_none_is_answered_and_the_case_goes_on(
    folder: Path, step: dict[str, Any], said: str
) -> None:
    async with open_till(folder) as till:
        case = await till.run([step, write()], [write(text="more")])
        assert await till.status(case) is C.CLOSED
        invalid = await till.trace(case, "call.invalid")
        assert [each["reason"].startswith(said) for each in invalid] == [True]
        assert await till.happened(case) == ["note.write"] * 2


async def test_a_model_that_never_ends_is_stopped_by_its_turns(folder: Path) -> None:
    async with open_till(folder, budget=BudgetSettings(steps=5)) as till:
        case = await till.run([{"tool": "account.read", "args": {"account_id": "acc_1"}}], loop=True)
        assert till.model.calls == 5
        await handed_over(till, case, "the case has used its 5 turns")
        assert await till.happened(case) == []


async def test_a_model_that_asks_for_the_same_forbidden_thing_for_ever_is_stopped_too(folder: Path) -> None:
    async with open_till(folder, budget=BudgetSettings(steps=6)) as till:
        case = await till.run([pay("950.00")], loop=True)
        await handed_over(till, case, "the case has used its 6 turns")
        assert await till.balance() == "1000.00 USD"


async def test_tokens_are_limited(folder: Path) -> None:
    async with open_till(folder, budget=BudgetSettings(tokens=300)) as till:
        case = await till.run([write()], [write()], [write()])
        await handed_over(till, case, "the case has used its 300 tokens")
        assert await till.happened(case) == ["note.write"] * 2


async def test_money_is_limited_by_what_was_really_paid(folder: Path) -> None:
    async with open_till(folder, budget=BudgetSettings(money_minor=7_000)) as till:
        case = await till.run([pay("40.00")], [pay("35.00")], [pay("10.00")])
        await handed_over(till, case, "the case has paid out more than its budget")
        assert await till.balance() == "925.00 USD"


async def test_an_answer_without_a_call_twice_in_a_row_goes_to_a_person(folder: Path) -> None:
    async with open_till(folder) as till:
        case = await till.run([write()], [])
        assert till.model.calls == 4  # a plan, a note, and the empty answer, asked for again
        await handed_over(till, case, "The model gave no usable answer, twice")
        assert await till.happened(case) == ["note.write"]


async def test_an_end_that_is_announced_beside_open_calls_is_not_the_end(folder: Path) -> None:
    async with open_till(folder) as till:
        case = await till.run([*DONE, write()])
        assert await till.status(case) is C.CLOSED
        assert await till.happened(case) == ["note.write"]


async def test_a_hundred_calls_in_one_turn_are_cut_to_eight(folder: Path) -> None:
    async with open_till(folder) as till:
        case = await till.run([write(text=str(number)) for number in range(100)])
        assert await till.status(case) is C.CLOSED
        assert len(await till.happened(case)) == 8


async def test_the_same_call_in_two_steps_is_two_actions(folder: Path) -> None:
    async with open_till(folder) as till:
        case = await till.run([write(), write()], [write()])
        assert len({action.id for action in await till.actions(case)}) == 3
        assert len({run.key for run in await till.runs(case)}) == 3
        assert await till.happened(case) == ["note.write"] * 3


async def test_what_reviewers_write_is_read_by_the_agent(folder: Path) -> None:
    async with open_till(folder) as till:
        case = await till.run([pay("100.00")], [write()])
        await till.decide("ann", case, "reject", reason_code="wrong_amount", note="Half of it.")
        assert await till.status(case) is C.CLOSED
        assert [body["note"] for body in await till.trace(case, "review.rejected")] == ["Half of it."]
        assert len(await till.trace(case, "plan.written")) == 2  # a no is trouble: it plans anew


class Faltering(ScriptedModel):
    """Its first answers can be used, then it is down, or it says nothing of use."""

    good: int
    then: str

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        if self.calls >= self.good and self.then == "down":
            self.down = -1
        answer = super()._generate(*args, **kwargs)
        if self.calls > self.good:
            message = answer.generations[0].message
            assert isinstance(message, AIMessage)
            message.tool_calls = []
        return answer


@pytest.mark.parametrize(
    ("good", "then", "tokens"), [(1, "down", 120), (0, "nonsense", 2 * 120), (1, "nonsense", 3 * 120)]
)
async def test_what_the_model_used_is_paid_for_whatever_came_of_it(
    folder: Path, good: int, then: str, tokens: int
) -> None:
    async with open_till(folder, model=Faltering(good=good, then=then)) as till:
        case = await till.run([write()])
        await till.later(seconds=3)  # and it is tried again
        await till.want(case, Desired.CANCEL)
        costs = await till.read(lambda ledger: [cost for cost in ledger.costs.of_case(case) if cost.unit == "token"])
        assert sum(cost.quantity for cost in costs) == tokens
