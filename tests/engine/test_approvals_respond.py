"""Words instead of a decision: the agent plans anew with them, and nothing is approved by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import ChatResult
from pydantic import Field

from core.errors import AlreadyDecided, Forbidden, InvalidInput
from core.states import CaseStatus, ReviewStatus
from engine import incidents
from tests.support.script import ScriptedModel
from tests.support.till import Till, open_till, pay, write
from tools.fulfillment.faults import Fault, PlannedFault

R = ReviewStatus
WORDS = "Ask them for the receipt first."


class Listening(ScriptedModel):
    """Keeps what it was told of its calls."""

    told: list[dict[str, Any]] = Field(default_factory=list)

    def _generate(self, messages: list[BaseMessage], *more: Any, **kwargs: Any) -> ChatResult:
        self.told = [json.loads(str(each.content)) for each in messages if isinstance(each, ToolMessage) and each.name]
        return super()._generate(messages, *more, **kwargs)


async def test_the_agent_hears_the_words_and_nothing_was_approved(folder: Path) -> None:
    model = Listening()
    async with open_till(folder, model=model) as till:
        await _hears(till, model)


async def _hears(till: Till, model: Listening) -> None:
    case = await till.run([pay("100.00")], [write(text="asked for the receipt")])
    answered = await till.decide("ann", case, "respond", note=WORDS)
    assert answered.status is R.RESPONDED
    assert await till.status(case) is CaseStatus.CLOSED
    assert await till.balance() == "1000.00 USD"
    assert await till.happened(case) == ["note.write"]
    heard = [(each["status"], each["reason"]) for each in model.told if each.get("tool") == "gift.pay"]
    assert heard == [("responded", f"ann of the house answered instead of deciding: {WORDS}")]
    assert "review.responded" in await till.audit(case)
    assert (await till.check()).findings == []


async def test_the_same_again_is_asked_again_and_not_refused_unseen(till: Till) -> None:
    """A no to the very same would be final; words are not. The answer to the first carries nothing of the second."""
    case = await till.run([pay("100.00")], [pay("100.00")])
    first = await till.review(case)
    await till.decide("ann", case, "respond", note="Are you sure?")
    second = await till.review(case)
    assert second.action_id != first.action_id
    assert await till.balance() == "1000.00 USD"
    await till.approve("ann", case)
    assert await till.balance() == "900.00 USD"
    assert (await till.check()).findings == []


async def test_after_words_smaller_pieces_are_seen_by_the_same_people(till: Till) -> None:
    case = await till.run([pay("100.00")], [pay("40.00")])
    await till.decide("ann", case, "respond", note=WORDS)
    assert [each["role"] for each in (await till.review(case)).reviewers] == ["clerk"]
    assert await till.balance() == "1000.00 USD"


async def test_one_answer_ends_a_question_that_asks_several(till: Till) -> None:
    case = await till.run([pay("300.00")])
    review = await till.review(case)
    await till.approve("cat", case)
    await till.decide("ann", case, "respond", note=WORDS)
    with pytest.raises(AlreadyDecided, match="responded already, by ann"):
        await till.vote("dan", review.id)
    assert await till.balance() == "1000.00 USD"


async def test_whoever_may_not_vote_may_not_answer_and_words_are_needed(till: Till) -> None:
    case = await till.run([pay("100.00")])
    for name in ("cat", "eve", "ops"):
        with pytest.raises(Forbidden):
            await till.decide(name, case, "respond", note=WORDS)
    with pytest.raises(InvalidInput, match="It needs your words"):
        await till.decide("ann", case, "respond", note="  ")
    assert (await till.review(case)).status == R.OPEN


async def test_a_question_of_the_house_itself_has_no_agent_to_answer(till: Till) -> None:
    till.fail(
        PlannedFault(operation="gift.pay", fault=Fault.TIMEOUT_AFTER),
        PlannedFault(operation="find", fault=Fault.ERROR, times=1000),
    )
    case = await till.run([pay("10.00")])
    asked = await till.review(case)
    assert (await till.read(lambda ledger: ledger.effects.action(asked.action_id))).tool == incidents.RECONCILE
    with pytest.raises(InvalidInput, match="The house asks"):
        await till.decide("ops", case, "respond", note=WORDS)


async def test_the_same_answer_sent_again_is_one_answer(till: Till) -> None:
    case = await till.run([pay("100.00")])
    review = await till.review(case)
    seen = await till.seen(review.id)
    first = await till.vote("ann", review.id, "respond", note=WORDS, key="k1", seen=seen)
    again = await till.vote("ann", review.id, "respond", note=WORDS, key="k1", seen=seen)
    assert (first.status, again.status) == (R.RESPONDED, R.RESPONDED)
    assert len(await till.read(lambda ledger: ledger.reviews.votes(review.id))) == 1
