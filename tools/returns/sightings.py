"""Every fact of the returns policy: its name and type, the tools it can be told for, and how it is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from core.verdicts import FactSpec, FactType, FactValue
from tools.returns.args import AskedLine
from tools.returns.entitlement import TERMS, refundable, still_entitled, value_of
from tools.returns.models import (
    OUR_FAULT,
    Customer,
    FraudSignal,
    FulfillmentLine,
    LineStage,
    Order,
    OrderStatus,
    ReturnStatus,
)
from tools.returns.results import History, ReturnFound
from tools.returns.rules import days_since_delivery, note_flags, window_days
from tools.returns.subject import Subject

B, I, M, T, C = FactType.BOOLEAN, FactType.INTEGER, FactType.MONEY, FactType.TEXT, FactType.CHOICE  # noqa: E741

_ASKING = ("rules.evaluate", "returns.calculate", "returns.request")
_PAYING = ("refunds.create", "store_credit.issue", "returns.process")
_SETTLING = (*_PAYING, "exchanges.create")
_OF_RETURN = (
    *_SETTLING,
    "returns.get",
    "returns.approve",
    "returns.decline",
    "returns.cancel",
    "returns.close",
    "returns.reopen",
    "returns.receive",
    "returns.inspect",
    "labels.create_return",
    "labels.void",
)
_OF_LINES = (*_ASKING, *_OF_RETURN)
_OF_ORDER = (*_OF_LINES, "orders.get", "returns.returnable_items")
_NAMING_CUSTOMER = ("orders.get", "returns.get", "customers.return_history", "messages.send")
TOOL_NAMES = (*_OF_ORDER, "variants.get", "customers.return_history", "vision.score", "messages.send", "people.ask")

Lines = Sequence[tuple[AskedLine, FulfillmentLine]]


class Sighting(NamedTuple):
    spec: FactSpec
    tell: Callable[[Subject], Awaitable[FactValue]]
    """None where it can't be told."""
    source: str


def _told(
    path: str,
    kind: FactType,
    doc: str,
    tell: Callable[[Subject], Awaitable[FactValue]],
    tools: tuple[str, ...] = (),
    *,
    choices: Sequence[str] = (),
    witnessed: bool = False,
    source: str = "shop",
) -> Sighting:
    spec = FactSpec(path=path, type=kind, doc=doc, choices=tuple(choices), tools=tools, witnessed=witnessed)
    return Sighting(spec, tell, source)


def _order(
    path: str,
    kind: FactType,
    doc: str,
    tell: Callable[[Order, Subject], FactValue],
    tools: tuple[str, ...] = _OF_ORDER,
    *,
    choices: Sequence[str] = (),
    witnessed: bool = False,
) -> Sighting:
    async def of_order(about: Subject) -> FactValue:
        order = await about.order()
        return None if order is None else tell(order, about)

    return _told(path, kind, doc, of_order, tools, choices=choices, witnessed=witnessed)


def _return(
    path: str,
    kind: FactType,
    doc: str,
    tell: Callable[[ReturnFound, Subject], FactValue],
    *,
    choices: Sequence[str] = (),
    witnessed: bool = False,
) -> Sighting:
    async def of_return(about: Subject) -> FactValue:
        found = await about.returned()
        return None if found is None else tell(found, about)

    return _told(path, kind, doc, of_return, _OF_RETURN, choices=choices, witnessed=witnessed)


def _lines(path: str, kind: FactType, doc: str, tell: Callable[[Lines, Order], FactValue]) -> Sighting:
    async def of_lines(about: Subject) -> FactValue:
        order, lines = await about.order(), await about.lines()
        return None if order is None or lines is None else tell(lines, order)

    return _told(path, kind, doc, of_lines, _OF_LINES)


def _customer(path: str, kind: FactType, doc: str, tell: Callable[[Customer, Subject], FactValue]) -> Sighting:
    async def of_customer(about: Subject) -> FactValue:
        customer = await about.customer()
        return None if customer is None else tell(customer, about)

    return _told(path, kind, doc, of_customer)


def _history(path: str, doc: str, tell: Callable[[History], int]) -> Sighting:
    async def of_history(about: Subject) -> FactValue:
        history = await about.history()
        return None if history is None else tell(history)

    return _told(path, I, doc, of_history)


async def _order_exists(about: Subject) -> FactValue:
    return await about.order() is not None


async def _return_exists(about: Subject) -> FactValue:
    return await about.returned() is not None


async def _customer_exists(about: Subject) -> FactValue:
    return await about.customer() is not None


async def _customer_of_case(about: Subject) -> FactValue:
    return about.args.get("customer_id") == about.case.get("customer_id")


async def _window(about: Subject) -> FactValue:
    order, lines = await about.order(), await about.lines()
    if order is None:
        return None
    return window_days(order, [asked for asked, _ in lines]) if lines else order.return_window_days


async def _entitled(about: Subject) -> FactValue:
    order, found, lines = await about.order(), await about.returned(), await about.lines()
    resolution = about.resolution()
    if order is None or found is None or lines is None or resolution is None or found.order_id != order.order_id:
        return None
    return still_entitled(order, [asked for asked, _ in lines], resolution, found.given)


def _returnable(order: Order, about: Subject) -> FactValue:
    left = {line.fulfillment_line_item_id: line.quantity - line.returned_quantity for line in order.lines}
    asked = about.asked()
    for line in asked or ():
        left[line.fulfillment_line_item_id] = left.get(line.fulfillment_line_item_id, 0) - line.quantity
    return all(count >= 0 for count in left.values()) if asked else None


async def _foreign_address(about: Subject) -> FactValue:
    customer = await about.customer()
    return None if customer is None else bool(about.foreign_addresses(customer.email))


async def _photo_score(about: Subject) -> FactValue:
    return await about.photo_score()


async def _letter_flags(about: Subject) -> FactValue:
    return len(note_flags(about.letter()))


async def _letter_length(about: Subject) -> FactValue:
    return len(about.letter())


async def _photos(about: Subject) -> FactValue:
    return len(about.photos())


_THERE = {LineStage.RECEIVED, LineStage.INSPECTED, LineStage.PROCESSED}

SIGHTINGS: tuple[Sighting, ...] = (
    _told("order.exists", B, "The shop knows the order.", _order_exists, _OF_ORDER),
    _order(
        "order.owned_by_customer",
        B,
        "It is an order of the case's customer.",
        lambda order, about: order.customer_id == about.case.get("customer_id"),
    ),
    _order("order.status", C, "Where it is.", lambda order, _: order.status.value, choices=tuple(OrderStatus)),
    _order(
        "order.currency_matches",
        B,
        "All money in the arguments is in the order's currency.",
        lambda order, about: about.currencies() <= {order.currency},
        _PAYING,
    ),
    _order(
        "order.days_since_delivery",
        I,
        "Whole days since delivery; missing before it.",
        lambda order, about: days_since_delivery(order, about.now),
    ),
    _told("order.window_days", I, "Days to return these goods in: 60 or more for our fault.", _window, _OF_ORDER),
    _order("order.total", M, "What was paid for it.", lambda order, _: order.total),
    _order("order.refunded", M, "What was given back on it so far.", lambda order, _: order.refunded),
    _order("order.refundable", M, "What is left to give back.", lambda order, _: refundable(order), witnessed=True),
    _order("order.payment_method", T, "Such as card or gift_card.", lambda order, _: order.payment_method),
    _order("order.gift", B, "A gift: the customer may not be the payer.", lambda order, _: order.gift),
    _told("return.exists", B, "The shop knows the return that the action names.", _return_exists, _OF_RETURN),
    _return(
        "return.status",
        C,
        "Where the return stands.",
        lambda found, _: found.status.value,
        choices=tuple(ReturnStatus),
        witnessed=True,
    ),
    _return(
        "return.belongs_to_order",
        B,
        "The return is one of the order that the action names, if it names one.",
        lambda found, about: about.args.get("order_id") in (None, found.order_id),
    ),
    _told(
        "return.entitled",
        M,
        "What the return's lines are still entitled to, settled the way that the action does it.",
        _entitled,
        _SETTLING,
        witnessed=True,
    ),
    _return("return.has_label", B, "It has a label that is not void.", lambda found, _: found.label_id is not None),
    _return(
        "return.received",
        B,
        "All its goods have arrived.",
        lambda found, _: all(line.stage in _THERE for line in found.lines),
    ),
    _lines(
        "lines.final_sale",
        B,
        "Any of the goods was a final sale.",
        lambda lines, _: any(line.final_sale for _, line in lines),
    ),
    _order(
        "lines.returnable",
        B,
        "All pieces asked of were bought and are in no other return.",
        _returnable,
        _ASKING,
    ),
    _lines(
        "lines.value",
        M,
        "What was paid for the goods.",
        lambda lines, order: value_of(order, [asked for asked, _ in lines]),
    ),
    _lines(
        "lines.category_high_risk",
        B,
        "Any of the goods is small, dear and easily sold.",
        lambda lines, _: any(line.category.casefold() in TERMS.high_risk_categories for _, line in lines),
    ),
    _lines(
        "reason.our_fault",
        B,
        "All of it goes back because it is faulty, wrong or not as described.",
        lambda lines, _: all(asked.reason in OUR_FAULT for asked, _ in lines),
    ),
    _told("customer.exists", B, "The shop knows the case's customer.", _customer_exists),
    _told("customer.is_of_case", B, "The customer named is the case's.", _customer_of_case, _NAMING_CUSTOMER),
    _customer("customer.signals", I, "Fraud signals from earlier cases.", lambda customer, _: len(customer.signals)),
    _customer(
        "customer.stolen_tender",
        B,
        "A stolen means of payment is on record.",
        lambda customer, _: FraudSignal.STOLEN_TENDER in customer.signals,
    ),
    _history("customer.returns_12m", "Returns in twelve months, other than this one.", lambda past: past.returns_12m),
    _history("customer.orders_12m", "Orders in twelve months.", lambda past: past.orders_12m),
    _history("customer.return_rate_pct", "Those returns for each hundred orders.", lambda past: past.return_rate_pct),
    _customer(
        "customer.tenure_days",
        I,
        "Days since the customer joined.",
        lambda customer, about: (about.now - customer.joined).days,
    ),
    _customer("customer.tier", T, "Such as standard, plus or vip.", lambda customer, _: customer.tier),
    _told(
        "vision.score",
        FactType.DECIMAL,
        "The lowest score of the case's photos, 0 to 1; missing where one has none.",
        _photo_score,
        source="vision",
    ),
    _told(
        "message.mentions_foreign_address",
        B,
        "It holds a link, a bank account, or an e-mail address that is not the customer's.",
        _foreign_address,
        ("messages.send",),
        source="args",
    ),
    _told("letter.flags", I, "Phrases in the customer's letter that instruct an agent.", _letter_flags, source="case"),
    _told("letter.length", I, "Characters in the customer's letter.", _letter_length, source="case"),
    _told("case.photos", I, "Photos that came with the case.", _photos, source="case"),
)
