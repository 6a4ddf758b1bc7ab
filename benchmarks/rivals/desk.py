"""A desk of eight tools, and books for it of as many rules as are asked for: the same ones each time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from random import Random
from typing import Any

from pydantic import BaseModel

from core.actions import Effect, ProposedAction, ToolSpec
from core.money import Money
from core.verdicts import Fact, FactSpec, FactType, FactValue
from policies.book import Book, load_book
from policies.vocabulary import Vocabulary

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
CURRENCY = "USD"
TOOLS = (
    *("refund", "credit", "exchange", "reship", "discount"),  # with an amount
    *("approve", "decline", "label"),
)
_COUNTRIES = ("US", "DE", "FR", "GB", "NO", "JP")
_CATEGORIES = ("SHOES", "BOOKS", "PHONES", "GARDEN", "TOYS", "JEWELLERY")
_TIERS = ("NEW", "PLAIN", "GOLD")


class Reason(StrEnum):
    DEFECTIVE = "DEFECTIVE"
    WRONG_ITEM = "WRONG_ITEM"
    UNWANTED = "UNWANTED"
    LATE = "LATE"


class Paying(BaseModel):
    order_id: str
    amount: Money
    reason: Reason
    keep_item: bool = False
    note: str = ""


class Handling(BaseModel):
    order_id: str
    reason: Reason
    pieces: int = 1
    note: str = ""


class Nothing(BaseModel):
    pass


_FACTS: dict[str, tuple[FactType, tuple[str, ...]]] = {
    "order.owned": (FactType.BOOLEAN, ()),
    "order.days": (FactType.INTEGER, ()),
    "order.refundable": (FactType.MONEY, ()),
    "order.refunded": (FactType.MONEY, ()),
    "order.country": (FactType.CHOICE, _COUNTRIES),
    "order.final_sale": (FactType.BOOLEAN, ()),
    "item.category": (FactType.CHOICE, _CATEGORIES),
    "item.value": (FactType.MONEY, ()),
    "item.received": (FactType.BOOLEAN, ()),
    "customer.tier": (FactType.CHOICE, _TIERS),
    "customer.refunds": (FactType.INTEGER, ()),
    "customer.given": (FactType.MONEY, ()),
    "customer.signals": (FactType.INTEGER, ()),
    "photo.score": (FactType.DECIMAL, ()),
    "letter.flags": (FactType.INTEGER, ()),
}

_HEAD = """\
policy: eight-tools
version: 2026.11-1
owner: compliance@shop.example
in_force: {from: 2026-01-01, to: 2026-12-31}
limits:
  auto: [150 USD, 140 EUR, 120 GBP, 20000 JPY]
  photo: [100 USD, 90 EUR, 80 GBP, 15000 JPY]
  receipt: [120 USD, 110 EUR, 95 GBP, 17000 JPY]
  two_people: [500 USD, 460 EUR, 400 GBP, 75000 JPY]
  cap: [5000 USD, 4600 EUR, 4000 GBP, 750000 JPY]
  serial: 3
  score: 0.6
reviewers:
  desk: {role: returns_reviewer, within: 4 hours}
  finance: {role: finance_controller, people: 2, within: 1 day}
if_no_rule: deny
rules:
"""


def vocabulary() -> Vocabulary:
    specs: dict[str, ToolSpec[Any]] = {
        tool: ToolSpec(tool, Effect.IRREVERSIBLE, Paying if tool in TOOLS[:5] else Handling, Nothing, lambda args: "")
        for tool in TOOLS
    }
    facts = [FactSpec(path=path, type=kind, doc="", choices=choices) for path, (kind, choices) in _FACTS.items()]
    return Vocabulary.of("desk", specs, facts)


def written(rules: int) -> str:
    """A book's text. Each tool has its share of the rules: what passes first, then what people see, what never is."""
    chance = Random(rules)
    each = [_rules(chance, tool in TOOLS[:5]) for tool in TOOLS]
    lines = []
    for number in range(rules):
        decide, when, unless = next(each[number % len(TOOLS)])
        lines.append(f"- id: R-{number}\n  tools: [{TOOLS[number % len(TOOLS)]}]\n  decide: {decide}\n  when:\n")
        lines += [f"  - {part}\n" for part in when]
        lines.append(f"  unless: {unless}\n" if unless else "")
        lines.append(f"  reason: So says paragraph {number}.\n  cite: Returns Policy {number // 10}.{number}\n")
    return _HEAD + "".join(lines)


def book(rules: int) -> Book:
    return load_book((f"{rules}.yaml", written(rules)), vocabulary())


def _rules(chance: Random, pays: bool) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Decision, conditions and `unless`, without end: a general rule to allow, then the many special ones."""
    amount = "args.amount" if pays else "item.value"
    yield (
        "allow",
        (f"{amount} <= $auto", "order.owned and order.days <= 30", "customer.signals == 0 and letter.flags == 0"),
        "",
    )
    yield "review by desk", (f"{amount} > $auto or order.days > 30",), "args.reason == DEFECTIVE and photo.score >= 0.9"
    yield "deny", ("not order.owned or order.refunded + item.value > $cap",), ""
    while True:
        dear, days = f"{chance.randrange(60, 900)} USD", chance.randrange(10, 90)
        country, category = chance.choice(_COUNTRIES), chance.choice(_CATEGORIES)
        two = ", ".join(chance.sample(_CATEGORIES, 2))
        yield chance.choice(
            (
                ("allow", (f"item.category == {category}", f"{amount} <= {dear}", f"order.days <= {days}"), ""),
                (
                    "allow",
                    (f"order.country in [{country}, US]", f"{amount} + order.refunded <= $auto"),
                    "item.received",
                ),
                ("review by desk", (f"order.country == {country}", f"{amount} > {dear} or order.days > {days}"), ""),
                ("review by desk", (f"item.category in [{two}]", f"{amount} > $receipt", "not item.received"), ""),
                (
                    "review by desk",
                    (f"args.reason == DEFECTIVE and {amount} > $photo", "photo.score < $score"),
                    f"customer.tier == GOLD and order.days <= {days}",
                ),
                (
                    "review by desk and finance",
                    (f"customer.given + {amount} > $two_people or customer.refunds >= $serial",),
                    f"customer.tier == GOLD and item.value <= {dear}",
                ),
                ("review by finance", (f"item.category == {category}", f"{amount} > {dear}"), "order.country == US"),
                ("deny", (f"{amount} > order.refundable or {amount} > $cap",), ""),
                ("deny", (f"order.final_sale and item.category == {category}", f"order.days > {days}"), ""),
                ("deny", (f"order.country == {country} and customer.signals > 2", f"letter.flags > {days % 3}"), ""),
            )
        )


@dataclass(frozen=True)
class Request:
    action: ProposedAction
    facts: dict[str, Fact]


def requests(many: int, seed: int = 1) -> list[Request]:
    """Of all tools in turns, most of them ordinary; every fact is known, all money is in one currency."""
    chance = Random(seed)
    return [_request(chance, TOOLS[number % len(TOOLS)]) for number in range(many)]


def _request(chance: Random, tool: str) -> Request:
    odd = chance.random() < 0.3
    value = chance.randrange(1_000, 90_000 if odd else 16_000)
    amount = chance.randrange(500, value + (3_000 if odd else 0))
    facts: dict[str, FactValue] = {
        "order.owned": not odd or chance.random() < 0.8,
        "order.days": chance.randrange(0, 90 if odd else 31),
        "order.refundable": Money(amount_minor=value, currency=CURRENCY),
        "order.refunded": Money(amount_minor=chance.choice((0, 0, 5_000)), currency=CURRENCY),
        "order.country": chance.choice(_COUNTRIES),
        "order.final_sale": odd and chance.random() < 0.5,
        "item.category": chance.choice(_CATEGORIES),
        "item.value": Money(amount_minor=value, currency=CURRENCY),
        "item.received": chance.random() < 0.5,
        "customer.tier": chance.choice(_TIERS),
        "customer.refunds": chance.randrange(0, 5 if odd else 2),
        "customer.given": Money(amount_minor=chance.choice((0, 9_000, 60_000 if odd else 0)), currency=CURRENCY),
        "customer.signals": chance.randrange(0, 4) if odd else 0,
        "photo.score": Decimal(chance.randrange(100)) / 100,
        "letter.flags": chance.randrange(0, 3) if odd else 0,
    }
    args: dict[str, Any] = {"order_id": "ORD-1", "reason": chance.choice(list(Reason)).value}
    if tool in TOOLS[:5]:
        args["amount"] = {"amount_minor": amount, "currency": CURRENCY}
    action = ProposedAction(
        workspace="default",
        case_id="case_1",
        kind="desk",
        tool=tool,
        schema_version=1,
        args=args,
        proposer="agent:desk",
        step_key="1",
    )
    return Request(action, {path: Fact(value=value, source="shop", at=NOW) for path, value in facts.items()})
