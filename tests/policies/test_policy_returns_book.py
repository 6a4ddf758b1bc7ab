"""The returns book that ships: it loads against the real tools and facts, and is what a compliance lead reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from core.actions import Effect
from core.money import Money
from core.verdicts import FactValue
from policies.book import Book, load_book
from policies.explain import explain
from policies.lint import remarks
from policies.vocabulary import Vocabulary
from tools.fulfillment.ports import Shop
from tools.returns.facts import FACTS
from tools.returns.tools import returns_tools
from tools.vision.ports import NoScorer

BOOK = Path(__file__).parents[2] / "policies" / "books" / "returns.yaml"


@pytest.fixture(scope="module")
def returns() -> Book:
    no_shop = cast(Shop, None)  # only the tools' schemas are read
    specs = {tool.spec.name: tool.spec for tool in returns_tools(no_shop, NoScorer())}
    return load_book(BOOK, Vocabulary.of("returns", specs, FACTS))


def said(book: Book, tool: str, **facts: FactValue) -> str:
    return explain(book, tool, {**book.typical[tool], **facts}).said


def test_it_is_clean_and_every_example_holds(returns: Book) -> None:
    assert remarks(returns) == []
    assert len(returns.rules) >= 25
    assert len(returns.examples) >= 25
    assert not any(result.wrong for result in returns.try_examples())


def test_every_tool_has_a_rule_and_every_rule_has_an_example_that_it_decides(returns: Book) -> None:
    assert set(returns.programs) == set(returns.vocabulary.tools)
    deciding = {rule.id for result in returns.try_examples() for rule in result.decision.deciding}
    assert {rule.id for rule in returns.rules if not rule.monitor} - deciding == set()


def test_limits_exist_in_every_currency_of_the_shop(returns: Book) -> None:
    for limit in returns.limits.values():
        assert not limit.amounts or set(limit.amounts) == {"USD", "EUR", "GBP", "JPY", "KWD"}


def test_nothing_of_another_customers_order_is_ever_allowed(returns: Book) -> None:
    for tool, terms in returns.vocabulary.tools.items():
        if "order.owned_by_customer" in terms:
            assert said(returns, tool, **{"order.owned_by_customer": False}).startswith("deny by ID-01")


def test_with_no_fact_at_all_nothing_that_has_an_effect_is_allowed(returns: Book) -> None:
    for tool, spec in returns.vocabulary.specs.items():
        if spec.effect is not Effect.READ:
            verdict = explain(returns, tool, {}).verdict
            assert verdict == "deny" or tool == "people.ask"


def test_no_single_fact_that_goes_missing_turns_a_no_into_a_yes(returns: Book) -> None:
    for example in returns.examples:
        program = returns.program(example.tool)
        env = {**program.blank, **{p: v for p, v in example.facts.items() if p in program.blank}}
        if program.decide(env).verdict == "allow":
            continue
        for path in (path for path in env if not path.startswith("tool.")):
            assert program.decide({**env, path: None}).verdict != "allow", (example.text, path)


@pytest.mark.parametrize("minor", [1, 8_000, 15_000, 15_001, 25_001, 50_000, 50_001, 500_001])
@pytest.mark.parametrize("tool", ["refunds.create", "store_credit.issue"])
def test_more_money_is_never_judged_more_leniently(returns: Book, tool: str, minor: int) -> None:
    strictness = {"allow": 0, "review": 1, "deny": 2}

    def judged(amount_minor: int) -> int:
        facts: Mapping[str, Any] = {
            "args.amount": Money(amount_minor=amount_minor, currency="USD"),
            "order.refundable": Money.of(9000, "USD"),
            "return.entitled": Money.of(9000, "USD"),
        }
        return strictness[explain(returns, tool, {**returns.typical[tool], "args.reason": "COLOR", **facts}).verdict]

    assert judged(minor) <= judged(minor + 1)


def test_it_is_in_force(returns: Book) -> None:
    assert returns.in_force.covers(datetime(2026, 11, 2, tzinfo=UTC).date())


USD = "USD"
SPLITS = [
    # what was given already, and what the next 60 dollars are then
    ({"order.refunded": Money.of(100, USD)}, "review"),
    ({"case.given": Money.of(100, USD), "case.settled": 1}, "review"),
    ({"return.given": Money.of(100, USD)}, "review"),
    ({"order.refunded": Money.of(450, USD), "order.refundable": Money.of(900, USD)}, "review by desk and finance"),
    ({"order.refunded": Money.of(4950, USD), "order.refundable": Money.of(900, USD)}, "deny by RF-10"),
    ({"order.given_outside_returns": Money.of(5, USD)}, "review by desk by RF-15"),
    ({"return.kept": True}, "review by desk by RF-14"),
    ({"return.entitled": Money.of(59, USD)}, "deny by RF-10"),
]


@pytest.mark.parametrize("tool", ["refunds.create", "store_credit.issue"])
@pytest.mark.parametrize(("before", "expected"), SPLITS)
def test_a_sum_in_pieces_is_judged_as_the_sum(
    returns: Book, tool: str, before: dict[str, FactValue], expected: str
) -> None:
    asked: dict[str, FactValue] = {"args.amount": Money.of(60, USD), "args.reason": "COLOR"}
    if tool == "store_credit.issue":
        del asked["args.reason"]
    assert said(returns, tool, **asked).startswith("allow")
    credit_limit = tool == "store_credit.issue" and before == {"order.refunded": Money.of(100, USD)}
    assert said(returns, tool, **asked, **before).startswith("allow" if credit_limit else expected)


def test_other_returns_of_the_order_count_for_evidence_receipt_and_goods_that_stay(returns: Book) -> None:
    dear: dict[str, FactValue] = {"order.value_under_return": Money.of(300, USD), "lines.value": Money.of(20, USD)}
    for circumstance in ("reason.fault_claimed", "lines.category_high_risk", "args.keep_item"):
        facts: dict[str, FactValue] = {"args.amount": Money.of(20, USD), "args.reason": "DEFECTIVE", circumstance: True}
        small: dict[str, FactValue] = {"order.value_under_return": Money.of(20, USD)}
        assert said(returns, "refunds.create", **facts, **small) == "allow by RF-01"
        assert said(returns, "refunds.create", **facts, **dear).startswith("review by desk")


def test_a_return_is_never_processed_with_money_or_goods(returns: Book) -> None:
    one: list[dict[str, FactValue]] = [
        {"args.financial_transfer.amount": Money.of(1, USD)},
        {"args.exchange_lines.count": 1},
    ]
    for facts in one:
        assert said(returns, "returns.process", **facts) == "deny by RT-11"


def test_what_a_count_looks_at(returns: Book) -> None:
    counts = returns.counts
    assert "exchanges.create" in counts["customer.refunds_30d"].tools
    for name in ("case.settled", "case.given", "case.labels"):
        assert counts[name].per == "case"
        assert counts[name].include == {"done", "in_flight"}
