"""What a customer gets for a return: money, credit, or other goods. Never more than was paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from core.money import Money
from tools.fulfillment.ports import Handler, Records, expect
from tools.returns import args as a
from tools.returns.entitlement import still_entitled
from tools.returns.models import (
    HERE,
    Disposition,
    Exchange,
    ExchangeLine,
    LineStage,
    Order,
    Refund,
    RefundStatus,
    Resolution,
    Return,
    Variant,
)
from tools.returns.results import Exchanged, MoneyGiven, asked_again
from tools.returns.shop.desk import given, handler, known_variant, open_return, order_of, ordered, refuse, save

_METHODS = {
    Resolution.REFUND_ORIGINAL: "original",
    Resolution.RETURNLESS_REFUND: "original",
    Resolution.STORE_CREDIT: "store_credit",
}


def give(
    records: Records, order: Order, found: Return | None, amount: Money, way: Resolution, reason: str
) -> MoneyGiven:
    """Books money or credit. Refused where the order, or the return, has not that much left."""
    method = _METHODS[way]
    if amount.currency != order.currency:
        raise refuse(
            "currency_mismatch", f"Order {order.order_id} is in {order.currency}, the amount in {amount.currency}."
        )
    left = order.total - order.refunded
    if left.amount_minor <= 0:
        raise refuse("already_refunded", f"All of order {order.order_id} was given back already.")
    if amount > left:
        raise refuse("above_refundable", f"{left} of order {order.order_id} is left to give back.", present=str(left))
    if found is not None:
        _within_worth(records, order, found, amount, way)
    order.refunded += amount
    save(records, order)
    refund = Refund(
        refund_id=records.new_id("ref"),
        order_id=order.order_id,
        return_id=found.return_id if found else None,
        amount=amount,
        method=method,
        status=RefundStatus.SUCCEEDED,
        reason=reason,
        created_at=records.now,
    )
    records.put("refunds", refund.refund_id, refund.model_dump(mode="json"))
    return MoneyGiven(
        refund_id=refund.refund_id,
        order_id=order.order_id,
        return_id=refund.return_id,
        amount=amount,
        method=method,
        status=refund.status,
        refundable=left - amount,
    )


def exchange(records: Records, found: Return, order: Order, items: Sequence[a.ExchangeItem]) -> Exchanged:
    """Takes the other goods from the shelf. They may not cost more than those that come back."""
    coming = Counter[str]()
    for line in found.lines:
        coming[line.fulfillment_line_item_id] += line.quantity
    for earlier in records.where("exchanges", return_id=found.return_id):
        for done in earlier["lines"]:
            coming[done["fulfillment_line_item_id"]] -= done["quantity"]
    lines = []
    worth = Money.zero(order.currency)
    for item in items:
        bought = ordered(order, item.fulfillment_line_item_id)
        coming[item.fulfillment_line_item_id] -= item.quantity
        if coming[item.fulfillment_line_item_id] < 0:
            raise refuse(
                "above_returned", f"Return {found.return_id} has not that many of {item.fulfillment_line_item_id} left."
            )
        worth += bought.unit_price.times(item.quantity)
        lines.append(_take(records, order, bought.variant_id, bought.unit_price, item))
    _within_worth(records, order, found, worth, Resolution.EXCHANGE)
    made = Exchange(exchange_id=records.new_id("exc"), return_id=found.return_id, lines=lines, created_at=records.now)
    records.put("exchanges", made.exchange_id, made.model_dump(mode="json"))
    return Exchanged(exchange_id=made.exchange_id, return_id=found.return_id, lines=lines)


def _take(records: Records, order: Order, old_id: str, paid: Money, item: a.ExchangeItem) -> ExchangeLine:
    variant = Variant.model_validate(records.get("variants", item.variant_id))
    old = known_variant(records, old_id)
    # List price against list price: goods bought at a discount can still be had in another size.
    # Other goods are held against what was paid, or a bargain would buy something dear.
    was = old.price if old and old.product_id == variant.product_id else paid
    if variant.price.currency != order.currency or was.currency != order.currency:
        raise refuse("currency_mismatch", f"{item.variant_id} is not sold in {order.currency}.")
    if variant.price > was:
        raise refuse("dearer_variant", f"{item.variant_id} costs {variant.price}, what comes back {was}.")
    if variant.stock < item.quantity:
        raise refuse("out_of_stock", f"{variant.stock} of {item.variant_id} are on the shelf.", present=variant.stock)
    variant.stock -= item.quantity
    save(records, variant)
    return ExchangeLine(
        variant_id=item.variant_id,
        quantity=item.quantity,
        fulfillment_line_item_id=item.fulfillment_line_item_id,
        price_difference=(variant.price - was).times(item.quantity),
    )


def _within_worth(records: Records, order: Order, found: Return, more: Money, way: Resolution) -> None:
    """A return gives what its pieces are entitled to, settled this way, less what was given; goodwill has no return."""
    before = given(records, found, order)
    left = still_entitled(order, asked_again(found), way, before)
    if left.amount_minor <= 0:
        raise refuse("already_refunded", f"All of return {found.return_id} was given back already.")
    if more > left:
        raise refuse(
            "above_return_value",
            f"Return {found.return_id} is worth {left} more after fees, {before} was given for it already.",
            present=str(left),
        )


def _return_for(records: Records, asked: a.CreateRefund | a.IssueCredit) -> tuple[Order, Return | None]:
    """The order, and its return if one is named; the expected status is that of the return then."""
    body = records.get("orders", asked.order_id)
    if asked.return_id is None:
        expect(body, "status", asked.expected_status)
        return Order.model_validate(body), None
    found = open_return(records, asked.return_id, asked.expected_status)
    if found.order_id != asked.order_id:
        raise refuse("other_order", f"Return {found.return_id} is not one of order {asked.order_id}.")
    return Order.model_validate(body), found


def _refund(records: Records, asked: a.CreateRefund) -> MoneyGiven:
    order, found = _return_for(records, asked)
    if asked.keep_item and found is not None:
        _keep(records, found)
    way = Resolution.RETURNLESS_REFUND if asked.keep_item else Resolution.REFUND_ORIGINAL
    return give(records, order, found, asked.amount, way, asked.reason.value)


def _keep(records: Records, found: Return) -> None:
    """The goods stay where they are: nothing is awaited any more."""
    if found.label_id is not None:
        raise refuse("label_live", f"Return {found.return_id} has a label.", "Void the label first.")
    for line in found.lines:
        if line.stage in HERE:
            raise refuse("goods_received", f"Line {line.line_id} came back.", "Refund it without keep_item.")
        line.stage, line.kept = LineStage.PROCESSED, True
        line.dispositions.append(Disposition.NOT_RESTOCKED)
    save(records, found)


def _credit(records: Records, asked: a.IssueCredit) -> MoneyGiven:
    order, found = _return_for(records, asked)
    return give(records, order, found, asked.amount, Resolution.STORE_CREDIT, "requested_by_customer")


def _exchange(records: Records, asked: a.CreateExchange) -> Exchanged:
    found = open_return(records, asked.return_id, asked.expected_status)
    return exchange(records, found, order_of(records, found.order_id), asked.lines)


OPERATIONS: Mapping[str, Handler] = {
    "refunds.create": handler(a.CreateRefund, _refund),
    "store_credit.issue": handler(a.IssueCredit, _credit),
    "exchanges.create": handler(a.CreateExchange, _exchange),
}
