"""Which ways out a return has, and what speaks against it. Pure: the same records give the same answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from core.money import Money
from tools.returns.args import AskedLine
from tools.returns.entitlement import FIT, TERMS, Calculation, Terms, calculate, refundable, value_of
from tools.returns.letter_flags import note_flags
from tools.returns.models import OUR_FAULT, FraudSignal, FulfillmentLine, Order, OrderStatus, Resolution, Variant
from tools.returns.results import History

__all__ = [
    "Calculation",
    "Evaluation",
    "LineVerdict",
    "Option",
    "Signal",
    "calculate",
    "days_since_delivery",
    "evaluate",
    "note_flags",
    "our_fault",
    "window_days",
]

_CLAIMS = {
    FraudSignal.EMPTY_BOX: ("empty box", "box was empty", "nothing inside", "nothing in the box", "package was empty"),
    FraudSignal.INR_CLAIM: (
        *("never arrived", "not arrived", "didn't arrive", "never came", "never received", "did not receive"),
        *("nobody here has seen", "says delivered but", "claims to have left"),
    ),
    FraudSignal.COUNTERFEIT: ("counterfeit", "it is a fake", "it's a fake", "not genuine", "not authentic"),
}
_SHIFTING = frozenset({Resolution.REFUND_ORIGINAL, Resolution.STORE_CREDIT, Resolution.EXCHANGE})


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Signal(_Frozen):
    signal: FraudSignal
    evidence: str


class LineVerdict(_Frozen):
    fulfillment_line_item_id: str
    eligible: bool
    reasons: tuple[str, ...]


class Option(_Frozen):
    resolution: Resolution
    eligible: bool
    entitled: Money
    reasons: tuple[str, ...]


class Evaluation(_Frozen):
    order_id: str
    eligible: bool
    """All lines can go back."""
    recommended: Resolution
    """What the customer wants if that is open, else the best that is; advice, policy decides."""
    days_since_delivery: int | None
    window_days: int
    our_fault: bool
    value: Money
    lines: tuple[LineVerdict, ...]
    options: tuple[Option, ...]
    signals: tuple[Signal, ...]
    flags: tuple[str, ...]
    """Phrases in the customer's notes that read like instructions to an agent."""


def days_since_delivery(order: Order, now: datetime) -> int | None:
    """Whole days; None before delivery."""
    return None if order.delivered_at is None else (now - order.delivered_at).days


def our_fault(lines: Sequence[AskedLine]) -> bool:
    return all(line.reason in OUR_FAULT for line in lines)


def window_days(order: Order, lines: Sequence[AskedLine], terms: Terms = TERMS) -> int:
    """Days after delivery in which these lines can go back: longer when the fault is ours."""
    return max(order.return_window_days, terms.fault_window_days) if our_fault(lines) else order.return_window_days


def evaluate(
    order: Order,
    history: History,
    lines: Sequence[AskedLine],
    now: datetime,
    *,
    variants: Mapping[str, Variant] | None = None,
    wants: Resolution | None = None,
    terms: Terms = TERMS,
) -> Evaluation:
    """`variants` holds those of the order's lines, as far as the shop still knows them."""
    on_shelf = variants or {}
    ordered = {line.fulfillment_line_item_id: line for line in order.lines}
    signals = _signals(order, history, lines, now, terms)
    verdicts = tuple(_judge_line(order, ordered, lines, asked, now, terms) for asked in lines)
    eligible = all(verdict.eligible for verdict in verdicts)
    options = tuple(
        _option(resolution, order, ordered, lines, eligible, bool(signals), on_shelf, terms)
        for resolution in Resolution
        if resolution is not Resolution.DENY
    )
    return Evaluation(
        order_id=order.order_id,
        eligible=eligible,
        recommended=_recommend(options, wants),
        days_since_delivery=days_since_delivery(order, now),
        window_days=window_days(order, lines, terms),
        our_fault=our_fault(lines),
        value=value_of(order, lines),
        lines=verdicts,
        options=options,
        signals=signals,
        flags=tuple(dict.fromkeys(flag for line in lines for flag in note_flags(line.customer_note))),
    )


def _judge_line(
    order: Order,
    ordered: Mapping[str, FulfillmentLine],
    lines: Sequence[AskedLine],
    asked: AskedLine,
    now: datetime,
    terms: Terms,
) -> LineVerdict:
    against: list[str] = []
    item = asked.fulfillment_line_item_id
    line = ordered.get(item)
    days = days_since_delivery(order, now)
    window = window_days(order, [asked], terms)
    if line is None:
        against.append("it is not on this order")
    else:
        returnable = line.quantity - line.returned_quantity
        total = sum(other.quantity for other in lines if other.fulfillment_line_item_id == item)
        if returnable <= 0:
            against.append("it was returned already")
        elif total > returnable:
            against.append(f"{total} asked of, {returnable} of {line.quantity} bought can still be returned")
        if line.final_sale and asked.reason not in OUR_FAULT:
            against.append("it was a final sale")
    if order.status is OrderStatus.CANCELED:
        against.append("the order was cancelled")
    elif days is None:
        against.append("it was not delivered yet")
    elif days > window:
        against.append(f"delivered {days} days ago, the window is {window} days")
    within = () if days is None else (f"delivered {days} days ago, inside the window of {window} days",)
    return LineVerdict(fulfillment_line_item_id=item, eligible=not against, reasons=tuple(against) or within)


def _option(
    resolution: Resolution,
    order: Order,
    ordered: Mapping[str, FulfillmentLine],
    lines: Sequence[AskedLine],
    eligible: bool,
    suspicious: bool,
    variants: Mapping[str, Variant],
    terms: Terms,
) -> Option:
    entitled = calculate(order, lines, resolution, terms=terms).entitled
    known = [
        (line, ordered[line.fulfillment_line_item_id]) for line in lines if line.fulfillment_line_item_id in ordered
    ]
    against: list[str] = []
    if not eligible:
        against.append("not every line can go back")
    elif resolution in {Resolution.REFUND_ORIGINAL, Resolution.STORE_CREDIT} and refundable(order).amount_minor == 0:
        against.append("nothing of the order is left to give back")
    elif resolution is Resolution.REPLACE:
        if not our_fault(lines):
            against.append("the goods are not faulty")
        if any(_stock(variants, line) < asked.quantity for asked, line in known):
            against.append("not enough of it is on the shelf")
    elif resolution is Resolution.RETURNLESS_REFUND:
        if suspicious:
            against.append("there are fraud signals")
        if not all(_not_worth_the_way(variants.get(line.variant_id), line, asked) for asked, line in known):
            against.append("the goods are worth their way back")
    reasons = tuple(against) or (f"entitled to {entitled}",)
    return Option(resolution=resolution, eligible=not against, entitled=entitled, reasons=reasons)


def _stock(variants: Mapping[str, Variant], line: FulfillmentLine) -> int:
    variant = variants.get(line.variant_id)
    return variant.stock if variant else 0


def _not_worth_the_way(variant: Variant | None, line: FulfillmentLine, asked: AskedLine) -> bool:
    least = variant.returnless_below if variant else None
    return (
        least is not None
        and least.currency == line.unit_price.currency
        and line.unit_price.times(asked.quantity) < least
    )


def _recommend(options: Sequence[Option], wants: Resolution | None) -> Resolution:
    open_ = [option.resolution for option in options if option.eligible]
    # Goods that nobody wants back come first, except where the customer asked for goods.
    goods = {Resolution.EXCHANGE, Resolution.REPLACE, Resolution.STORE_CREDIT}
    if Resolution.RETURNLESS_REFUND in open_ and wants not in goods:
        return Resolution.RETURNLESS_REFUND
    if wants in open_ and wants is not None:
        return wants
    return next((resolution for resolution in open_ if resolution in _SHIFTING), Resolution.DENY)


def _signals(
    order: Order, history: History, lines: Sequence[AskedLine], now: datetime, terms: Terms
) -> tuple[Signal, ...]:
    found = [Signal(signal=signal, evidence="on record from an earlier case") for signal in history.signals]
    if history.returns_12m >= terms.serial_returns and history.return_rate_pct >= terms.serial_rate_pct:
        found.append(
            Signal(
                signal=FraudSignal.SERIAL_RETURNER,
                evidence=f"{history.returns_12m} returns on {history.orders_12m} orders in twelve months",
            )
        )
    days = days_since_delivery(order, now)
    for line in order.lines:
        asked = [a for a in lines if a.fulfillment_line_item_id == line.fulfillment_line_item_id]
        total = sum(a.quantity for a in asked)
        if total > line.quantity:
            found.append(
                Signal(
                    signal=FraudSignal.QTY_OVERSTATED,
                    evidence=f"{total} of {line.title} asked of, {line.quantity} bought",
                )
            )
        late = days is not None and order.return_window_days * 7 <= days * 10  # the last 30% of the window
        if late and line.category.casefold() in terms.worn_categories and any(_second_thought(a) for a in asked):
            found.append(
                Signal(
                    signal=FraudSignal.WARDROBING,
                    evidence=f"{line.title} ({line.category}) kept {days} of {order.return_window_days} days",
                )
            )
    for asked_line in lines:
        note = asked_line.customer_note.casefold().replace("’", "'")
        for signal, phrases in _CLAIMS.items():
            phrase = next((phrase for phrase in phrases if phrase in note), None)
            if phrase and order.delivered_at is not None:
                found.append(
                    Signal(
                        signal=signal, evidence=f"'{phrase}', while the carrier delivered on {order.delivered_at:%F}"
                    )
                )
    return tuple({signal.signal: signal for signal in reversed(found)}.values())[::-1]


def _second_thought(asked: AskedLine) -> bool:
    return asked.reason not in OUR_FAULT and asked.reason not in FIT
