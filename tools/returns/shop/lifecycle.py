"""A return from its request to its close."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from core.money import Money
from tools.fulfillment.ports import Handler, Records
from tools.returns import args as a
from tools.returns.models import HERE, OUR_FAULT, OrderStatus, Return, ReturnLine, ReturnStatus
from tools.returns.results import ReturnState
from tools.returns.shop.desk import (
    given,
    handler,
    move,
    order_of,
    ordered,
    refuse,
    return_of,
    save,
    state,
    wrong_status,
)

LATEST_DAYS = 180
"""After delivery. Policy may be stricter; beyond this no shop takes anything back."""


def _request(records: Records, asked: a.RequestReturn) -> ReturnState:
    order = order_of(records, asked.order_id)
    if order.status is OrderStatus.CANCELED:
        raise refuse("order_canceled", f"Order {order.order_id} was cancelled.")
    if order.delivered_at is None:
        raise refuse("not_delivered", f"Order {order.order_id} was not delivered yet.")
    days = (records.now - order.delivered_at).days
    if days > LATEST_DAYS:
        raise refuse("return_period_ended", f"Order {order.order_id} was delivered {days} days ago.")
    counts = Counter[str]()
    for line in asked.lines:
        counts[line.fulfillment_line_item_id] += line.quantity
        if ordered(order, line.fulfillment_line_item_id).final_sale and line.reason not in OUR_FAULT:
            raise refuse("final_sale", f"{line.fulfillment_line_item_id} of {order.order_id} was a final sale.")
    for item_id, count in counts.items():
        bought = ordered(order, item_id)
        left = bought.quantity - bought.returned_quantity
        if left <= 0:
            raise refuse("already_returned", f"All of {item_id} of {order.order_id} was returned already.")
        if count > bought.quantity:
            raise refuse("above_bought", f"{count} of {item_id} asked of, {bought.quantity} bought.", present=left)
        if count > left:
            raise refuse("above_returnable", f"{count} of {item_id} asked of, {left} still returnable.", present=left)
        bought.returned_quantity += count
    return_id = records.new_id("ret")
    found = Return(
        return_id=return_id,
        order_id=order.order_id,
        customer_id=order.customer_id,
        status=ReturnStatus.REQUESTED,
        lines=[
            ReturnLine(line_id=f"{return_id}.{number}", **line.model_dump())
            for number, line in enumerate(asked.lines, start=1)
        ],
        requested_at=records.now,
    )
    save(records, order)
    save(records, found)
    return state(found)


def _step(before: ReturnStatus, after: ReturnStatus) -> Callable[[Records, a.OnReturn], ReturnState]:
    """Two steps lead to OPEN, so each says where it starts."""

    def step(records: Records, asked: a.OnReturn) -> ReturnState:
        found = return_of(records, asked.return_id, asked.expected_status)
        if found.status is not before:
            raise wrong_status(found, f"only a {before} one can become {after}")
        move(found, after)
        save(records, found)
        return state(found)

    return step


def _decline(records: Records, asked: a.Decline) -> ReturnState:
    found = return_of(records, asked.return_id, asked.expected_status)
    move(found, ReturnStatus.DECLINED)
    found.decline_reason, found.decline_note = asked.reason, asked.note
    _free(records, found)
    save(records, found)
    return state(found)


def _cancel(records: Records, asked: a.OnReturn) -> ReturnState:
    found = return_of(records, asked.return_id, asked.expected_status)
    move(found, ReturnStatus.CANCELED)
    order = order_of(records, found.order_id)
    if given(records, found, order) > Money.zero(order.currency):
        raise refuse("already_refunded", f"Something was given for return {found.return_id}.", "Close it instead.")
    if any(line.stage in HERE for line in found.lines):
        raise refuse("goods_received", f"Goods of return {found.return_id} came back.", "Process it instead.")
    if found.label_id is not None:
        raise refuse("label_live", f"Return {found.return_id} has a label.", "Void the label first.")
    _free(records, found)
    save(records, found)
    return state(found)


def _free(records: Records, found: Return) -> None:
    """Its pieces can be in another return again."""
    order = order_of(records, found.order_id)
    for line in found.lines:
        bought = ordered(order, line.fulfillment_line_item_id)
        bought.returned_quantity = max(0, bought.returned_quantity - line.quantity)
    save(records, order)


OPERATIONS: Mapping[str, Handler] = {
    "returns.request": handler(a.RequestReturn, _request),
    "returns.approve": handler(a.OnReturn, _step(ReturnStatus.REQUESTED, ReturnStatus.OPEN)),
    "returns.decline": handler(a.Decline, _decline),
    "returns.cancel": handler(a.OnReturn, _cancel),
    "returns.close": handler(a.OnReturn, _step(ReturnStatus.OPEN, ReturnStatus.CLOSED)),
    "returns.reopen": handler(a.OnReturn, _step(ReturnStatus.CLOSED, ReturnStatus.OPEN)),
}
