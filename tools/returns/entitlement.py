"""What a return is worth to the customer, line by line, with a reason for each number. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from core.money import Money
from tools.returns.args import AskedLine
from tools.returns.models import OUR_FAULT, FulfillmentLine, Order, Reason, Resolution

FIT = frozenset({Reason.SIZE_TOO_LARGE, Reason.SIZE_TOO_SMALL})
GOODS_FOR_GOODS = frozenset({Resolution.EXCHANGE, Resolution.REPLACE})


@dataclass(frozen=True)
class Terms:
    """What the shop promises and charges. Amounts in minor units by currency; none listed: not charged."""

    fault_window_days: int = 60
    """For goods that are defective, wrong or not as described, if the order's own window is shorter."""
    restocking_pct: int = 10
    """Of the goods' worth, when the customer changed their mind; not for a wrong size."""
    return_shipping: Mapping[str, int] = field(
        default_factory=lambda: {"USD": 595, "EUR": 495, "GBP": 450, "JPY": 800, "KWD": 1_750}
    )
    serial_returns: int = 6
    serial_rate_pct: int = 60
    worn_categories: frozenset[str] = frozenset(
        {"apparel", "clothing", "costumes", "dresses", "footwear", "formalwear", "outerwear", "shoes"}
    )
    """Bought to be worn once, more than other goods."""
    high_risk_categories: frozenset[str] = frozenset(
        {"cameras", "electronics", "jewellery", "jewelry", "laptops", "luxury", "phones", "watches"}
    )
    """Small, dear and easily sold."""


TERMS = Terms()


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class LineEntitlement(_Frozen):
    fulfillment_line_item_id: str
    quantity: int
    """Pieces that count: never above what was bought."""
    value: Money
    fee: Money
    entitled: Money
    reasons: tuple[str, ...]


class Fee(_Frozen):
    kind: str
    """`restocking` or `return_shipping`."""
    amount: Money
    reason: str


class Calculation(_Frozen):
    order_id: str
    resolution: Resolution
    lines: tuple[LineEntitlement, ...]
    value: Money
    """What was paid for the goods."""
    shipping: Money
    """Outbound shipping that goes back too."""
    fees: tuple[Fee, ...]
    entitled: Money
    """Value and shipping less fees; never above `refundable`."""
    refundable: Money
    reasons: tuple[str, ...]


def refundable(order: Order) -> Money:
    """What is left to give back; never below zero."""
    left = order.total - order.refunded
    return max(left, Money.zero(order.currency))


def value_of(order: Order, lines: Sequence[AskedLine]) -> Money:
    """What was paid for the pieces asked of, as far as they were bought."""
    return Money.total((line.unit_price.times(count) for line, _, count in _bought(order, lines)), order.currency)


def waived(order: Order, lines: Sequence[AskedLine]) -> Money:
    """What the customer would bear, and does not, because the fault is said to be ours."""
    plain = [line.model_copy(update={"reason": Reason.UNWANTED}) for line in lines]
    nothing = Money.zero(order.currency)
    told, bare = (still_entitled(order, each, Resolution.REFUND_ORIGINAL, nothing) for each in (lines, plain))
    return max(told - bare, nothing)


def _bought(order: Order, lines: Sequence[AskedLine]) -> list[tuple[FulfillmentLine, AskedLine, int]]:
    """Each asked line with the order's line and the pieces that count, however the asking is split up."""
    left = {line.fulfillment_line_item_id: line.quantity for line in order.lines}
    by_id = {line.fulfillment_line_item_id: line for line in order.lines}
    found = []
    for asked in lines:
        line = by_id.get(asked.fulfillment_line_item_id)
        if line is None:
            continue
        count = min(asked.quantity, left[line.fulfillment_line_item_id])
        left[line.fulfillment_line_item_id] -= count
        found.append((line, asked, count))
    return found


def calculate(order: Order, lines: Sequence[AskedLine], resolution: Resolution, *, terms: Terms = TERMS) -> Calculation:
    """What these lines are entitled to. Lines that are not on the order are worth nothing."""
    zero = Money.zero(order.currency)
    bought = _bought(order, lines)
    pays = resolution in {Resolution.REFUND_ORIGINAL, Resolution.STORE_CREDIT, Resolution.RETURNLESS_REFUND}
    found = tuple(_line(line, asked, count, resolution, pays, terms) for line, asked, count in bought)
    reasons = [] if len(bought) == len(lines) else ["some lines are not on this order and are worth nothing"]

    fees = []
    restocking = Money.total((line.fee for line in found), order.currency)
    if restocking > zero:
        fees.append(Fee(kind="restocking", amount=restocking, reason="the customer changed their mind"))
    postage = terms.return_shipping.get(order.currency, 0)
    if postage and resolution is Resolution.REFUND_ORIGINAL and any(a.reason not in OUR_FAULT for _, a, _ in bought):
        fees.append(
            Fee(
                kind="return_shipping",
                amount=Money(amount_minor=postage, currency=order.currency),
                reason="not our fault, so the customer bears the way back",
            )
        )

    shipping = zero
    if pays and _all_of_it(order, bought) and all(a.reason in OUR_FAULT for _, a, _ in bought):
        shipping = order.shipping_paid
        reasons.append("the whole order goes back for our fault, so shipping is given back too")

    value = Money.total((line.value for line in found), order.currency)
    if not pays:
        reasons.append("goods for goods" if resolution in GOODS_FOR_GOODS else "nothing is given back")
        return Calculation(
            order_id=order.order_id,
            resolution=resolution,
            lines=found,
            value=value,
            shipping=zero,
            fees=(),
            entitled=zero,
            refundable=refundable(order),
            reasons=tuple(reasons),
        )
    entitled = max(zero, value + shipping - Money.total((fee.amount for fee in fees), order.currency))
    if entitled > refundable(order):
        reasons.append(f"capped: only {refundable(order)} of the order is left to give back")
    return Calculation(
        order_id=order.order_id,
        resolution=resolution,
        lines=found,
        value=value,
        shipping=shipping,
        fees=tuple(fees),
        entitled=min(entitled, refundable(order)),
        refundable=refundable(order),
        reasons=tuple(reasons),
    )


def still_entitled(order: Order, lines: Sequence[AskedLine], resolution: Resolution, given: Money) -> Money:
    """What is left of an entitlement after what was `given` for these lines; for an exchange, in goods."""
    calculation = calculate(order, lines, resolution)
    worth = calculation.value
    if resolution not in GOODS_FOR_GOODS:
        worth += calculation.shipping - Money.total((fee.amount for fee in calculation.fees), order.currency)
    # Money that was given lowered `refundable` too, so it comes off the uncapped worth.
    return min(max(worth - given, Money.zero(order.currency)), refundable(order))


def _line(
    line: FulfillmentLine, asked: AskedLine, count: int, resolution: Resolution, pays: bool, terms: Terms
) -> LineEntitlement:
    zero = Money.zero(line.unit_price.currency)
    value = line.unit_price.times(count)
    reasons = [f"{count} x {line.unit_price} paid"]
    if count < asked.quantity:
        reasons.append(f"{asked.quantity} asked of, {count} bought")
    fee = zero
    if asked.reason in OUR_FAULT:
        reasons.append(f"no fee: {asked.reason} is our fault")
    elif resolution is Resolution.REFUND_ORIGINAL and asked.reason not in FIT:
        fee = value.times(Decimal(terms.restocking_pct) / 100)
        reasons.append(f"restocking {terms.restocking_pct}%: {asked.reason}")
    return LineEntitlement(
        fulfillment_line_item_id=line.fulfillment_line_item_id,
        quantity=count,
        value=value,
        fee=fee,
        entitled=value - fee if pays else zero,
        reasons=tuple(reasons),
    )


def _all_of_it(order: Order, bought: Sequence[tuple[FulfillmentLine, AskedLine, int]]) -> bool:
    return sum(count for _, _, count in bought) == sum(line.quantity for line in order.lines)
