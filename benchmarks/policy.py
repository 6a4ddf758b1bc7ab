"""One decision of the returns book on a refund, beside an `if` written by hand that decides the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, Report, in_turns, repeated
from core.actions import ProposedAction
from core.clock import SystemClock
from core.money import Money
from core.verdicts import Fact, FactValue
from graphs.kind import Outside
from graphs.returns.kind import KIND
from policies.book import Book, load_book
from policies.judge import Reading, judge
from policies.vocabulary import Vocabulary
from tools.contract import Toolbelt
from tools.fulfillment.shop import EmbeddedShop
from tools.vision.ports import NoScorer

TOOL = "refunds.create"
_USUAL: dict[str, FactValue] = {
    "order.exists": True,
    "order.owned_by_customer": True,
    "order.currency_matches": True,
    "order.days_since_delivery": 5,
    "order.window_days": 30,
    "order.plain_window_days": 30,
    "order.refundable": Money.parse("900 USD"),
    "order.refunded": Money.parse("0 USD"),
    "order.given_outside_returns": Money.parse("0 USD"),
    "order.value_under_return": Money.parse("80 USD"),
    "return.exists": True,
    "return.belongs_to_order": True,
    "return.status": "OPEN",
    "return.entitled": Money.parse("900 USD"),
    "return.given": Money.parse("0 USD"),
    "return.kept": False,
    "return.received": False,
    "lines.final_sale": False,
    "lines.category_high_risk": False,
    "reason.fault_claimed": False,
    "reason.fees_waived": Money.parse("0 USD"),
    "reason.contradicts_form": False,
    "customer.signals": 0,
    "customer.stolen_tender": False,
    "customer.refunds_30d": 0,
    "customer.address": "12elmstreet10115berlin/DE",
    "address.refunds_30d": 0,
    "order.card": "card_1",
    "card.refunds_30d": 0,
    "args.order_id.source": "record",
    "args.return_id.source": "record",
    "args.amount.source": "record",
    "case.settled": 0,
    "case.given": Money.parse("0 USD"),
    "agent.refunded_24h": Money.parse("900 USD"),
    "letter.flags": 0,
    "vision.score": None,
}
_CHANGES: list[tuple[str, dict[str, FactValue]]] = [
    ("80 USD", {}),
    ("80 USD", {"customer.refunds_30d": 2}),
    ("80 USD", {"reason.fault_claimed": True}),
    ("120 USD", {"order.days_since_delivery": 29}),
    ("151 USD", {}),
    ("80 USD", {"order.days_since_delivery": 31}),
    ("80 USD", {"order.days_since_delivery": None}),
    ("80 USD", {"customer.signals": 1}),
    ("80 USD", {"customer.refunds_30d": 3}),
    ("80 USD", {"card.refunds_30d": 3}),
    ("80 USD", {"args.amount.source": "model"}),
    ("140 USD", {"reason.fault_claimed": True, "order.value_under_return": Money.parse("140 USD")}),
    ("140 USD", {"lines.category_high_risk": True, "order.value_under_return": Money.parse("140 USD")}),
    ("80 USD", {"case.settled": 1, "case.given": Money.parse("100 USD")}),
    ("600 USD", {}),
    ("80 USD", {"customer.stolen_tender": True}),
    ("80 USD", {"order.owned_by_customer": False}),
    ("80 USD", {"return.status": "CLOSED"}),
    ("80 USD", {"args.order_id.source": "model"}),
    ("950 USD", {}),
    ("80 USD", {"order.currency_matches": False}),
]
"""The amount asked for, and what is unusual: small refunds that pass, what people see, what never happens."""


@dataclass(frozen=True)
class Refund:
    """What the hand-written rules are given: plain values, read already."""

    minor: int
    has_return: bool
    keep_item: bool
    facts: Mapping[str, Any]
    """Money as minor units."""


def by_hand(refund: Refund) -> str:
    """The rules for refunds in dollars, as a programmer would write them into the code."""
    f, minor = refund.facts, refund.minor
    if not f["order.exists"] or not f["order.owned_by_customer"] or f["args.order_id.source"] == "model":
        return "deny"
    if f["order.refunded"] + minor > 500_000 or minor > f["order.refundable"] or not f["order.currency_matches"]:
        return "deny"
    if refund.has_return and not (f["return.exists"] and f["return.belongs_to_order"] and f["return.status"] == "OPEN"):
        return "deny"
    if refund.has_return and (minor > f["return.entitled"] or f["args.return_id.source"] == "model"):
        return "deny"
    before = max(f["order.refunded"], f["case.given"], f["return.given"])
    days, score = f["order.days_since_delivery"], f["vision.score"]
    if (
        before + minor > 15_000
        or (refund.keep_item and f["order.value_under_return"] > 2_500)
        or not refund.has_return
        or f["case.settled"] > 0
        or f["return.kept"]
        or f["return.given"] > 0
        or f["order.given_outside_returns"] > 0
        or f["reason.contradicts_form"]
        or days is None
        or days > f["order.window_days"]
        or f["customer.signals"] > 0
        or f["letter.flags"] > 0
        or f["customer.refunds_30d"] >= 3
        or (f["order.card"] is not None and f["card.refunds_30d"] >= 3)
        or (f["customer.address"] is not None and f["address.refunds_30d"] >= 3)
        or f["args.amount.source"] in ("customer", "model")
        or (f["reason.fault_claimed"] and _hangs_on_it(f, days) and (score is None or score < 0.6))
        or (f["lines.category_high_risk"] and f["order.value_under_return"] > 12_000 and not f["return.received"])
        or before + minor > 50_000
        or f["agent.refunded_24h"] + minor > 5_000_000
        or f["customer.stolen_tender"]
    ):
        return "review"
    return "allow"


def _hangs_on_it(f: Mapping[str, Any], days: int) -> bool:
    """Whether a claimed fault makes a difference worth a photo."""
    dear = f["order.value_under_return"] > 10_000 or f["reason.fees_waived"] > 2_000
    return bool(dear or f["lines.final_sale"] or days > f["order.plain_window_days"])


class Decisions:
    def __init__(self) -> None:
        self._now = datetime.now(UTC)
        self._book = _book()
        self._program = self._book.programs[TOOL]
        self._cases = [_case(amount, _USUAL | changed, self._now) for amount, changed in _CHANGES]
        self._envs = [self._env(action, facts) for action, facts in self._cases]
        self._plain = [_plainly(action, facts) for action, facts in self._cases]

    def by_book(self) -> list[str]:
        return [judge(self._book, action, facts, self._now).verdict for action, facts in self._cases]

    def by_rules(self) -> list[str]:
        return [self._program.decide(env).verdict for env in self._envs]

    def by_hand(self) -> list[str]:
        return [by_hand(refund) for refund in self._plain]

    def __len__(self) -> int:
        return len(self._cases)

    def _env(self, action: ProposedAction, facts: Mapping[str, Fact]) -> dict[str, Any]:
        reading = Reading(self._program, self._now, self._book.fresh_s)
        reading.take_args(self._book.vocabulary.specs[TOOL].args.model_validate(action.args))
        reading.take_facts(facts)
        return reading.env


async def measured(quick: bool) -> Report:
    decisions = Decisions()
    if not decisions.by_book() == decisions.by_rules() == decisions.by_hand():
        raise AssertionError(f"they decide differently: {decisions.by_book()}, {decisions.by_hand()}")
    times = 5 if quick else 200
    whole, floor, rules, floor_too = await in_turns(
        2 if quick else 9,
        repeated(times, decisions.by_book),
        repeated(times * 20, decisions.by_hand),
        repeated(times * 5, decisions.by_rules),
        repeated(times * 20, decisions.by_hand),
    )
    each = len(decisions)
    beside = "an if by hand on plain values, same verdicts"
    return Report(
        [
            Figure("a decision: arguments, facts, rules, verdict", whole.over(each), beside, floor.over(each)),
            Figure("a decision: the rules alone", rules.over(each), beside, floor_too.over(each)),
        ]
    )


def _book() -> Book:
    shop = EmbeddedShop(None, [KIND.dialect])  # the specifications are asked for, nothing is called
    belt = Toolbelt(KIND.tools(Outside(shop, NoScorer(), SystemClock(), Path())))
    return load_book(KIND.book, Vocabulary.of(KIND.name, belt.specs(), KIND.fact_specs))


def _case(amount: str, facts: Mapping[str, FactValue], now: datetime) -> tuple[ProposedAction, dict[str, Fact]]:
    money = Money.parse(amount)
    action = ProposedAction(
        workspace="default",
        case_id="case_1",
        kind=KIND.name,
        tool=TOOL,
        schema_version=1,
        args={
            "order_id": "ORD-1",
            "return_id": "ret_1",
            "expected_status": "OPEN",
            "amount": money.model_dump(),
            "reason": "COLOR",
            "keep_item": False,
        },
        proposer="agent:returns",
        step_key="1.0",
    )
    return action, {path: Fact(value=value, source="shop", at=now) for path, value in facts.items()}


def _plainly(action: ProposedAction, facts: Mapping[str, Fact]) -> Refund:
    amount = Money.model_validate(action.args["amount"])
    plain = {
        path: fact.value.amount_minor if isinstance(fact.value, Money) else fact.value for path, fact in facts.items()
    }
    return Refund(amount.amount_minor, action.args["return_id"] is not None, bool(action.args["keep_item"]), plain)
