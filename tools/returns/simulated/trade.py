"""The past of a generated shop: people, what they ordered, what they sent back, and what they got for it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TypeVar

from core.money import Money
from tools.returns.models import (
    Customer,
    DeclineReason,
    Disposition,
    Exchange,
    ExchangeLine,
    FraudSignal,
    FulfillmentLine,
    Grade,
    Label,
    LineStage,
    Order,
    OrderStatus,
    PaymentMethod,
    Refund,
    RefundStatus,
    Resolution,
    Return,
    ReturnLine,
    ReturnStatus,
    Tier,
    Variant,
)
from tools.returns.simulated import base_rates as rates
from tools.returns.simulated.assortment import MARKETS, Market

T = TypeVar("T")

GIVEN = (
    "Ada Amara Anton Bea Ben Bruno Carla Chidi Clara Dario Dina Elif Emil Esme Farah Felix Freya Gus Hana Hugo Ines "
    "Ivo Jana Joon Kaia Kenji Lars Leila Lena Luca Maja Marek Mina Nadia Nils Noor Olga Omar Otis Petra Priya Quinn "
    "Rafa Rosa Sami Selma Tariq Tess Uma Viktor Wanda Wei Yara Yusuf Zoe"
)
FAMILY = (
    "Abara Albrecht Almeida Aoki Bakker Barros Birch Castell Chen Conti Dahl Doyle Eriksen Farrow Fontaine Gallo Grant "
    "Haddad Hale Hoang Ishida Jansen Keller Khoury Kowal Lindqvist Lowe Marsh Mendez Moreau Nakata Novak Okafor Olsen "
    "Park Petrov Quist Rahman Reyes Rossi Saleh Sato Sharma Silva Stone Tanaka Torres Usman Vance Vargas Weber Winter "
    "Yilmaz Zeman"
)
STREETS = "Maple Row|Quarry Lane|Harbour Street|Mill Road|Orchard Close|Station Walk|Elm Court|Ferry Hill"
TOWNS = "Northfield|Eastbrook|Lakemoor|Stonebridge|Westhaven|Fairmont|Ashby|Greenport|Millbank|Redcliff"
CARRIERS = ("parcel_post", "north_express", "city_courier")
_PAID_WITH = {
    PaymentMethod.CARD: 0.66,
    PaymentMethod.WALLET: 0.2,
    PaymentMethod.PAY_LATER: 0.08,
    PaymentMethod.GIFT_CARD: 0.06,
}


@dataclass
class Past:
    """Everything that happened before now. `habit` is each customer's own return rate; it is not a record."""

    customers: list[Customer] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    habit: dict[str, float] = field(default_factory=dict)


def pick(random: Random, weights: Mapping[T, float]) -> T:
    return random.choices(list(weights), list(weights.values()))[0]


def people(random: Random, count: int, now: datetime) -> tuple[list[Customer], dict[str, Market], dict[str, float]]:
    """Customers, the market each buys in, and the habit of each."""
    givens, families, streets, towns = GIVEN.split(), FAMILY.split(), STREETS.split("|"), TOWNS.split("|")
    customers, markets, habits = [], {}, {}
    for number in range(1, count + 1):
        given, family = random.choice(givens), random.choice(families)
        market = random.choices(MARKETS, [market.share for market in MARKETS])[0]
        domain = random.choice(("example.com", "example.net", "example.org"))
        customer = Customer(
            customer_id=f"cus_{number:06d}",
            name=f"{given} {family}",
            email=f"{given}.{family}{number}@{domain}".lower(),
            address=f"{random.randint(1, 240)} {random.choice(streets)}, {random.randint(10000, 99999)} "
            f"{random.choice(towns)}",
            country=random.choice(market.countries),
            joined=now - timedelta(days=random.randint(400, 2200), minutes=random.randrange(1440)),
            tier=pick(random, {Tier.STANDARD: 0.78, Tier.PLUS: 0.16, Tier.VIP: 0.06}),
        )
        customers.append(customer)
        markets[customer.customer_id] = market
        habits[customer.customer_id] = random.betavariate(*rates.HABIT_SHAPE)
    return customers, markets, habits


def _quantity(random: Random, category: str) -> int:
    if category == "electronics":
        return 2 if random.random() < 0.06 else 1
    return random.choices((1, 2, 3, 4), (78, 15, 4, 3))[0]


def _card_of(customer: Customer) -> str:
    """One card for each customer; no random draw, so that worlds stay as they were."""
    return f"card_{hashlib.sha256(customer.customer_id.encode()).hexdigest()[:16]}"


def an_order(
    random: Random, number: int, customer: Customer, market: Market, shelf: Sequence[Sequence[Variant]], now: datetime
) -> Order:
    """`shelf` holds each product's variants. Two in five orders are recent, the others up to a year old."""
    recent = random.random() < 0.42
    age = timedelta(days=random.randint(1, 36) if recent else random.randint(37, 400), minutes=random.randrange(1440))
    placed = now - age
    arrived = placed + timedelta(days=random.randint(2, 6), hours=random.randint(0, 9))
    status = OrderStatus.DELIVERED
    if random.random() < 0.02:
        status = OrderStatus.CANCELED
    elif arrived >= now:
        status = OrderStatus.SHIPPED if age > timedelta(days=2) else OrderStatus.PLACED
    off = random.choice((0, 0, 0, 10, 20))
    lines = []
    for place, product in enumerate(random.sample(shelf, random.choices((1, 2, 3, 4), (55, 28, 12, 5))[0]), 1):
        variant = random.choice(product)
        lines.append(
            FulfillmentLine(
                fulfillment_line_item_id=f"fli_{number}_{place}",
                variant_id=variant.variant_id,
                title=variant.title,
                category=variant.category,
                options=variant.options,
                quantity=_quantity(random, variant.category),
                unit_price=variant.price.times(Decimal(100 - off) / 100),
                final_sale=variant.final_sale,
            )
        )
    shipping = Money.zero(market.currency) if random.random() < 0.4 else Money.of(market.shipping, market.currency)
    goods = Money.total((line.unit_price.times(line.quantity) for line in lines), market.currency)
    gift = random.random() < 0.06
    return Order(
        order_id=f"ORD-{number}",
        customer_id=customer.customer_id,
        currency=market.currency,
        placed_at=placed,
        delivered_at=arrived if status is OrderStatus.DELIVERED else None,
        status=status,
        lines=lines,
        shipping_paid=shipping,
        total=goods + shipping,
        refunded=Money.zero(market.currency),
        payment_method=pick(random, _PAID_WITH),
        payment_fingerprint=_card_of(customer),
        return_window_days=60 if customer.tier is Tier.VIP else 45 if gift else 30,
        gift=gift,
    )


class _Desk:
    """Writes the past of one order's return, so that order, return, label and refund agree."""

    def __init__(self, past: Past, random: Random, now: datetime, market: Callable[[str], Market]) -> None:
        self._past, self._random, self._now, self._market = past, random, now, market

    def handle(self, order: Order, customer: Customer) -> None:
        random = self._random
        lines = [line for line in order.lines if not line.final_sale]
        if not lines or order.delivered_at is None:
            return
        chosen = lines if random.random() < 0.25 else [random.choice(lines)]
        asked = order.delivered_at + timedelta(days=random.randint(1, 18), minutes=random.randrange(1440))
        if asked >= self._now - timedelta(days=1):
            return
        fraud = pick(random, rates.FRAUD_KINDS) if random.random() < rates.FRAUD_SHARE else None
        found = fraud is not None and random.random() < rates.FRAUD_FOUND
        ended = Resolution.DENY if found else pick(random, rates.PAST_RESOLUTIONS)
        if fraud and found and fraud not in customer.signals:
            customer.signals.append(fraud)
        under_way = ended is not Resolution.DENY and asked > self._now - timedelta(days=9)
        number = len(self._past.returns) + 1
        record = Return(
            return_id=f"ret_{number:07d}",
            order_id=order.order_id,
            customer_id=order.customer_id,
            status=ReturnStatus.DECLINED
            if ended is Resolution.DENY
            else ReturnStatus.OPEN
            if under_way
            else ReturnStatus.CLOSED,
            lines=[
                ReturnLine(
                    line_id=f"rl_{number:07d}_{place}",
                    fulfillment_line_item_id=line.fulfillment_line_item_id,
                    quantity=line.quantity if random.random() < 0.8 else 1,
                    reason=pick(random, rates.reasons_of(line.category)),
                )
                for place, line in enumerate(chosen, 1)
            ],
            requested_at=asked,
        )
        self._past.returns.append(record)
        if ended is Resolution.DENY:
            record.decline_reason = DeclineReason.OTHER
            record.decline_note = "Inspection did not match what was claimed." if found else "Worn, tags removed."
            return
        for back, line in zip(record.lines, chosen, strict=True):
            line.returned_quantity = back.quantity
        self._label(record, order, under_way)
        if not under_way:
            self._settle(record, order, chosen, ended)

    def _label(self, record: Return, order: Order, under_way: bool) -> None:
        random, number = self._random, len(self._past.labels) + 1
        charged = Money.of(self._market(order.customer_id).shipping, order.currency)
        label = Label(
            label_id=f"lbl_{number:07d}",
            return_id=record.return_id,
            carrier=random.choice(CARRIERS),
            tracking=f"{random.randrange(10**11, 10**12)}",
            cost=charged.times(Decimal(random.choice((90, 110, 140))) / 100),
            charge_event=random.choice(("creation", "scan")),
        )
        self._past.labels.append(label)
        record.label_id = label.label_id
        stage = random.choice((LineStage.LABELLED, LineStage.IN_TRANSIT)) if under_way else LineStage.PROCESSED
        for line in record.lines:
            line.stage = stage
            if not under_way:
                line.grade = random.choices(list(Grade), (55, 27, 13, 5))[0]
                shelved = line.grade in (Grade.A, Grade.B)
                line.dispositions = [Disposition.RESTOCKED if shelved else Disposition.NOT_RESTOCKED]

    def _settle(self, record: Return, order: Order, chosen: list[FulfillmentLine], ended: Resolution) -> None:
        settled = record.requested_at + timedelta(days=8, minutes=self._random.randrange(300))
        pairs = list(zip(record.lines, chosen, strict=True))
        if ended is Resolution.EXCHANGE:
            zero = Money.zero(order.currency)
            swaps = [
                ExchangeLine(
                    fulfillment_line_item_id=line.fulfillment_line_item_id,
                    variant_id=line.variant_id,
                    quantity=back.quantity,
                    price_difference=zero,
                )
                for back, line in pairs
            ]
            number = len(self._past.exchanges) + 1
            self._past.exchanges.append(
                Exchange(exchange_id=f"exc_{number:07d}", return_id=record.return_id, lines=swaps, created_at=settled)
            )
            return
        worth = Money.total((line.unit_price.times(back.quantity) for back, line in pairs), order.currency)
        self._past.refunds.append(
            Refund(
                refund_id=f"ref_{len(self._past.refunds) + 1:07d}",
                order_id=order.order_id,
                return_id=record.return_id,
                amount=worth,
                method="store_credit" if ended is Resolution.STORE_CREDIT else "original",
                status=RefundStatus.SUCCEEDED,
                reason="requested_by_customer",
                created_at=settled,
            )
        )
        order.refunded += worth


def trade(
    random: Random, orders: int, now: datetime, shelves: Sequence[Variant], step: Callable[[], object] = lambda: None
) -> Past:
    """`step` is called after each order, for a progress display."""
    customers, markets, habits = people(random, max(1, orders * 2 // 5), now)
    past = Past(customers=customers, habit=habits)
    products: dict[str, dict[str, list[Variant]]] = defaultdict(lambda: defaultdict(list))
    for variant in shelves:
        products[variant.price.currency][variant.product_id].append(variant)
    shelf = {currency: list(found.values()) for currency, found in products.items()}
    desk = _Desk(past, random, now, markets.__getitem__)
    # A few customers buy often: weights fall off as one over the square root of the rank.
    buyers = random.choices(customers, [rank**-0.5 for rank in range(1, len(customers) + 1)], k=orders)
    for number, buyer in zip(random.sample(range(1_000_000, 9_999_999), orders), buyers, strict=True):
        market = markets[buyer.customer_id]
        order = an_order(random, number, buyer, market, shelf[market.currency], now)
        past.orders.append(order)
        pull = sum(rates.CATEGORY_PULL[line.category] for line in order.lines) / len(order.lines)
        if order.status is OrderStatus.DELIVERED and random.random() < habits[buyer.customer_id] * pull:
            desk.handle(order, buyer)
        step()
    _mark_serial(past)
    return past


def _mark_serial(past: Past) -> None:
    counts: dict[str, int] = defaultdict(int)
    for record in past.returns:
        counts[record.customer_id] += 1
    for customer in past.customers:
        if counts[customer.customer_id] >= rates.SERIAL_RETURNS:
            customer.signals.append(FraudSignal.SERIAL_RETURNER)
