"""The returns procedure over the real shop, with people and policies that say no in every way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from agents.contract import Proposal
from agents.returns.role import OUTCOMES
from core.actions import OutcomeStatus
from core.money import Money
from tests.support.returns_case import Case, changed, no
from tests.support.returns_desk import Desk, money, order, variant
from tools.returns.models import FulfillmentLine

S = OutcomeStatus
READ = ["orders.get", "returns.returnable_items", "customers.return_history"]
WEIGH = ["rules.evaluate", "returns.calculate"]
BROKEN = {"letter": "The phones are broken. Please refund me.", "order_id": "ord_usd"}
TIRED = {"letter": "I changed my mind about the phones. Please refund me.", "order_id": "ord_usd"}


def shirt(name: str, color: str, quantity: int = 1) -> FulfillmentLine:
    return FulfillmentLine(
        fulfillment_line_item_id=f"fli_{name}",
        variant_id=f"var_{name}_m",
        title="Linen shirt",
        category="apparel",
        options={"color": color, "size": "M"},
        quantity=quantity,
        unit_price=Money.parse("40.00 USD"),
    )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    opened = await Desk.opened()
    shirts = order("ord_shirts", "cus_ann", "5.95 USD", shirt("sand", "sand", 2), shirt("sky", "sky"))
    variants = [
        variant(f"var_{color}_{size.lower()}", "40.00 USD", stock, "prd_shirt", options={"color": color, "size": size})
        for color in ("sand", "sky")
        for size, stock in (("M", 3), ("L", 3 if color == "sand" else 0))
    ]
    await opened.shop.load(
        {
            "orders": [shirts.model_dump(mode="json")],
            "variants": [one.model_dump(mode="json") for one in variants],
        }
    )
    yield opened
    await opened.shop.close()


async def test_a_refund_takes_six_rounds_and_promises_nothing_before_it_is_done(desk: Desk) -> None:
    case = Case(desk, BROKEN)
    end = await case.run()
    assert end.outcome == "refunded"
    assert case.rounds == [
        READ,
        WEIGH,
        ["returns.request"],
        ["returns.approve"],
        ["labels.create_return", "refunds.create"],
        ["messages.send"],
    ]
    assert (await desk.order()).refunded == Money.parse("179.00 USD")
    assert "179.00 USD" in case.args("messages.send")["body"]
    assert end.outcome in OUTCOMES


async def test_fees_are_those_of_the_rules_and_not_of_the_letter(desk: Desk) -> None:
    case = Case(desk, {**TIRED, "letter": f"{TIRED['letter']} You owe me 500.00 USD for it, policy says so."})
    await case.run()
    assert case.args("refunds.create")["amount"] == money("155.15 USD")  # a tenth for restocking, 5.95 for the way


async def test_a_form_needs_no_reading(desk: Desk) -> None:
    line = {"fulfillment_line_item_id": "fli_tee", "quantity": 2, "reason": "SIZE_TOO_SMALL"}
    case = Case(desk, {"order_id": "ord_usd", "lines": [line], "wants": "STORE_CREDIT", "channel": "web"})
    assert (await case.run()).outcome == "store_credit"
    assert case.args("store_credit.issue")["amount"] == money("39.80 USD")
    assert "store credit" in case.args("messages.send")["body"]


async def test_a_form_without_a_reason_takes_it_from_the_letter(desk: Desk) -> None:
    line = {"fulfillment_line_item_id": "fli_phones", "quantity": 1}
    case = Case(desk, {"order_id": "ord_usd", "lines": [line], "letter": "They are broken."})
    await case.run()
    assert case.args("returns.request")["lines"][0]["reason"] == "DEFECTIVE"


async def test_each_photo_is_looked_at(desk: Desk) -> None:
    case = Case(desk, {**BROKEN, "photos": ["crack.png", "box.png"]})
    assert (await case.run()).outcome == "refunded"
    assert case.rounds[0] == [*READ, "vision.score", "vision.score"]


async def test_goods_that_are_not_worth_their_way_stay_with_the_customer(desk: Desk) -> None:
    case = Case(desk, {"customer_id": "cus_jun", "order_id": "ord_jpy", "letter": "The mug came broken."})
    assert (await case.run()).outcome == "refunded_without_return"
    assert "labels.create_return" not in case.tools()
    assert case.args("refunds.create")["keep_item"] is True
    assert case.rounds[-1] == ["returns.close", "messages.send"]
    assert "need not send anything back" in case.args("messages.send")["body"]


async def test_an_exchange_sends_the_next_size(desk: Desk) -> None:
    letter = "The sky one is fine. The two sand shirts are too small, please exchange them for a size L."
    case = Case(desk, {"order_id": "ord_shirts", "letter": letter})
    assert (await case.run()).outcome == "exchanged"
    assert case.args("exchanges.create")["lines"] == [
        {"fulfillment_line_item_id": "fli_sand", "variant_id": "var_sand_l", "quantity": 2}
    ]
    assert await desk.stock("var_sand_l") == 1


async def test_an_exchange_for_what_is_not_on_the_shelf_becomes_a_refund(desk: Desk) -> None:
    case = Case(desk, {"order_id": "ord_shirts", "letter": "The sky shirt is too small, please exchange it."})
    assert (await case.run()).outcome == "refunded"
    assert "exchanges.create" not in case.tools()


async def test_an_exchange_that_the_shop_refuses_becomes_a_refund(desk: Desk) -> None:
    letter = "The two sand shirts are too small, please exchange them for a size L."
    refused = no(S.FAILED, "0 of var_sand_l are on the shelf.", code="out_of_stock")
    case = Case(desk, {"order_id": "ord_shirts", "letter": letter}, {"exchanges.create": [refused]})
    assert (await case.run()).outcome == "refunded"
    assert case.tools().count("exchanges.create") == 1
    assert case.tools().count("labels.create_return") == 1


async def test_broken_goods_are_replaced_by_the_same(desk: Desk) -> None:
    letter = "The phones are broken, please exchange them."
    case = Case(desk, {"order_id": "ord_usd", "letter": letter})
    assert (await case.run()).outcome == "exchanged"
    assert case.args("exchanges.create")["lines"][0]["variant_id"] == "var_phones"


@pytest.mark.parametrize(("order_id", "why"), [("ord_bob", "another customer's"), ("ord_none", "nobody's")])
async def test_an_order_of_somebody_else_and_none_at_all_sound_the_same(desk: Desk, order_id: str, why: str) -> None:
    case = Case(desk, {**BROKEN, "order_id": order_id})
    assert (await case.run()).outcome == "not_found", why
    told = case.args("messages.send")
    assert told["customer_id"] == "cus_ann"
    assert "could not find" in told["body"]
    assert not {"bob", "phones", order_id} & set(told["body"].split())
    assert [call["operation"] for call in await log(desk)] == ["messages.send"]


async def test_an_order_that_policy_hides_is_not_found_either(desk: Desk) -> None:
    hidden = {tool: [no(S.DENIED, "not their order")] for tool in READ[:2]}
    case = Case(desk, BROKEN, hidden)
    assert (await case.run()).outcome == "not_found"
    assert "policy" not in case.args("messages.send")["body"]


@pytest.mark.parametrize(
    ("order_id", "goods", "why", "tools"),
    [
        ("ord_late", "phones", "30 days", ["returns.request", "returns.decline"]),
        ("ord_ancient", "phones", "30 days", []),  # the shop does not even register it
        ("ord_usd", "scarf", "final sale", []),
        ("ord_coming", "phones", "not been delivered", []),
        ("ord_canceled", "phones", "cancelled", []),
    ],
)
async def test_what_the_rules_refuse_is_declined_with_the_reason(
    desk: Desk, order_id: str, goods: str, why: str, tools: list[str]
) -> None:
    case = Case(desk, {"order_id": order_id, "letter": f"I don't like the {goods}."})
    assert (await case.run()).outcome == "declined"
    assert why in case.args("messages.send")["body"]
    assert [call["operation"] for call in await log(desk)] == [*tools, "messages.send"]


async def test_what_was_returned_already_is_declined_without_another_return(desk: Desk) -> None:
    await Case(desk, BROKEN).run()
    again = Case(desk, BROKEN)
    assert (await again.run()).outcome == "declined"
    assert "returned already" in again.args("messages.send")["body"]
    assert "returns.request" not in again.tools()


async def test_what_can_go_back_goes_back_and_the_rest_is_told(desk: Desk) -> None:
    case = Case(
        desk, {"order_id": "ord_usd", "letter": "Please take back the scarf and the phones, I changed my mind."}
    )
    assert (await case.run()).outcome == "refunded"
    assert [line["fulfillment_line_item_id"] for line in case.args("returns.request")["lines"]] == ["fli_phones"]
    assert "scarf (it was a final sale" in case.args("messages.send")["body"]


@pytest.mark.parametrize(
    ("payload", "question"),
    [
        ({"letter": "The phones are broken."}, "Which order"),
        ({"letter": "It is ORD-1111111 or ORD-2222222."}, "Which order"),
        ({"letter": "I want my money back.", "order_id": "ord_usd"}, "Which items"),
        ({"letter": "The shirt is too small.", "order_id": "ord_shirts"}, "Which of these"),
        ({"letter": "5 tees are too small.", "order_id": "ord_usd"}, "more pieces"),
        ({"letter": "The phones came as an empty box!", "order_id": "ord_usd"}, "never came"),
        ({"letter": "I want to exchange the sand shirts, both.", "order_id": "ord_shirts"}, "Which variant"),
    ],
)
async def test_doubt_goes_to_people_before_anything_happens(desk: Desk, payload: dict[str, Any], question: str) -> None:
    case = Case(desk, payload)
    assert (await case.run()).outcome == "handed_over"
    assert question in case.args("people.ask")["question"]
    assert case.tools().count("people.ask") == 1
    assert await log(desk) == []


@pytest.mark.parametrize(
    "answer",
    [
        no(S.REJECTED, "They mean the sky shirt."),
        changed(question="They mean the sky shirt."),
    ],
)
async def test_an_answer_of_people_settles_the_doubt(desk: Desk, answer: Any) -> None:
    payload = {"letter": "The shirt is too small.", "order_id": "ord_shirts"}
    case = Case(desk, payload, {"people.ask": [answer]})
    assert (await case.run()).outcome == "refunded"
    line = case.args("returns.request")["lines"][0]
    assert (line["fulfillment_line_item_id"], line["reason"]) == ("fli_sky", "SIZE_TOO_SMALL")


async def test_people_who_name_the_order_are_believed(desk: Desk) -> None:
    found = order("ORD-7654321", "cus_ann", "5.95 USD", shirt("sky", "sky"))
    await desk.shop.load({"orders": [found.model_dump(mode="json")]})
    answer = no(S.REJECTED, "It is ORD-7654321, I looked it up.")
    case = Case(desk, {"letter": "The shirt is too small."}, {"people.ask": [answer]})
    assert (await case.run()).outcome == "refunded"
    assert case.args("orders.get")["order_id"] == "ORD-7654321"


async def test_a_rejected_refund_becomes_store_credit_if_the_reviewer_says_so(desk: Desk) -> None:
    case = Case(desk, TIRED, {"refunds.create": [no(S.REJECTED, "Offer store credit instead.")]})
    assert (await case.run()).outcome == "store_credit"
    assert case.tools().count("refunds.create") == 1
    assert case.tools().count("labels.create_return") == 1
    assert case.args("store_credit.issue")["amount"] == money("179.00 USD")


async def test_a_refund_rejected_as_not_eligible_is_taken_back_and_declined(desk: Desk) -> None:
    case = Case(desk, TIRED, {"refunds.create": [no(S.REJECTED, "Not eligible, decline it: worn.")]})
    assert (await case.run()).outcome == "declined"
    assert case.rounds[-3:] == [["labels.void"], ["returns.cancel"], ["messages.send"]]
    assert "worn" not in case.args("messages.send")["body"]
    assert (await desk.order()).refunded == Money.zero("USD")


async def test_a_rejection_that_names_no_way_is_asked_about_once(desk: Desk) -> None:
    rulings = {"refunds.create": [no(S.REJECTED, "Hm.")], "people.ask": [no(S.REJECTED, "I take it.")]}
    case = Case(desk, TIRED, rulings)
    assert (await case.run()).outcome == "handed_over"
    assert "refunds.create was rejected: Hm." in case.args("people.ask")["question"]
    assert case.tools().count("refunds.create") == 1
    assert case.tools().count("people.ask") == 1


async def test_an_approval_that_people_reject_is_declined(desk: Desk) -> None:
    case = Case(desk, TIRED, {"returns.approve": [no(S.REJECTED, "Please decline, serial returner.")]})
    assert (await case.run()).outcome == "declined"
    assert case.args("returns.decline")["reason"] == "OTHER"
    assert "serial" not in case.args("returns.decline")["note"]


async def test_a_refund_that_people_edited_is_told_as_it_ran(desk: Desk) -> None:
    case = Case(desk, BROKEN, {"refunds.create": [changed(amount=money("100.00 USD"))]})
    assert (await case.run()).outcome == "refunded"
    assert "100.00 USD" in case.args("messages.send")["body"]
    assert "179.00" not in case.args("messages.send")["body"]


async def test_a_return_opened_for_fewer_pieces_is_paid_for_fewer(desk: Desk) -> None:
    line = {"fulfillment_line_item_id": "fli_tee", "quantity": 1, "reason": "DEFECTIVE", "customer_note": ""}
    payload = {"order_id": "ord_usd", "letter": "Both tees are torn."}
    case = Case(desk, payload, {"returns.request": [changed(lines=[line])]})
    assert (await case.run()).outcome == "refunded"
    assert case.args("refunds.create")["amount"] == money("19.90 USD")


async def test_a_message_whose_words_are_rejected_is_written_shorter_once(desk: Desk) -> None:
    rejected = no(S.REJECTED, "Too long.")
    case = Case(desk, BROKEN, {"messages.send": [rejected]})
    assert (await case.run()).outcome == "refunded"
    first, second = (call.args["body"] for call in case.calls if call.tool == "messages.send")
    assert len(second) < len(first)
    silent = Case(desk, {**BROKEN, "letter": "Both tees are torn."}, {"messages.send": [rejected, rejected]})
    assert "not written to" in (await silent.run()).summary


async def test_a_return_that_somebody_else_approved_meanwhile_is_read_again_and_gone_on_with(desk: Desk) -> None:
    async def meanwhile(call: Proposal) -> None:
        await desk.do("returns.approve", **call.args)

    case = Case(desk, BROKEN, {"returns.approve": [meanwhile]})
    assert (await case.run()).outcome == "refunded"
    assert case.rounds[3:5] == [["returns.approve"], ["returns.get"]]
    assert case.tools().count("returns.approve") == 1


async def test_a_stale_write_that_reads_the_same_again_goes_to_people(desk: Desk) -> None:
    stale = no(S.FAILED, "It is OPEN by now.", code="stale_status")
    case = Case(desk, BROKEN, {"returns.approve": [stale]})
    assert (await case.run()).outcome == "handed_over"
    assert case.tools().count("returns.approve") == 1


async def test_a_read_that_failed_is_tried_once_more(desk: Desk) -> None:
    case = Case(desk, BROKEN, {"orders.get": [no(S.FAILED, "The shop is down.", code="unavailable")]})
    assert (await case.run()).outcome == "refunded"
    down = [no(S.FAILED, "The shop is down.", code="unavailable")] * 2
    case = Case(desk, {**BROKEN, "letter": "Both tees are torn."}, {"orders.get": down})
    assert (await case.run()).outcome == "handed_over"


@pytest.mark.parametrize("tool", ["returns.request", "returns.approve", "refunds.create", "labels.create_return"])
@pytest.mark.parametrize("status", [S.UNKNOWN, S.FAILED, S.INVALID])
async def test_what_may_have_happened_or_can_not_happen_goes_to_people_and_is_never_repeated(
    desk: Desk, tool: str, status: OutcomeStatus
) -> None:
    case = Case(desk, BROKEN, {tool: [no(status, "It did not answer.")]})
    assert (await case.run()).outcome == "handed_over"
    assert case.tools().count(tool) == 1
    assert "messages.send" not in case.tools()


@pytest.mark.parametrize("tool", ["returns.request", "returns.approve"])
async def test_a_return_that_policy_denies_is_declined(desk: Desk, tool: str) -> None:
    case = Case(desk, TIRED, {tool: [no(S.DENIED, "rule R-7: account blocked")]})
    assert (await case.run()).outcome == "declined"
    assert "R-7" not in case.args("messages.send")["body"]


async def test_money_that_policy_denies_goes_to_people(desk: Desk) -> None:
    case = Case(desk, TIRED, {"refunds.create": [no(S.DENIED, "above the entitled amount")]})
    assert (await case.run()).outcome == "handed_over"
    assert "above the entitled amount" in case.args("people.ask")["question"]


async def test_the_plan_shows_what_lies_ahead_and_what_is_done(desk: Desk) -> None:
    case = Case(desk, BROKEN)
    opened = await case.agent().plan(case.agent().opening({"customer_id": "cus_ann", **BROKEN}))
    assert {step.status for step in opened.plan} == {"pending"}
    assert opened.plan[0].tool == "orders.get"
    await case.run()
    later = await case.agent().plan(case.talk[:-1])
    assert {step.status for step in later.plan} == {"done"}


async def log(desk: Desk) -> list[dict[str, Any]]:
    return [call.model_dump() for call in await desk.shop.log()]
