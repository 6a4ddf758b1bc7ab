"""What reaches the customer: labels for the way back, and messages."""

from __future__ import annotations

from collections.abc import Mapping

from core.money import Money, exponent
from tools.fulfillment.ports import Handler, Records
from tools.returns import args as a
from tools.returns.models import Customer, Label, LineStage, Message
from tools.returns.results import LabelMade, LabelVoided, MessageSent
from tools.returns.shop.desk import advance, handler, open_return, order_of, refuse, return_of, save

_PARCEL = {"USD": 745, "EUR": 590, "GBP": 495, "JPY": 980, "KWD": 2_250}
"""A carrier's price for a parcel, in minor units."""


def _create_label(records: Records, asked: a.OnReturn) -> LabelMade:
    found = open_return(records, asked.return_id, asked.expected_status)
    if found.label_id is not None:
        raise refuse("label_exists", f"Return {found.return_id} has a label.", "Void it first.", present=found.label_id)
    waiting = [line for line in found.lines if line.stage is LineStage.AWAITING_LABEL]
    if not waiting:
        raise refuse("nothing_to_ship", f"No line of return {found.return_id} awaits a label.")
    for line in waiting:
        advance(line, LineStage.LABELLED)
    currency = order_of(records, found.order_id).currency
    label_id = records.new_id("lbl")
    label = Label(
        label_id=label_id,
        return_id=found.return_id,
        carrier="parcel_post",
        tracking=label_id.removeprefix("lbl_").upper(),
        cost=Money(amount_minor=_PARCEL.get(currency, 7 * 10 ** exponent(currency)), currency=currency),
        charge_event="scan" if currency == "EUR" else "creation",
    )
    records.put("labels", label_id, label.model_dump(mode="json"))
    found.label_id = label_id
    save(records, found)
    return LabelMade.model_validate(label.model_dump(exclude={"voided"}))


def _void_label(records: Records, asked: a.VoidLabel) -> LabelVoided:
    label = Label.model_validate(records.get("labels", asked.label_id))
    if label.voided:
        raise refuse("label_voided", f"Label {label.label_id} is void already.")
    found = return_of(records, label.return_id)
    labelled = [line for line in found.lines if line.stage is not LineStage.AWAITING_LABEL]
    if any(line.stage is not LineStage.LABELLED for line in labelled):
        raise refuse("label_used", f"Label {label.label_id} was used: goods of it are under way or here.")
    for line in labelled:
        advance(line, LineStage.AWAITING_LABEL)
    label.voided, found.label_id = True, None
    records.put("labels", label.label_id, label.model_dump(mode="json"))
    save(records, found)
    return LabelVoided(label_id=label.label_id, return_id=found.return_id, voided=True)


def write_to(records: Records, customer_id: str, subject: str, body: str) -> MessageSent:
    customer = Customer.model_validate(records.get("customers", customer_id))
    message = Message(
        message_id=records.new_id("msg"),
        customer_id=customer.customer_id,
        subject=subject,
        body=body,
        sent_at=records.now,
    )
    records.put("messages", message.message_id, message.model_dump(mode="json"))
    return MessageSent(message_id=message.message_id, customer_id=customer.customer_id)


def _send(records: Records, asked: a.SendMessage) -> MessageSent:
    return write_to(records, asked.customer_id, asked.subject, asked.body)


OPERATIONS: Mapping[str, Handler] = {
    "labels.create_return": handler(a.OnReturn, _create_label),
    "labels.void": handler(a.VoidLabel, _void_label),
    "messages.send": handler(a.SendMessage, _send),
}
