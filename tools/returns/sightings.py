"""Every fact of the returns policy: its name and type, the tools it can be told for, and how it is told."""

from __future__ import annotations

from core.money import Money
from core.verdicts import FactType, FactValue
from tools.returns.entitlement import TERMS, refundable, still_entitled, value_of, waived
from tools.returns.models import OUR_FAULT, FraudSignal, Order, OrderStatus, PaymentMethod, ReturnStatus, Tier
from tools.returns.rules import days_since_delivery, note_flags, window_days
from tools.returns.subject import Subject
from tools.returns.telling import (
    ASKING,
    NAMING_CUSTOMER,
    OF_LINES,
    OF_ORDER,
    OF_RETURN,
    PAYING,
    SETTLING,
    Sighting,
    of_the_customer,
    of_the_history,
    of_the_lines,
    of_the_order,
    of_the_return,
    told,
)

B, I, M, T, C = FactType.BOOLEAN, FactType.INTEGER, FactType.MONEY, FactType.TEXT, FactType.CHOICE  # noqa: E741


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
    return still_entitled(order.order, [asked for asked, _ in lines], resolution, found.given)


async def _contradicts_form(about: Subject) -> FactValue:
    lines, form = await about.lines(), about.reasons_of_form()
    if lines is None:
        return None
    return any(form.get(asked.fulfillment_line_item_id, asked.reason) != asked.reason for asked, _ in lines)


async def _exchange_value(about: Subject) -> FactValue:
    order, swaps = await about.order(), await about.swaps()
    if order is None or not swaps or any(swap.sent.price.currency != order.currency for swap in swaps):
        return None
    return Money.total((swap.sent.price.times(swap.quantity) for swap in swaps), order.currency)


async def _same_product(about: Subject) -> FactValue:
    swaps = await about.swaps()
    return (
        None
        if not swaps
        else all(swap.was is not None and swap.was.product_id == swap.sent.product_id for swap in swaps)
    )


def _under_return(order: Order) -> Money:
    return Money.total((line.unit_price.times(line.returned_quantity) for line in order.lines), order.currency)


def _returnable(order: Order, about: Subject) -> FactValue:
    left = {line.fulfillment_line_item_id: line.quantity - line.returned_quantity for line in order.lines}
    asked = about.asked()
    for line in asked or ():
        left[line.fulfillment_line_item_id] = left.get(line.fulfillment_line_item_id, 0) - line.quantity
    return all(count >= 0 for count in left.values()) if asked else None


def _place(address: str) -> str:
    return "".join(letter for letter in address.casefold() if letter.isalnum())


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


async def _photo_of_case(about: Subject) -> FactValue:
    return about.args.get("photo") in about.photos()


SIGHTINGS: tuple[Sighting, ...] = (
    told("order.exists", B, "The shop knows the order.", _order_exists, OF_ORDER),
    of_the_order(
        "order.owned_by_customer",
        B,
        "It is an order of the case's customer.",
        lambda order, about: order.customer_id == about.case.get("customer_id"),
    ),
    of_the_order("order.status", C, "Where it is.", lambda order, _: order.status.value, choices=tuple(OrderStatus)),
    of_the_order(
        "order.currency_matches",
        B,
        "All money in the arguments is in the order's currency.",
        lambda order, about: about.currencies() <= {order.currency},
        PAYING,
    ),
    of_the_order(
        "order.days_since_delivery",
        I,
        "Whole days since delivery; missing before it.",
        lambda order, about: days_since_delivery(order, about.now),
    ),
    told("order.window_days", I, "Days to return these goods in: 60 or more for our fault.", _window, OF_ORDER),
    of_the_order("order.total", M, "What was paid for it.", lambda order, _: order.total),
    of_the_order("order.refunded", M, "What was given back on it so far.", lambda order, _: order.refunded),
    of_the_order(
        "order.refundable", M, "What is left to give back.", lambda order, _: refundable(order), witnessed=True
    ),
    of_the_order(
        "order.given_outside_returns",
        M,
        "Of what was given back, the part that belongs to no return.",
        lambda order, _: order.given_outside_returns,
    ),
    of_the_order(
        "order.value_under_return",
        M,
        "What was paid for all its pieces that are in a return, in this one or another.",
        lambda order, _: _under_return(order),
    ),
    of_the_order(
        "order.plain_window_days",
        I,
        "Days to return any goods in, whatever the reason.",
        lambda order, _: order.return_window_days,
    ),
    of_the_order(
        "order.payment_method",
        C,
        "What it was paid with.",
        lambda order, _: order.payment_method.value,
        choices=tuple(PaymentMethod),
    ),
    of_the_order(
        "order.card",
        T,
        "The means of payment as its provider names it, whoever pays with it; the customer where it has no name.",
        lambda order, _: order.payment_fingerprint or order.customer_id,
    ),
    of_the_order("order.gift", B, "A gift: the customer may not be the payer.", lambda order, _: order.gift),
    told("return.exists", B, "The shop knows the return that the action names.", _return_exists, OF_RETURN),
    of_the_return(
        "return.status",
        C,
        "Where the return stands.",
        lambda found, _: found.status.value,
        choices=tuple(ReturnStatus),
        witnessed=True,
    ),
    of_the_return(
        "return.belongs_to_order",
        B,
        "The return is one of the order that the action names, if it names one.",
        lambda found, about: about.args.get("order_id") in (None, found.order_id),
    ),
    told(
        "return.entitled",
        M,
        "What the return's lines are still entitled to, settled the way that the action does it.",
        _entitled,
        SETTLING,
        witnessed=True,
    ),
    of_the_return("return.given", M, "Money, credit and the worth of goods given for it so far.", lambda f, _: f.given),
    of_the_return(
        "return.kept",
        B,
        "Some of its goods stay with the customer.",
        lambda found, _: any(line.kept for line in found.lines),
    ),
    of_the_return(
        "return.has_label", B, "It has a label that is not void.", lambda found, _: found.label_id is not None
    ),
    of_the_return(
        "return.received",
        B,
        "All its goods have arrived; what the customer keeps, or what is missing, has not.",
        lambda found, _: all(line.came_back for line in found.lines),
    ),
    of_the_lines(
        "lines.final_sale",
        B,
        "Any of the goods was a final sale.",
        lambda lines, _: any(line.final_sale for _, line in lines),
    ),
    of_the_order(
        "lines.returnable",
        B,
        "All pieces asked of were bought and are in no other return.",
        _returnable,
        ASKING,
    ),
    of_the_lines(
        "lines.value",
        M,
        "What was paid for the goods.",
        lambda lines, order: value_of(order, [asked for asked, _ in lines]),
    ),
    of_the_lines(
        "lines.category_high_risk",
        B,
        "Any of the goods is small, dear and easily sold.",
        lambda lines, _: any(line.category.casefold() in TERMS.high_risk_categories for _, line in lines),
    ),
    of_the_lines(
        "reason.our_fault",
        B,
        "All of it goes back because it is faulty, wrong or not as described.",
        lambda lines, _: all(asked.reason in OUR_FAULT for asked, _ in lines),
    ),
    of_the_lines(
        "reason.fault_claimed",
        B,
        "Some of it goes back because it is said to be faulty, wrong or not as described.",
        lambda lines, _: any(asked.reason in OUR_FAULT for asked, _ in lines),
    ),
    of_the_lines(
        "reason.fees_waived",
        M,
        "What the customer would bear on a refund if nothing of it were our fault.",
        lambda lines, order: waived(order, [asked for asked, _ in lines]),
    ),
    told(
        "reason.contradicts_form",
        B,
        "The customer's form gives another reason for one of the lines.",
        _contradicts_form,
        OF_LINES,
    ),
    told("exchange.value", M, "List prices of the goods that are sent.", _exchange_value, ("exchanges.create",)),
    told(
        "exchange.same_product",
        B,
        "All that is sent is the product that comes back, in this or another variant.",
        _same_product,
        ("exchanges.create",),
    ),
    told("customer.exists", B, "The shop knows the case's customer.", _customer_exists),
    told("customer.is_of_case", B, "The customer named is the case's.", _customer_of_case, NAMING_CUSTOMER),
    of_the_customer(
        "customer.signals", I, "Fraud signals from earlier cases.", lambda customer, _: len(customer.signals)
    ),
    of_the_customer(
        "customer.stolen_tender",
        B,
        "A stolen means of payment is on record.",
        lambda customer, _: FraudSignal.STOLEN_TENDER in customer.signals,
    ),
    of_the_history(
        "customer.returns_12m", "Returns in twelve months, other than this one.", lambda past: past.returns_12m
    ),
    of_the_history("customer.orders_12m", "Orders in twelve months.", lambda past: past.orders_12m),
    of_the_history(
        "customer.return_rate_pct", "Those returns for each hundred orders.", lambda past: past.return_rate_pct
    ),
    of_the_customer(
        "customer.tenure_days",
        I,
        "Days since the customer joined.",
        lambda customer, about: (about.now - customer.joined).days,
    ),
    of_the_customer(
        "customer.address",
        T,
        "Where the customer lives, without case, signs and spaces; the customer where there is no address.",
        lambda customer, _: f"{_place(customer.address) or customer.customer_id}/{customer.country}",
    ),
    of_the_customer(
        "customer.tier",
        C,
        "What the customer is to the shop.",
        lambda customer, _: customer.tier.value,
        choices=tuple(Tier),
    ),
    told(
        "vision.score",
        FactType.DECIMAL,
        "The lowest score of the case's photos, 0 to 1; missing where one has none.",
        _photo_score,
        source="vision",
    ),
    told(
        "message.mentions_foreign_address",
        B,
        "What the customer gets to read leads to a site, a bank account, or an e-mail address not theirs.",
        _foreign_address,
        ("messages.send", "returns.decline"),
        source="args",
    ),
    told("letter.flags", I, "Phrases in the customer's letter that instruct an agent.", _letter_flags, source="case"),
    told("letter.length", I, "Characters in the customer's letter.", _letter_length, source="case"),
    told(
        "photo.of_case",
        B,
        "The photo named is one that came with the case.",
        _photo_of_case,
        ("vision.score",),
        source="case",
    ),
    told("case.photos", I, "Photos that came with the case.", _photos, source="case"),
)
