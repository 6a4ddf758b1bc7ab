"""What every handler of the shop stands on: typed arguments, records with their owner, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from core.errors import ProviderRefused
from core.money import Money
from tools.fulfillment.ports import Handler, Records, expect
from tools.returns.models import (
    FulfillmentLine,
    LineStage,
    Order,
    RefundStatus,
    Return,
    ReturnLine,
    ReturnStatus,
    Variant,
)
from tools.returns.results import ReturnLineState, ReturnState

A = TypeVar("A", bound=BaseModel)

RETURN_MOVES: Mapping[ReturnStatus, frozenset[ReturnStatus]] = {
    ReturnStatus.REQUESTED: frozenset({ReturnStatus.OPEN, ReturnStatus.DECLINED, ReturnStatus.CANCELED}),
    ReturnStatus.OPEN: frozenset({ReturnStatus.CLOSED, ReturnStatus.CANCELED}),
    ReturnStatus.CLOSED: frozenset({ReturnStatus.OPEN}),
    ReturnStatus.DECLINED: frozenset(),
    ReturnStatus.CANCELED: frozenset(),
}

S = LineStage
STAGE_MOVES: Mapping[LineStage, frozenset[LineStage]] = {
    S.AWAITING_LABEL: frozenset({S.LABELLED, S.RECEIVED}),
    S.LABELLED: frozenset({S.AWAITING_LABEL, S.IN_TRANSIT, S.RECEIVED}),
    S.IN_TRANSIT: frozenset({S.RECEIVED}),
    S.RECEIVED: frozenset({S.INSPECTED, S.PROCESSED}),
    S.INSPECTED: frozenset({S.INSPECTED, S.PROCESSED}),
    S.PROCESSED: frozenset(),
}
_NOT_GIVEN = frozenset({RefundStatus.FAILED, RefundStatus.CANCELED})


def refuse(reason: str, detail: str, hint: str = "", **extra: Any) -> ProviderRefused:
    """To be raised: the shop's no, with its word for the reason."""
    return ProviderRefused(detail, reason=reason, hint=hint, **extra)


def handler(model: type[A], run: Callable[[Records, A], BaseModel]) -> Handler:
    """A handler of plain JSON: arguments that do not fit are refused, the result is plain again."""

    def handle(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
        try:
            asked = model.model_validate(dict(args))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "arguments"
            raise refuse("invalid_arguments", f"{where}: {first['msg']}.", field=where) from error
        return run(records, asked).model_dump(mode="json")

    return handle


def order_of(records: Records, order_id: str, customer_id: str | None = None) -> Order:
    order = Order.model_validate(records.get("orders", order_id))
    if customer_id is not None and order.customer_id != customer_id:
        raise refuse("other_customer", f"{order_id} is not an order of customer {customer_id}.")
    return order


def return_of(records: Records, return_id: str, expected_status: str | None = None) -> Return:
    """Raises `ProviderRefused` with reason `stale_status` where it is not in the expected one."""
    body = records.get("returns", return_id)
    expect(body, "status", expected_status)
    return Return.model_validate(body)


def open_return(records: Records, return_id: str, expected_status: str) -> Return:
    """A return on which goods and money may move."""
    found = return_of(records, return_id, expected_status)
    if found.status is not ReturnStatus.OPEN:
        raise wrong_status(found, "goods and money move only while it is OPEN")
    return found


def save(records: Records, record: Order | Return | Variant) -> None:
    body = record.model_dump(mode="json")
    match record:
        case Order():
            records.put("orders", record.order_id, body)
        case Return():
            records.put("returns", record.return_id, body)
        case Variant():
            records.put("variants", record.variant_id, body)


def wrong_status(found: Return, why: str) -> ProviderRefused:
    present = found.status.value
    return refuse("wrong_status", f"Return {found.return_id} is {present}; {why}.", present=present)


def move(found: Return, to: ReturnStatus) -> None:
    if to not in RETURN_MOVES[found.status]:
        raise wrong_status(found, f"it can't become {to}")
    found.status = to


def advance(line: ReturnLine, to: LineStage) -> None:
    if to not in STAGE_MOVES[line.stage]:
        raise refuse(
            "wrong_stage", f"Line {line.line_id} is {line.stage}; it can't become {to}.", present=line.stage.value
        )
    line.stage = to


def line_of(found: Return, line_id: str) -> ReturnLine:
    for line in found.lines:
        if line.line_id == line_id:
            return line
    raise refuse("unknown_line", f"Return {found.return_id} has no line '{line_id}'.")


def ordered(order: Order, item_id: str) -> FulfillmentLine:
    for line in order.lines:
        if line.fulfillment_line_item_id == item_id:
            return line
    raise refuse("unknown_line", f"Order {order.order_id} has no line '{item_id}'.")


def known_variant(records: Records, variant_id: str) -> Variant | None:
    """None for goods that are in no catalogue any more."""
    try:
        return Variant.model_validate(records.get("variants", variant_id))
    except ProviderRefused:
        return None


def given(records: Records, found: Return, order: Order) -> Money:
    """What the customer got for a return so far: money, credit, and the worth of exchanged pieces."""
    total = Money.zero(order.currency)
    for refund in records.where("refunds", return_id=found.return_id):
        if refund["status"] not in _NOT_GIVEN:
            total += Money.model_validate(refund["amount"])
    for exchange in records.where("exchanges", return_id=found.return_id):
        for line in exchange["lines"]:
            if line["fulfillment_line_item_id"]:
                total += ordered(order, line["fulfillment_line_item_id"]).unit_price.times(line["quantity"])
    return total


def given_outside_returns(records: Records, order: Order) -> Money:
    """Money and credit of an order that belong to none of its returns."""
    found = records.where("refunds", order_id=order.order_id, return_id=None)
    amounts = (Money.model_validate(r["amount"]) for r in found if r["status"] not in _NOT_GIVEN)
    return Money.total(amounts, order.currency)


def state(found: Return) -> ReturnState:
    return ReturnState(
        return_id=found.return_id,
        order_id=found.order_id,
        status=found.status,
        lines=[
            ReturnLineState(
                line_id=line.line_id,
                fulfillment_line_item_id=line.fulfillment_line_item_id,
                quantity=line.quantity,
                stage=line.stage,
            )
            for line in found.lines
        ],
        label_id=found.label_id,
    )
