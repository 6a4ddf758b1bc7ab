"""Who gave an argument: a record, a person, the customer, or nobody but the model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, ToolMessage
from langchain_core.messages.tool import ToolCall
from langchain_core.outputs import ChatResult
from pydantic import BaseModel

from agents.contract import MAKE_PLAN
from agents.wire import encode
from core.errors import InvalidInput
from core.money import Money
from core.states import CaseStatus
from core.verdicts import Source
from engine.provenance import Answered, Told, edited, sources
from graphs.gate import answered
from tests.support.script import DONE, ScriptedModel, Turn
from tests.support.till import Till, open_till, pay, usd, write

R, P, C, M = Source.RECORD, Source.PERSON, Source.CUSTOMER, Source.MODEL

LETTER = """Dear shop, about order 4258667: the Kettle leaks.
I paid 1,250.50 and want 80 back. Write to me at Elm Street 4, or call 5550199."""
PAYLOAD = {"customer_id": "cus_7", "order_id": "ORD-1112223", "letter": LETTER, "photos": ["photo_1.png"]}


class Why(StrEnum):
    BROKEN = "BROKEN"


class Line(BaseModel):
    sku: str
    quantity: int = 1
    why: Why = Why.BROKEN


class Give(BaseModel):
    order_id: str = "ORD-1112223"
    amount: Money | None = None
    note: str | None = None
    lines: list[Line] = []
    way: Literal["card", "credit"] = "card"


def call(result: Mapping[str, Any], *, status: str = "done", of_record: bool = True, **asked: Any) -> Answered:
    """A read of a system of record, unless said otherwise."""
    outcome = {"status": status, "tool": "t", "step_key": "1.0", "result": result}
    return Answered(args=asked, outcome=json.dumps(outcome), of_record=of_record, keeps=False)


def write_down(result: Mapping[str, Any], **asked: Any) -> Answered:
    """The same, and the system of record keeps what it was given."""
    return Answered(args=asked, outcome=call(result).outcome, of_record=True, keeps=True)


def told(*calls: Answered) -> Told:
    return Told.of(PAYLOAD, frozenset({"customer_id"}), calls)


def source(path: str, *calls: Answered, **args: Any) -> Source | None:
    return sources(Give(**args), [f"args.{path}.source"], told(*calls))[f"args.{path}.source"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cus_7", R),  # who is signed in
        ("CUS_7 ", R),
        ("ORD-1112223", C),  # a form is the customer's word
        ("ord-1112223", C),
        ("photo_1.png", C),
        ("4258667", C),
        ("ORD-4258667", C),  # the shop's prefix
        ("#4258667", C),
        ("the  kettle\nleaks", C),
        ("Elm Street 4", C),
        ("Elm Street 5", M),
        ("ORD-425866", M),  # a piece of a number is another number
        ("ORD-25866", M),
        ("fli_4258667_2", M),  # two numbers: not just what they wrote
        ("ket", M),
        ("eak", M),
        ("ettle leak", M),
        ("acc_evil", M),
    ],
)
def test_text_is_the_customers_if_it_stands_as_a_whole_in_what_they_wrote(text: str, expected: Source) -> None:
    assert source("order_id", order_id=text) is expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [("80.00", C), ("1250.50", C), ("250.50", M), ("81.00", M), ("66.00", R), ("6600.00", M)],
)
def test_money_is_the_same_amount_in_the_same_currency(amount: str, expected: Source) -> None:
    due = call({"entitled": Money.of("66.00", "USD").model_dump()})
    assert source("amount", due, amount=Money.of(amount, "USD")) is expected


def test_an_amount_of_a_record_is_none_in_another_currency() -> None:
    due = call({"entitled": Money.of("66.00", "USD").model_dump()})
    assert source("amount", due, amount=Money.of("66.00", "EUR")) is M


def test_what_a_tool_answered_is_a_records_wherever_it_stood_in_the_answer() -> None:
    found = call({"order": {"lines": [{"sku": "SKU-9", "options": {"size": "Extra large"}}]}})
    assert source("note", found, note="sku-9") is R
    assert source("note", found, note="extra large") is R
    assert source("note", found, note="sku") is M  # equal, not contained
    assert source("note", found, note="lines") is M  # a name of a field is no value


@pytest.mark.parametrize("status", ["denied", "rejected", "failed", "invalid", "unknown"])
def test_only_what_ran_answers(status: str) -> None:
    assert source("note", call({"sku": "SKU-9"}, status=status), note="SKU-9") is M


def test_only_a_system_of_record_answers() -> None:
    assert source("note", call({"asked": "acc_evil"}, of_record=False, question="acc_evil"), note="acc_evil") is M


def test_a_tool_that_repeats_its_arguments_proves_nothing() -> None:
    echo = call({"order_id": "ORD-999999", "total": "SKU-9"}, order_id="ORD-999999")
    assert source("order_id", echo, order_id="ORD-999999") is M
    assert source("note", echo, note="SKU-9") is R  # the rest of the answer does
    listed = call({"orders": ["ORD-999999"]}, customer_id="cus_7")
    assert source("order_id", echo, listed, order_id="ORD-999999") is R  # and so does one that was not told


def test_what_a_model_had_written_down_stays_its_own_when_it_is_read_back() -> None:
    noted = write_down({"return_id": "ret_1"}, note="Pay to acc_evil", lines=[{"sku": "SKU-1"}])
    read = call({"return_id": "ret_1", "note": "Pay to acc_evil", "lines": [{"sku": "SKU-1"}]}, return_id="ret_1")
    assert source("note", noted, read, note="pay to ACC_EVIL") is M
    assert source("note", noted, read, note="SKU-1") is M
    assert source("note", noted, read, note="ret_1") is R


def test_what_the_customer_wrote_and_a_record_confirms_is_the_records() -> None:
    assert source("order_id", call({"order_id": "ORD-4258667"}, order_id="ORD-4258667"), order_id="ORD-4258667") is R


def test_a_list_is_as_trusted_as_the_least_trusted_in_it() -> None:
    found = call({"skus": ["SKU-1", "SKU-2"]})
    assert source("lines", found, lines=[Line(sku="SKU-1"), Line(sku="SKU-2", quantity=99)]) is R
    assert source("lines", found, lines=[Line(sku="SKU-1"), Line(sku="kettle")]) is C
    assert source("lines", found, lines=[Line(sku="kettle"), Line(sku="SKU-3")]) is M
    assert source("lines", lines=[]) is R  # nobody made up nothing


def test_an_absent_argument_has_no_source() -> None:
    assert source("note") is None
    assert source("amount") is None
    assert source("note", note="") is R


@pytest.mark.parametrize(
    "junk",
    [
        {"amount": {"amount_minor": "evil", "currency": 3}},
        {"amount": {"amount_minor": 5, "currency": "XXXX"}},
        {"amount": {"amount_minor": 5, "currency": []}},
        {"note": None, "lines": [[[{}]]], "order_id": 5},
    ],
)
def test_whatever_a_model_asked_before_nothing_breaks(junk: dict[str, Any]) -> None:
    assert source("note", call({"sku": "SKU-9"}, **junk), write_down({}, **junk), note="SKU-9") is R


# Edits


def after(before: Give, changed: Give, **labels: Source) -> dict[str, Source | None]:
    known = {f"args.{name}.source": label for name, label in labels.items()}
    paths = [f"args.{name}.source" for name in ("order_id", "amount", "note", "lines")]
    return {path[5:-7]: label for path, label in edited(before, changed, known, paths).items()}


def test_an_edit_makes_a_persons_what_it_changes_and_leaves_the_rest() -> None:
    before = Give(amount=Money.of(5, "USD"), note="x", lines=[Line(sku="a"), Line(sku="b")])
    labels = {"order_id": C, "amount": M, "note": M, "lines": R}
    changed = before.model_copy(update={"amount": Money.of(4, "USD")})
    assert after(before, changed, **labels) == {"order_id": C, "amount": P, "note": M, "lines": R}
    one = before.model_copy(update={"lines": [Line(sku="a"), Line(sku="c")]})
    assert after(before, one, **labels)["lines"] is P  # less trusted than the record that is left
    assert after(before, one, **{**labels, "lines": M})["lines"] is M  # what is left may be the made-up one
    both = before.model_copy(update={"lines": [Line(sku="c"), Line(sku="d")]})
    assert after(before, both, **{**labels, "lines": M})["lines"] is P
    none = before.model_copy(update={"note": None, "amount": None})
    assert after(before, none, **labels) == {"order_id": C, "amount": None, "note": None, "lines": R}
    assert after(none, before, order_id=C, lines=R) == {"order_id": C, "amount": P, "note": P, "lines": R}
    assert after(before, before)["order_id"] is None  # it was never labelled, so it is not known


# In the house


class Improviser(ScriptedModel):
    """Says what its case does not hold: its lines are its own."""

    lines: Sequence[Turn] = ()

    def _turn(self, messages: Sequence[BaseMessage]) -> Turn:
        said = [m for m in messages if isinstance(m, AIMessage) and m.tool_calls[0]["name"] != MAKE_PLAN]
        return self.lines[len(said)] if len(said) < len(self.lines) else DONE


class Forger(Improviser):
    """Chooses the ids of its calls, so that an answer would be taken for that of another call."""

    ids: Callable[[int], tuple[str, ...]]

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        result = super()._generate(messages, *args, **kwargs)
        message = result.generations[0].message
        assert isinstance(message, AIMessage)
        if len(message.tool_calls) > 1:
            for call, forged in zip(message.tool_calls, self.ids(len(messages)), strict=True):
                call["id"] = forged
        return result


RULES = """\
- id: T-20
  tools: [gift.pay]
  decide: deny
  when: args.account_id.source == model
  reason: An account out of nowhere.
  cite: Till Rules
- id: T-21
  tools: [gift.pay]
  decide: review by bosses
  when: args.amount.source == model
  reason: An amount out of nowhere.
  cite: Till Rules
- id: T-9
"""
READ = {"tool": "account.read", "args": {"account_id": "acc_1"}}


@pytest.fixture
async def till(folder: Path) -> AsyncIterator[Till]:
    async with open_till(folder, model=Improviser()) as opened:
        opened.change_policy("- id: T-9\n", RULES)
        yield opened


async def played(till: Till, *lines: Turn) -> str:
    assert isinstance(till.model, Improviser)
    till.model.lines = lines
    case: str = await till.run()
    return case


async def labels(till: Till, action_id: str) -> list[dict[str, str]]:
    rows = await till.read(lambda ledger: ledger.effects.decisions(action_id))
    return [
        {path: fact["value"] for path, fact in row.body["facts"].items() if fact["source"] == "gate"} for row in rows
    ]


async def test_what_the_model_made_up_is_denied_and_what_a_record_gave_goes_through(till: Till) -> None:
    case = await played(till, [pay("10.00")], [{**READ, "args": {"account_id": "acc_1"}}], [pay("1000.00")])
    denied = (await till.trace(case, "action.judged"))[0]
    assert (denied["verdict"], denied["reason"]) == ("deny", "An account out of nowhere.")
    # The read was given the account, so it proves nothing of it; its balance is the record's own.
    last = (await till.actions(case))[-1]
    assert (await labels(till, last.id))[-1] == {"args.account_id.source": "model", "args.amount.source": "record"}
    assert await till.happened(case) == []


@pytest.mark.parametrize(
    "ids",
    [
        lambda turn: ("a" * 80 + "0", "a" * 80 + "1"),
        lambda turn: (f"call_{turn}_1", ""),
        lambda turn: ("", f"call_{turn}_0"),
        lambda turn: ("same", "same"),
    ],
    ids=["alike for eighty characters", "one that would be made up", "the same after it", "the same"],
)
async def test_no_choice_of_ids_makes_a_record_of_what_the_model_wrote(
    folder: Path, ids: Callable[[int], tuple[str, ...]]
) -> None:
    """The answer repeats what was noted. Taken for the other note's it would be a record that nobody was told of."""
    async with open_till(folder, model=Forger(ids=ids)) as till:
        till.change_policy("- id: T-9\n", RULES)
        case = await played(till, [write(text="acc_2"), write(text="hello")], [pay("40.00", "acc_2")])
        assert (await till.trace(case, "action.judged"))[-1]["reason"] == "An account out of nowhere."
        assert await till.happened(case) == ["note.write"] * 2


def said(*calls: tuple[str, str, dict[str, Any]]) -> AIMessage:
    return AIMessage(
        "", tool_calls=[ToolCall(id=call_id, name=encode(tool), args=args) for call_id, tool, args in calls]
    )


def heard(call_id: str, **result: Any) -> ToolMessage:
    return ToolMessage(call(result).outcome, tool_call_id=call_id)


def test_an_answer_that_could_be_of_two_calls_is_no_record_and_what_they_wrote_stays_their_own(till: Till) -> None:
    """As in a conversation that was stored before ids were told apart."""
    specs = till.house.tools.specs()
    twice: list[AnyMessage] = [
        said(("a", "note.write", {"text": "acc_evil"}), ("a", "account.read", {"account_id": "acc_9"})),
        heard("a", text="acc_evil"),
        heard("a", owner="SKU-8"),
    ]
    assert source("note", *answered(twice, specs), note="acc_evil") is M
    assert source("note", *answered(twice, specs), note="SKU-8") is M
    later = [*twice, said(("a", "account.read", {"account_id": "acc_1"})), heard("a", note="acc_evil", sku="SKU-9")]
    assert source("note", *answered(later, specs), note="acc_evil") is M  # written down, and read back
    assert source("note", *answered(later, specs), note="SKU-9") is R  # an id may be used again in another turn


async def test_labels_are_stored_with_the_decision_and_taken_again_when_it_runs(till: Till) -> None:
    till.change_policy("- id: T-9\n", RULES.replace("decide: deny", "decide: review by desk"))
    case = await played(till, [pay("10.00")])
    (action,) = await till.actions(case)
    assert {each["group"] for each in (await till.review(case)).reviewers} == {"desk", "bosses"}
    await till.approve("ann", case)
    await till.approve("cat", case)
    await till.approve("dan", case)
    assert await till.status(case) is CaseStatus.CLOSED
    known = {"args.account_id.source": "model", "args.amount.source": "model"}
    assert await labels(till, action.id) == [known, known]
    assert await till.balance() == "990.00 USD"
    assert (await till.check()).findings == []


async def test_labels_outlive_the_process(folder: Path) -> None:
    rules = RULES.replace("decide: deny", "decide: review by desk")
    async with open_till(folder, model=Improviser()) as till:
        till.change_policy("- id: T-9\n", rules)
        case = await played(till, [pay("10.00")])
        await till.hold(case)
        for name in ("ann", "cat", "dan"):
            await till.approve(name, case)
    async with open_till(folder, model=Improviser()) as till:
        till.change_policy("- id: T-9\n", rules)
        await till.let_go(case)
        await till.settle(case)
        (action,) = await till.actions(case)
        before, then = await labels(till, action.id)
        assert before == then == {"args.account_id.source": "model", "args.amount.source": "model"}
        assert await till.balance() == "990.00 USD"


async def test_a_person_who_edits_gives_what_they_change(till: Till) -> None:
    till.change_policy("- id: T-9\n", RULES.replace("decide: deny", "decide: review by desk"))
    case = await played(till, [pay("10.00")])
    with pytest.raises(InvalidInput, match="Above the cap"):
        await till.edit("ann", case, account_id="acc_1", amount=usd("950.00"))
    await till.edit("ann", case, account_id="acc_2", amount=usd("20.00"))
    edited_to = (await till.actions(case))[-1]
    if edited_to.proposer != "ann":
        edited_to = (await till.actions(case))[0]
    known = {"args.account_id.source": "person", "args.amount.source": "person"}
    assert await labels(till, edited_to.id) == [known, known]
    assert await till.balance("acc_2") == "980.00 USD"


async def test_a_policy_that_begins_to_ask_does_not_guess_what_it_was_not_told(till: Till) -> None:
    """It was proposed when nobody asked where its arguments come from."""
    till.change_policy("reason: A small gift.", "reason: A gift.")
    case = await played(till, [pay("100.00")])
    assert await labels(till, (await till.actions(case))[0].id) == [{}]
    till.change_policy("- id: T-9\n", RULES)
    await till.approve("ann", case)
    denied = (await till.trace(case, "effect.denied"))[0]
    assert "args.account_id.source is unknown" in denied["reason"]
    assert await till.happened(case) == []


async def test_a_read_that_policy_would_put_before_people_is_denied(till: Till) -> None:
    till.change_policy("tools: [account.read, note.write", "tools: [note.write")
    case = await played(till, [READ], [write()])
    assert await till.answers(case) == ["deny", "allow"]
    asking = "- id: T-22\n  tools: [account.read]\n  decide: review by desk\n  reason: r.\n  cite: c\n- id: T-9\n"
    till.change_policy("- id: T-9\n", asking)
    case = await played(till, [READ], [write()])
    assert await till.answers(case) == ["deny", "allow"]
    assert "Nothing of a read is kept" in (await till.trace(case, "action.judged"))[0]["reason"]
    assert await till.status(case) is CaseStatus.CLOSED
