"""Goods that come back: received, inspected, and put where they belong."""

from __future__ import annotations

from collections.abc import Mapping

from core.money import Money
from tools.fulfillment.ports import Handler, Records
from tools.returns import args as a
from tools.returns.models import Disposition, Grade, LineStage, Order, Return, ReturnLine, Variant
from tools.returns.results import Processed, ReturnState
from tools.returns.shop.contact import write_to
from tools.returns.shop.desk import advance, handler, line_of, open_return, order_of, ordered, refuse, save, state
from tools.returns.shop.money import exchange, give

_SELLABLE = frozenset({Grade.A, Grade.B})


def _receive(records: Records, asked: a.Receive) -> ReturnState:
    found = open_return(records, asked.return_id, asked.expected_status)
    for line_id in dict.fromkeys(asked.line_ids):
        advance(line_of(found, line_id), LineStage.RECEIVED)
    save(records, found)
    return state(found)


def _inspect(records: Records, asked: a.Inspect) -> ReturnState:
    found = open_return(records, asked.return_id, asked.expected_status)
    line = line_of(found, asked.line_id)
    advance(line, LineStage.INSPECTED)
    line.grade, line.evidence_refs = asked.grade, list(asked.evidence_refs)
    save(records, found)
    return state(found)


def _process(records: Records, asked: a.Process) -> Processed:
    found = open_return(records, asked.return_id, asked.expected_status)
    order = order_of(records, found.order_id)
    for line_id, disposition in zip(asked.lines, asked.dispositions, strict=True):
        _put_away(records, order, line_of(found, line_id), disposition)
    if asked.fees is not None:
        _charge(found, order, asked.fees)
    save(records, found)

    # Goods before money: what an exchange is worth is no longer there to be paid out.
    exchanged = exchange(records, found, order, asked.exchange_lines) if asked.exchange_lines else None
    transfer = asked.financial_transfer
    paid = give(records, order, found, transfer.amount, transfer.resolution, "processed") if transfer else None
    message_id = None
    if asked.notify_customer:
        body = f"We have processed your return {found.return_id} of order {order.order_id}."
        if paid:
            body += f" You get {paid.amount} back."
        message_id = write_to(records, found.customer_id, f"Your return of order {order.order_id}", body).message_id
    return Processed(**dict(state(found)), refund=paid, exchange=exchanged, message_id=message_id)


def _put_away(records: Records, order: Order, line: ReturnLine, disposition: Disposition) -> None:
    if line.stage is LineStage.PROCESSED:
        raise refuse("wrong_stage", f"Line {line.line_id} was processed already.", present=line.stage.value)
    line.dispositions.append(disposition)
    match disposition:
        case Disposition.PROCESSING_REQUIRED:
            return
        case Disposition.MISSING:
            line.stage = LineStage.PROCESSED
            return
        case Disposition.RESTOCKED if line.grade is not None and line.grade not in _SELLABLE:
            raise refuse("not_sellable", f"Line {line.line_id} is of grade {line.grade}: it can't be sold as new.")
        case Disposition.RESTOCKED:
            variant_id = ordered(order, line.fulfillment_line_item_id).variant_id
            variant = Variant.model_validate(records.get("variants", variant_id))
            variant.stock += line.quantity
            save(records, variant)
        case Disposition.NOT_RESTOCKED:
            pass
    advance(line, LineStage.PROCESSED)


def _charge(found: Return, order: Order, fees: Money) -> None:
    if fees.currency != order.currency:
        raise refuse("currency_mismatch", f"Order {order.order_id} is in {order.currency}, the fee in {fees.currency}.")
    found.fees = fees if found.fees is None else found.fees + fees


OPERATIONS: Mapping[str, Handler] = {
    "returns.receive": handler(a.Receive, _receive),
    "returns.inspect": handler(a.Inspect, _inspect),
    "returns.process": handler(a.Process, _process),
}
