"""The shop of the returns desk, through its tools: what it does, and what it refuses whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.errors import InvalidInput, KeyReused, ProviderRefused
from tests.support.returns_desk import Desk, asked, money, variant


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    opened = await Desk.opened()
    yield opened
    await opened.shop.close()


async def refusal(desk: Desk, tool: str, **args: Any) -> ProviderRefused:
    """The shop's no; nothing was written."""
    before = {name: await desk.shop.dump(name) for name in ("orders", "returns", "refunds", "labels", "variants")}
    with pytest.raises(ProviderRefused) as caught:
        await desk.do(tool, **args)
    after = {name: await desk.shop.dump(name) for name in before}
    assert after == before
    return caught.value


async def test_a_return_goes_from_request_to_close(desk: Desk) -> None:
    requested = await desk.do("returns.request", order_id="ord_usd", lines=[asked("fli_tee", 2, "SIZE_TOO_SMALL")])
    assert requested["status"] == "REQUESTED"
    ret = requested["return_id"]
    line = requested["lines"][0]["line_id"]
    assert (await desk.do("returns.approve", return_id=ret, expected_status="REQUESTED"))["status"] == "OPEN"

    label = await desk.do("labels.create_return", return_id=ret, expected_status="OPEN")
    assert label["cost"] == money("7.45 USD")
    assert label["charge_event"] == "creation"
    received = await desk.do("returns.receive", return_id=ret, line_ids=[line], expected_status="OPEN")
    assert received["lines"][0]["stage"] == "RECEIVED"
    await desk.do(
        "returns.inspect", return_id=ret, line_id=line, grade="A", evidence_refs=["pic_1"], expected_status="OPEN"
    )
    processed = await desk.do(
        "returns.process",
        return_id=ret,
        lines=[line],
        dispositions=["RESTOCKED"],
        fees=money("5.95 USD"),
        financial_transfer={"amount": money("33.85 USD"), "method": "original"},
        notify_customer=True,
        expected_status="OPEN",
    )
    assert processed["refund"]["refundable"] == money("202.90 USD")
    assert processed["lines"][0]["stage"] == "PROCESSED"
    assert (await desk.do("returns.close", return_id=ret, expected_status="OPEN"))["status"] == "CLOSED"

    assert await desk.stock("var_tee_m") == 7
    assert str((await desk.order()).refunded) == "33.85 USD"
    found = await desk.do("returns.get", return_id=ret, customer_id="cus_ann")
    assert found["given"] == money("33.85 USD")
    assert found["lines"][0]["grade"] == "A"
    assert found["lines"][0]["evidence_refs"] == ["pic_1"]
    messages = await desk.shop.dump("messages")
    assert [message["customer_id"] for message in messages.values()] == ["cus_ann"]
    assert "33.85 USD" in messages[processed["message_id"]]["body"]


async def test_a_write_happens_once_for_its_key_and_is_found_by_it(desk: Desk) -> None:
    args = {"order_id": "ord_usd", "amount": money("10.00 USD"), "reason": "OTHER", "expected_status": "DELIVERED"}
    assert await desk.belt.lookup("refunds.create", "once") is None
    first = await desk.do("refunds.create", key="once", **args)
    assert await desk.do("refunds.create", key="once", **args) == first
    assert await desk.belt.lookup("refunds.create", "once") == first
    assert str((await desk.order()).refunded) == "10.00 USD"
    with pytest.raises(KeyReused):
        await desk.do("refunds.create", key="once", **args | {"amount": money("11.00 USD")})
    assert [(call.operation, call.case_id) for call in await desk.shop.log()] == [("refunds.create", "case_1")]


@pytest.mark.parametrize(
    ("order_id", "line", "reason"),
    [
        ("ord_none", asked("fli_tee"), "not_found"),
        ("ord_usd", asked("fli_none"), "unknown_line"),
        ("ord_usd", asked("fli_tee", 3), "above_bought"),
        ("ord_usd", asked("fli_scarf"), "final_sale"),
        ("ord_ancient", asked("fli_tee", 1, "DEFECTIVE"), "return_period_ended"),
        ("ord_coming", asked("fli_tee"), "not_delivered"),
        ("ord_canceled", asked("fli_tee"), "order_canceled"),
    ],
)
async def test_a_request_that_can_not_be_is_refused(
    desk: Desk, order_id: str, line: dict[str, Any], reason: str
) -> None:
    assert (await refusal(desk, "returns.request", order_id=order_id, lines=[line])).reason == reason


async def test_pieces_are_in_one_return_at_most(desk: Desk) -> None:
    split = [asked("fli_tee"), asked("fli_tee", 2, "DEFECTIVE")]
    assert (await refusal(desk, "returns.request", order_id="ord_usd", lines=split)).reason == "above_bought"
    first = await desk.do("returns.request", order_id="ord_usd", lines=[asked("fli_tee")])
    too_many = await refusal(desk, "returns.request", order_id="ord_usd", lines=[asked("fli_tee", 2)])
    assert (too_many.reason, too_many.extra["present"]) == ("above_returnable", 1)
    await desk.do("returns.request", order_id="ord_usd", lines=[asked("fli_tee")])
    again = await refusal(desk, "returns.request", order_id="ord_usd", lines=[asked("fli_tee")])
    assert again.reason == "already_returned"

    await desk.do(
        "returns.decline", return_id=first["return_id"], reason="OTHER", note="Worn.", expected_status="REQUESTED"
    )
    items = (await desk.do("returns.returnable_items", order_id="ord_usd"))["items"]
    assert {item["fulfillment_line_item_id"]: item["returnable"] for item in items} == {
        "fli_tee": 1,
        "fli_phones": 1,
        "fli_scarf": 1,
    }


async def test_final_sale_goods_come_back_when_they_are_faulty(desk: Desk) -> None:
    requested = await desk.do("returns.request", order_id="ord_usd", lines=[asked("fli_scarf", 1, "DEFECTIVE")])
    assert requested["status"] == "REQUESTED"


async def test_a_customer_sees_only_what_is_theirs(desk: Desk) -> None:
    assert (await refusal(desk, "orders.get", order_id="ord_bob", customer_id="cus_ann")).reason == "other_customer"
    theirs = await desk.opened_return(asked("fli_tee"), order_id="ord_bob")
    seen = await refusal(desk, "returns.get", return_id=theirs["return_id"], customer_id="cus_ann")
    assert seen.reason == "other_customer"
    paid = await refusal(
        desk,
        "refunds.create",
        order_id="ord_usd",
        return_id=theirs["return_id"],
        amount=money("5.00 USD"),
        reason="OTHER",
        expected_status="OPEN",
    )
    assert paid.reason == "other_order"
    lost = await refusal(desk, "messages.send", customer_id="cus_none", subject="Hello", body="There")
    assert lost.reason == "not_found"


async def test_stale_and_impossible_steps_are_refused_with_the_present_state(desk: Desk) -> None:
    ret = (await desk.do("returns.request", order_id="ord_usd", lines=[asked("fli_tee")]))["return_id"]
    stale = await refusal(desk, "returns.close", return_id=ret, expected_status="OPEN")
    assert (stale.reason, stale.extra["present"]) == ("stale_status", "REQUESTED")
    closed_early = await refusal(desk, "returns.close", return_id=ret, expected_status="REQUESTED")
    assert (closed_early.reason, closed_early.extra["present"]) == ("wrong_status", "REQUESTED")
    label = await refusal(desk, "labels.create_return", return_id=ret, expected_status="REQUESTED")
    assert label.reason == "wrong_status"
    early = await refusal(
        desk,
        "refunds.create",
        order_id="ord_usd",
        return_id=ret,
        amount=money("1.00 USD"),
        reason="OTHER",
        expected_status="REQUESTED",
    )
    assert early.reason == "wrong_status"

    await desk.do("returns.approve", return_id=ret, expected_status="REQUESTED")
    late = await refusal(desk, "returns.decline", return_id=ret, reason="OTHER", note="", expected_status="OPEN")
    assert late.reason == "wrong_status"
    line = f"{ret}.1"
    unseen = await refusal(desk, "returns.inspect", return_id=ret, line_id=line, grade="A", expected_status="OPEN")
    assert (unseen.reason, unseen.extra["present"]) == ("wrong_stage", "AWAITING_LABEL")
    await desk.do("returns.close", return_id=ret, expected_status="OPEN")
    approved = await refusal(desk, "returns.approve", return_id=ret, expected_status="CLOSED")
    assert approved.reason == "wrong_status"
    assert (await desk.do("returns.reopen", return_id=ret, expected_status="CLOSED"))["status"] == "OPEN"
    assert (await desk.do("returns.cancel", return_id=ret, expected_status="OPEN"))["status"] == "CANCELED"
    assert (await desk.order()).lines[0].returned_quantity == 0


@pytest.mark.parametrize(
    ("order_id", "amount", "reason"),
    [
        ("ord_usd", "236.76 USD", "above_refundable"),
        ("ord_usd", "10.00 EUR", "currency_mismatch"),
        ("ord_jpy", "3536 JPY", "above_refundable"),
        ("ord_kwd", "38.536 KWD", "above_refundable"),
        ("ord_none", "1.00 USD", "not_found"),
    ],
)
async def test_money_beyond_the_order_is_refused(desk: Desk, order_id: str, amount: str, reason: str) -> None:
    args = {"order_id": order_id, "amount": money(amount), "expected_status": "DELIVERED"}
    assert (await refusal(desk, "refunds.create", reason="OTHER", **args)).reason == reason
    assert (await refusal(desk, "store_credit.issue", **args)).reason == reason


@pytest.mark.parametrize(
    ("order_id", "total"), [("ord_usd", "236.75 USD"), ("ord_jpy", "3535 JPY"), ("ord_kwd", "38.535 KWD")]
)
async def test_the_last_minor_unit_can_be_given_back_and_no_more(desk: Desk, order_id: str, total: str) -> None:
    args = {"order_id": order_id, "expected_status": "DELIVERED"}
    paid = await desk.do("refunds.create", reason="OTHER", amount=money(total), **args)
    assert paid["refundable"]["amount_minor"] == 0
    again = await refusal(desk, "store_credit.issue", amount=paid["amount"] | {"amount_minor": 1}, **args)
    assert again.reason == "already_refunded"


async def test_a_return_is_worth_what_it_is_entitled_to_the_way_it_is_paid(desk: Desk) -> None:
    ret = (await desk.opened_return(asked("fli_tee", 2, "UNWANTED")))["return_id"]
    args = {"order_id": "ord_usd", "return_id": ret, "expected_status": "OPEN"}
    above = await refusal(desk, "refunds.create", amount=money("29.88 USD"), reason="UNWANTED", **args)
    assert (above.reason, above.extra["present"]) == ("above_return_value", "29.87 USD")  # less 10% and the way back
    credit = await refusal(desk, "store_credit.issue", amount=money("39.81 USD"), **args)
    assert credit.extra["present"] == "39.80 USD"
    for amount in ("20.00 USD", "9.87 USD"):
        await desk.do("refunds.create", amount=money(amount), reason="UNWANTED", **args)
    spent = await refusal(desk, "refunds.create", amount=money("0.01 USD"), reason="UNWANTED", **args)
    assert spent.reason == "already_refunded"


async def test_goods_that_were_exchanged_are_not_paid_for_as_well(desk: Desk) -> None:
    ret = (await desk.opened_return(asked("fli_tee", 1, "DEFECTIVE")))["return_id"]
    args = {"order_id": "ord_usd", "return_id": ret, "expected_status": "OPEN"}
    await desk.do(
        "exchanges.create",
        return_id=ret,
        lines=[{"fulfillment_line_item_id": "fli_tee", "variant_id": "var_tee_l", "quantity": 1}],
        expected_status="OPEN",
    )
    twice = await refusal(desk, "refunds.create", amount=money("19.90 USD"), reason="DEFECTIVE", **args)
    assert twice.reason == "already_refunded"


async def test_goods_that_stay_with_the_customer_are_awaited_no_more(desk: Desk) -> None:
    ret = (await desk.opened_return(asked("fli_mug"), order_id="ord_jpy"))["return_id"]
    label = await desk.do("labels.create_return", return_id=ret, expected_status="OPEN")
    refund = {
        "order_id": "ord_jpy",
        "return_id": ret,
        "amount": money("2985 JPY"),
        "reason": "UNWANTED",
        "keep_item": True,
        "expected_status": "OPEN",
    }
    assert (await refusal(desk, "refunds.create", **refund)).reason == "label_live"
    await desk.do("labels.void", label_id=label["label_id"])
    await desk.do("refunds.create", **refund)
    found = await desk.do("returns.get", return_id=ret, customer_id="cus_jun")
    assert found["lines"][0]["stage"] == "PROCESSED"
    assert found["lines"][0]["dispositions"] == ["NOT_RESTOCKED"]
    assert (await refusal(desk, "returns.cancel", return_id=ret, expected_status="OPEN")).reason == "already_refunded"


async def test_a_bargain_is_worth_its_price_in_other_goods_and_itself_in_another_size(desk: Desk) -> None:
    """The tee was had for 19.90, 24.90 on the list: not enough for another 24.90 thing."""
    await desk.shop.load({"variants": [variant("var_bag", "24.90 USD").model_dump(mode="json")]})
    ret = (await desk.opened_return(asked("fli_tee", 2)))["return_id"]
    swap = {"fulfillment_line_item_id": "fli_tee", "variant_id": "var_bag", "quantity": 1}
    dearer = await refusal(desk, "exchanges.create", return_id=ret, lines=[swap], expected_status="OPEN")
    assert dearer.reason == "dearer_variant"
    swap["variant_id"] = "var_tee_l"
    await desk.do("exchanges.create", return_id=ret, lines=[swap], expected_status="OPEN")


async def test_a_subject_is_one_line(desk: Desk) -> None:
    for subject in ("Hello\nBcc: mallory@evil.example", "Hello\u2028there", "Hello\x00"):
        with pytest.raises(InvalidInput):
            await desk.do("messages.send", customer_id="cus_ann", subject=subject, body="Hello.")


async def test_one_live_label_and_none_for_goods_under_way(desk: Desk) -> None:
    opened = await desk.opened_return(asked("fli_tee"))
    ret = opened["return_id"]
    label = await desk.do("labels.create_return", return_id=ret, expected_status="OPEN")
    second = await refusal(desk, "labels.create_return", return_id=ret, expected_status="OPEN")
    assert (second.reason, second.extra["present"]) == ("label_exists", label["label_id"])
    assert (await refusal(desk, "returns.cancel", return_id=ret, expected_status="OPEN")).reason == "label_live"
    await desk.do("labels.void", label_id=label["label_id"])
    assert (await refusal(desk, "labels.void", label_id=label["label_id"])).reason == "label_voided"
    label = await desk.do("labels.create_return", return_id=ret, expected_status="OPEN")
    await desk.do("returns.receive", return_id=ret, line_ids=[f"{ret}.1"], expected_status="OPEN")
    assert (await refusal(desk, "labels.void", label_id=label["label_id"])).reason == "label_used"
    assert (await refusal(desk, "returns.cancel", return_id=ret, expected_status="OPEN")).reason == "goods_received"


@pytest.mark.parametrize(
    ("variant", "quantity", "reason"),
    [
        ("var_none", 1, "not_found"),
        ("var_tee_xl", 1, "out_of_stock"),
        ("var_tee_l", 2, "out_of_stock"),
        ("var_tee_gold", 1, "dearer_variant"),
        ("var_mug", 1, "currency_mismatch"),
        ("var_tee_m", 3, "above_returned"),
    ],
)
async def test_an_exchange_that_can_not_be_is_refused(desk: Desk, variant: str, quantity: int, reason: str) -> None:
    ret = (await desk.opened_return(asked("fli_tee", 2)))["return_id"]
    lines = [{"fulfillment_line_item_id": "fli_tee", "variant_id": variant, "quantity": quantity}]
    assert (
        await refusal(desk, "exchanges.create", return_id=ret, lines=lines, expected_status="OPEN")
    ).reason == reason


async def test_an_exchange_takes_goods_from_the_shelf_and_processing_puts_goods_back(desk: Desk) -> None:
    opened = await desk.opened_return(asked("fli_tee", 1, "SIZE_TOO_SMALL"), asked("fli_phones", 1, "DEFECTIVE"))
    ret, (tee, phones) = opened["return_id"], [line["line_id"] for line in opened["lines"]]
    await desk.do("returns.receive", return_id=ret, line_ids=[tee, phones], expected_status="OPEN")
    await desk.do("returns.inspect", return_id=ret, line_id=phones, grade="D", expected_status="OPEN")
    args = {"return_id": ret, "lines": [tee, phones], "expected_status": "OPEN"}
    broken = await refusal(desk, "returns.process", dispositions=["RESTOCKED", "RESTOCKED"], **args)
    assert broken.reason == "not_sellable"
    swap = {"fulfillment_line_item_id": "fli_tee", "variant_id": "var_tee_l", "quantity": 1}
    done = await desk.do("returns.process", dispositions=["RESTOCKED", "NOT_RESTOCKED"], exchange_lines=[swap], **args)
    assert done["exchange"]["lines"][0]["price_difference"] == money("0.00 USD")
    assert [await desk.stock(f"var_{name}") for name in ("tee_l", "tee_m", "phones")] == [0, 6, 5]
    again = await refusal(desk, "returns.process", dispositions=["RESTOCKED", "NOT_RESTOCKED"], **args)
    assert again.reason == "wrong_stage"


async def test_a_process_that_pays_too_much_puts_nothing_away(desk: Desk) -> None:
    opened = await desk.opened_return(asked("fli_tee"))
    line = opened["lines"][0]["line_id"]
    args = {"return_id": opened["return_id"], "expected_status": "OPEN"}
    await desk.do("returns.receive", line_ids=[line], **args)
    paid = {"amount": money("200.00 USD"), "method": "original"}
    refused = await refusal(
        desk, "returns.process", lines=[line], dispositions=["RESTOCKED"], financial_transfer=paid, **args
    )
    assert refused.reason == "above_return_value"
    foreign = await refusal(
        desk, "returns.process", lines=[line], dispositions=["RESTOCKED"], fees=money("1.00 EUR"), **args
    )
    assert foreign.reason == "currency_mismatch"


async def test_lines_declared_missing_and_lines_for_later(desk: Desk) -> None:
    opened = await desk.opened_return(asked("fli_tee"), asked("fli_phones"))
    tee, phones = [line["line_id"] for line in opened["lines"]]
    args = {"return_id": opened["return_id"], "expected_status": "OPEN"}
    assert (
        await refusal(desk, "returns.process", lines=[tee], dispositions=["NOT_RESTOCKED"], **args)
    ).reason == "wrong_stage"
    await desk.do("returns.receive", line_ids=[phones], **args)
    done = await desk.do(
        "returns.process", lines=[tee, phones], dispositions=["MISSING", "PROCESSING_REQUIRED"], **args
    )
    assert [line["stage"] for line in done["lines"]] == ["PROCESSED", "RECEIVED"]


async def test_the_shop_checks_arguments_itself(desk: Desk) -> None:
    raw: dict[str, Any] = {"order_id": "ord_usd", "amount": {"amount_minor": -5, "currency": "USD"}}
    with pytest.raises(ProviderRefused) as caught:
        await desk.shop.write(
            "refunds.create", raw | {"reason": "OTHER", "expected_status": "DELIVERED"}, key="raw", case_id="case_1"
        )
    assert (caught.value.reason, caught.value.extra["field"]) == ("invalid_arguments", "amount")
    assert await desk.shop.find("raw") is None
