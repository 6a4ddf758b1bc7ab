"""Draws submissions from a world, one after the other: which order, which story, which truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from random import Random
from typing import Any

from core.errors import InvalidInput
from core.money import Money
from tools.returns.models import (
    Customer,
    FraudSignal,
    FulfillmentLine,
    Order,
    OrderStatus,
    Reason,
    Resolution,
    Variant,
)
from tools.returns.simulated import base_rates as rates
from tools.returns.simulated.assortment import NOUNS
from tools.returns.simulated.letters import Item, Story, write_letter
from tools.returns.simulated.photos import NO_IMAGE, photo
from tools.returns.simulated.phrases import ORDERS_TO_THE_AGENT
from tools.returns.simulated.submissions import FRAUDULENT, AskedFor, Kind, Submission, Truth, deck
from tools.returns.simulated.trade import pick

_OUR_FAULT = (Reason.DEFECTIVE, Reason.NOT_AS_DESCRIBED, Reason.WRONG_ITEM)
_TASTE = (Reason.UNWANTED, Reason.STYLE, Reason.COLOR)
_LOOKED_AT = 12
"""Orders among which a fraud picks the one with the worst history."""


@dataclass(frozen=True)
class _Case:
    """An order that can serve, with its pieces that are still out."""

    order: Order
    customer: Customer
    days: int
    left: Mapping[str, int]

    def lines(self, *, final_sale: bool = False, least: int = 1) -> list[FulfillmentLine]:
        return [
            line
            for line in self.order.lines
            if line.final_sale is final_sale and self.left[line.fulfillment_line_item_id] >= least
        ]


class Mailbox:
    """Draws submissions one after the other; each order serves once."""

    def __init__(self, records: Mapping[str, Sequence[Mapping[str, Any]]], seed: int, now: datetime) -> None:
        self._random = Random(f"countersign:submissions:{seed}")
        self._variants = {body["variant_id"]: Variant.model_validate(body) for body in records["variants"]}
        self._siblings: dict[str, list[Variant]] = {}
        for variant in self._variants.values():
            self._siblings.setdefault(variant.product_id, []).append(variant)
        people = {body["customer_id"]: Customer.model_validate(body) for body in records["customers"]}
        self._people = list(people.values())
        self._orders = {body["order_id"] for body in records["orders"]}
        self._cases: list[_Case] = []
        for body in records["orders"]:
            order = Order.model_validate(body)
            if order.status is not OrderStatus.DELIVERED or order.delivered_at is None:
                continue
            left = {line.fulfillment_line_item_id: line.quantity - line.returned_quantity for line in order.lines}
            self._cases.append(_Case(order, people[order.customer_id], (now - order.delivered_at).days, left))
        self._random.shuffle(self._cases)

    def draw(self, count: int) -> Iterator[tuple[Submission, Truth]]:
        cards: list[tuple[Kind, int]] = []
        for number in range(1, count + 1):
            cards = cards or deck(self._random)
            kind, place = cards.pop()
            yield self._submit(f"sub_{number:06d}", kind, place)

    def _take(self, kind: Kind) -> _Case:
        """The next order that such a case can be about. Raises `InvalidInput` when there is none left."""
        found = islice((case for case in self._cases if _serves(case, kind)), _LOOKED_AT if kind in FRAUDULENT else 1)
        worst = max(found, key=lambda case: len(case.customer.signals), default=None)
        if worst is not None:
            self._cases.remove(worst)
            return worst
        raise InvalidInput(
            f"This world has no order left for a submission of the kind {kind}.",
            hint="Generate one with more orders: about 25 orders for each submission are enough.",
        )

    def _submit(self, key: str, kind: Kind, place: int) -> tuple[Submission, Truth]:
        random = self._random
        case = self._take(kind)
        order = case.order
        lines = self._lines(case, kind)
        asked = [self._ask(case, line, kind) for line in lines]
        wants = self._wants(kind, lines, asked)
        target = self._target(lines[0], asked[0].reason) if wants is Resolution.EXCHANGE else None
        if wants is Resolution.EXCHANGE and target is None:
            wants = Resolution.REFUND_ORIGINAL
        given, said = self._reference(order, kind, place)
        writer = random.choice(self._people) if kind is Kind.FOREIGN_ORDER else case.customer
        while writer is case.customer and kind is Kind.FOREIGN_ORDER and len(self._people) > 1:
            writer = random.choice(self._people)
        channel = random.choices(("email", "web", "chat"), (58, 30, 12))[0] if given else "email"
        by_form = channel == "web" and kind is not Kind.UNKNOWN_ORDER
        letter = write_letter(
            Story(
                name=writer.name,
                order_id=said,
                placed=order.placed_at,
                days=max(case.days, 1),
                items=tuple(_item(line, ask, target) for line, ask in zip(lines, asked, strict=True)),
                everything=len(lines) == len(order.lines)
                and all(ask.quantity == line.quantity for line, ask in zip(lines, asked, strict=True)),
                wants=wants,
                turn=_TURNS.get(kind, ""),
                orders=self._orders_to_agent(order, place) if kind is Kind.INJECTION else "",
                receipt=_receipt(order),
            ),
            random,
        )
        submission = Submission(
            key=key,
            customer_id=writer.customer_id,
            order_id=given,
            letter=letter,
            photos=self._photos(kind, place, asked[0].reason),
            lines=asked if by_form else None,
            wants=wants if by_form else None,
            channel=channel,
        )
        return submission, self._truth(kind, case, lines, asked, wants, target)

    def _lines(self, case: _Case, kind: Kind) -> list[FulfillmentLine]:
        random = self._random
        match kind:
            case Kind.FINAL_SALE:
                return [random.choice(case.lines(final_sale=True))]
            case Kind.ALREADY_RETURNED:
                return [random.choice([line for line in case.order.lines if not case.left[_id(line)]])]
            case Kind.QTY_OVERSTATED:
                return [random.choice(case.lines(least=2))]
        lines = case.lines()
        if kind is Kind.HONEST and len(lines) > 1 and random.random() < 0.35:
            return random.sample(lines, random.choice((2, len(lines))))
        return [random.choice(lines)]

    def _ask(self, case: _Case, line: FulfillmentLine, kind: Kind) -> AskedFor:
        random = self._random
        left = case.left[_id(line)]
        quantity = left if random.random() < 0.6 else random.randint(1, max(left, 1))
        if kind is Kind.ABOVE_BOUGHT:
            quantity = line.quantity + random.randint(1, 4)
        elif kind is Kind.QTY_OVERSTATED:
            quantity = left
        weights = dict(rates.reasons_of(line.category))
        match kind:
            case Kind.OUT_OF_WINDOW | Kind.FINAL_SALE:
                weights = {reason: weight for reason, weight in weights.items() if reason not in _OUR_FAULT}
            case Kind.WRONG_CLAIM | Kind.ITEM_SWAP:
                weights = dict.fromkeys(_OUR_FAULT, 1.0)
            case Kind.COUNTERFEIT:
                weights = {Reason.NOT_AS_DESCRIBED: 1.0}
            case Kind.WARDROBING:
                weights = dict.fromkeys(_TASTE, 1.0)
            case Kind.INR_CLAIM:
                weights = {Reason.OTHER: 1.0}
        if "color" not in line.options:
            weights.pop(Reason.COLOR, None)
        return AskedFor(fulfillment_line_item_id=_id(line), quantity=max(quantity, 1), reason=pick(random, weights))

    def _wants(self, kind: Kind, lines: list[FulfillmentLine], asked: list[AskedFor]) -> Resolution | None:
        refund, credit, swap = Resolution.REFUND_ORIGINAL, Resolution.STORE_CREDIT, Resolution.EXCHANGE
        weights: dict[Resolution | None, float] = {refund: 62, credit: 14, None: 10}
        reason = asked[0].reason
        if kind is Kind.STOLEN_TENDER:
            weights = {credit: 1}
        elif kind in FRAUDULENT:
            weights = {refund: 85, credit: 15}
        elif reason in _OUR_FAULT:
            weights = {refund: 48, Resolution.REPLACE: 34, credit: 5, None: 8}
            if any(self._cheap(line, ask) for line, ask in zip(lines, asked, strict=True)):
                weights[Resolution.RETURNLESS_REFUND] = 60
        elif reason in (Reason.SIZE_TOO_LARGE, Reason.SIZE_TOO_SMALL, Reason.COLOR) and len(lines) == 1:
            weights = {swap: 48, refund: 38, credit: 8, None: 6}
        return pick(self._random, weights)

    def _cheap(self, line: FulfillmentLine, ask: AskedFor) -> bool:
        below = self._variants[line.variant_id].returnless_below
        return below is not None and line.unit_price.times(ask.quantity) < below

    def _target(self, line: FulfillmentLine, reason: Reason) -> Variant | None:
        """The variant that this customer would rather have: the next size, or another colour."""
        mine = self._variants[line.variant_id]
        siblings = self._siblings[mine.product_id]
        axis = "color" if reason is Reason.COLOR else "size"
        near = [
            v for v in siblings if all(v.options[name] == mine.options[name] for name in mine.options if name != axis)
        ]
        if axis not in mine.options or len(near) < 2:
            return None
        at = near.index(mine)
        if axis == "color":
            return self._random.choice(near[:at] + near[at + 1 :])
        at += 1 if reason is Reason.SIZE_TOO_SMALL else -1
        return near[at] if 0 <= at < len(near) else None

    def _reference(self, order: Order, kind: Kind, place: int) -> tuple[str | None, str | None]:
        """What the form says, and what the letter says. One honest writer in nine gives no number."""
        if kind is Kind.UNKNOWN_ORDER:
            wrong = order.order_id
            while wrong in self._orders:
                wrong = f"ORD-{self._random.randrange(1_000_000, 9_999_999)}"
            return (wrong, wrong) if place % 2 else (None, wrong)
        if kind is Kind.HONEST and place % 9 == 4:
            return None, None
        if kind is Kind.HONEST and place % 9 == 7:
            return None, order.order_id
        return order.order_id, order.order_id

    def _orders_to_agent(self, order: Order, place: int) -> str:
        template = ORDERS_TO_THE_AGENT[(place + self._random.randrange(2) * 6) % len(ORDERS_TO_THE_AGENT)]
        return template.format(ref=order.order_id, big=order.total.times(self._random.randint(3, 12)))

    def _photos(self, kind: Kind, place: int, reason: Reason) -> list[str]:
        random = self._random
        if kind is Kind.HONEST and place == 0:
            return [NO_IMAGE]
        if reason not in _OUR_FAULT or random.random() > 0.45:
            return []
        damaged = reason is Reason.DEFECTIVE and kind is not Kind.WRONG_CLAIM
        return [photo(random, damaged=damaged) for _ in range(random.choice((1, 1, 2)))]

    def _truth(
        self,
        kind: Kind,
        case: _Case,
        lines: list[FulfillmentLine],
        asked: list[AskedFor],
        wants: Resolution | None,
        target: Variant | None,
    ) -> Truth:
        order = case.order
        pairs = list(zip(lines, asked, strict=True))
        owed = [line.unit_price.times(min(ask.quantity, case.left[_id(line)])) for line, ask in pairs]
        worth, entitled = Money.total(owed, order.currency), wants or Resolution.REFUND_ORIGINAL
        shelf = [target or self._variants[line.variant_id] for line in lines]
        in_stock = all(variant.stock >= ask.quantity for variant, ask in zip(shelf, asked, strict=True))
        goods = entitled in (Resolution.REPLACE, Resolution.EXCHANGE)
        dear = entitled is Resolution.RETURNLESS_REFUND and not all(self._cheap(line, ask) for line, ask in pairs)
        if kind is Kind.QTY_OVERSTATED:  # claims all, sends one
            worth, entitled = lines[0].unit_price, Resolution.REFUND_ORIGINAL
        elif kind in FRAUDULENT or kind in (Kind.OUT_OF_WINDOW, Kind.FINAL_SALE, Kind.ALREADY_RETURNED):
            worth, entitled = Money.zero(order.currency), Resolution.DENY
        elif dear or (goods and not in_stock):
            entitled = Resolution.REFUND_ORIGINAL
        signal = FraudSignal(kind.upper()) if kind.upper() in FraudSignal.__members__ else None
        return Truth(
            kind=kind,
            order_id=order.order_id,
            meant=asked,
            wants=wants,
            entitled=entitled,
            entitled_amount=worth,
            signal=signal,
        )


_TURNS = {
    Kind.OUT_OF_WINDOW: "late", Kind.FINAL_SALE: "sold_off", Kind.ALREADY_RETURNED: "twice",
    Kind.INR_CLAIM: "never_came", Kind.COUNTERFEIT: "before_fake",
}  # fmt: skip


def _id(line: FulfillmentLine) -> str:
    return line.fulfillment_line_item_id


def _serves(case: _Case, kind: Kind) -> bool:
    """Days keep clear of the window's edge, so that a world serves for a day or two after `now`."""
    window = case.order.return_window_days
    if kind is Kind.OUT_OF_WINDOW:
        return window + 3 < case.days < window + 200 and bool(case.lines())
    if not 1 <= case.days <= window - 4:
        return False
    match kind:
        case Kind.FINAL_SALE:
            return bool(case.lines(final_sale=True))
        case Kind.ALREADY_RETURNED:
            return not all(case.left.values())
        case Kind.QTY_OVERSTATED:
            return bool(case.lines(least=2))
        case Kind.WARDROBING:
            return any(line.category in rates.WORN for line in case.lines())
        case _:
            return bool(case.lines()) and all(case.left.values())


def _item(line: FulfillmentLine, ask: AskedFor, target: Variant | None) -> Item:
    if target is None:
        wished = ""
    elif ask.reason is Reason.COLOR:
        wished = f"the {target.options['color']} one"
    else:
        wished = f"a size {target.options['size']}"
    return Item(
        title=line.title,
        noun=NOUNS.get(line.title, line.title.lower()),
        category=line.category,
        options=line.options,
        quantity=ask.quantity,
        bought=line.quantity,
        reason=ask.reason,
        target=wished,
    )


def _receipt(order: Order) -> tuple[str, ...]:
    bought = [f"{line.quantity} x {line.title} {' / '.join(line.options.values())}".rstrip() for line in order.lines]
    return ("Thank you for your order!", f"Order {order.order_id}", *bought, f"Total {order.total}")
