"""What a book decides, and what it says about it: the strictest rule holds, and nothing unclear is allowed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.money import Money
from core.verdicts import Allow, Deny, Fact, Review
from policies.book import Book
from policies.lint import remarks

Desk = Any
Load = Callable[[str], Book]


def test_an_allowed_action_says_by_which_rules_and_on_which_facts(desk: Desk) -> None:
    verdict = desk.decide()
    assert isinstance(verdict, Allow)
    assert [(match.rule, match.cite, match.monitor) for match in verdict.matches] == [
        ("RF-01", "Policy 4.1", False),
        ("RF-90", "Change 118", True),
    ]
    assert verdict.reason == "Small and in time."
    assert verdict.book.version == "2026.11-1"
    assert len(verdict.book.digest) == 64
    assert verdict.facts["args.amount"].value == Money.of(80, "USD")
    assert verdict.facts["args.amount"].source == "args"
    assert verdict.facts["order.days"].source == "shop"
    assert "order.country" not in verdict.facts


def test_reviews_add_up_and_name_each_group_once(desk: Desk) -> None:
    verdict = desk.decide(amount="500.01 USD", facts={"customer.refunds": 3})
    assert isinstance(verdict, Review)
    assert [match.rule for match in verdict.matches] == ["RF-02", "RF-03", "RF-05", "RF-90"]
    assert {(group.group, group.role, group.people, group.within_s) for group in verdict.reviewers} == {
        ("desk", "returns_reviewer", 1, 4 * 3600),
        ("finance", "finance_controller", 2, 86_400),
    }
    assert {group.group: [late.group for late in group.successors] for group in verdict.reviewers} == {
        "desk": [],
        "finance": ["board"],
    }
    assert verdict.reason == "Large or late. Much for a day. Often, or no proof."


def test_a_deny_is_stronger_than_reviews_and_allows(desk: Desk) -> None:
    verdict = desk.decide(amount="900 USD", facts={"order.owned": False})
    assert isinstance(verdict, Deny)
    assert verdict.reason == "Not the customer's order."
    assert {match.decides for match in verdict.matches if not match.monitor} == {"deny", "review"}


def test_unless_is_an_exception_to_one_rule_only(desk: Desk) -> None:
    verdict = desk.decide(amount="160 USD", reason="DEFECTIVE")
    assert isinstance(verdict, Deny), "RF-02 does not apply to defects, and no other rule allows 160 USD"
    assert verdict.reason == "No rule of the policy allows this refund."
    assert verdict.matches == ()


def test_the_limit_itself_is_inside(desk: Desk) -> None:
    assert isinstance(desk.decide(amount="150 USD"), Allow)
    assert isinstance(desk.decide(amount="150.01 USD"), Review)


@pytest.mark.parametrize("path", ["order.owned", "order.days", "customer.refunds", "agent.paid", "photo.score"])
@pytest.mark.parametrize("gap", ["absent", "none"])
def test_any_missing_fact_denies_and_is_named_with_its_rule(desk: Desk, path: str, gap: str) -> None:
    verdict = desk.decide(without=(path,)) if gap == "absent" else desk.decide(facts={path: None})
    assert isinstance(verdict, Deny)
    assert f"{path} is unknown" in verdict.reason
    assert "can't be judged" in verdict.reason


def test_a_missing_fact_that_can_not_matter_does_not_matter(desk: Desk) -> None:
    assert isinstance(desk.decide(without=("photo.score",), facts={"customer.refunds": 3}), Review)
    verdict = desk.decide(without=("order.days",), facts={"order.owned": False})
    assert verdict.reason == "Not the customer's order."


def test_a_stale_fact_is_as_good_as_missing(desk: Desk) -> None:
    fresh = desk.fact(True, at=desk.now - timedelta(minutes=15))
    stale = desk.fact(True, at=desk.now - timedelta(minutes=15, seconds=1))
    naive = Fact(value=True, source="shop", at=datetime(2026, 11, 2, 9, 0))
    assert isinstance(desk.decide(facts={"order.owned": fresh}), Allow)
    for bad in (stale, naive):
        verdict = desk.decide(facts={"order.owned": bad})
        assert isinstance(verdict, Deny)
        assert "order.owned is stale" in verdict.reason


@pytest.mark.parametrize(
    ("path", "value"),
    [("order.owned", 1), ("order.days", True), ("order.days", "5"), ("photo.score", Decimal("NaN")), ("agent.paid", 5)],
)
def test_a_fact_of_another_type_than_declared_denies(desk: Desk, path: str, value: Any) -> None:
    verdict = desk.decide(facts={path: Fact.model_construct(value=value, source="shop", at=desk.now, witnessed=False)})
    assert isinstance(verdict, Deny)
    assert f"{path} is not" in verdict.reason


def test_a_limit_holds_in_the_currency_of_the_fact(desk: Desk) -> None:
    yen = {"agent.paid": Money.of(0, "JPY")}
    verdict = desk.decide(amount="15000 JPY", facts=yen)
    assert isinstance(verdict, Deny)
    assert verdict.reason == "Rule RF-03 can't be judged: the limit cap has no amount in JPY."
    assert "args.amount is in JPY, not in USD" in desk.decide(amount="15000 JPY").reason


def test_with_an_amount_for_every_currency_yen_are_judged_in_yen(load: Load, book_text: str, desk: Desk) -> None:
    desk.judge.replace("small", load(book_text.replace("cap: 500 USD", "cap: [500 USD, 60000 JPY]")))
    yen = {"agent.paid": Money.of(0, "JPY")}
    assert isinstance(desk.decide(amount="15000 JPY", facts=yen), Allow)
    assert isinstance(desk.decide(amount="15001 JPY", facts=yen), Review)
    assert "no amount in EUR" in desk.decide(amount="1 EUR", facts={"agent.paid": Money.of(0, "EUR")}).reason


def test_arguments_that_do_not_fit_the_tool_are_denied(desk: Desk) -> None:
    assert "do not fit refund: reason" in desk.decide(reason="GREED").reason
    assert "another version of refund" in desk.decide(version=2).reason


def test_optional_arguments_that_are_absent_are_unknown(load: Load, book_text: str, desk: Desk) -> None:
    text = book_text.replace(
        "when: args.reason == UNWANTED", "when: args.transfer.amount > $auto or args.lines.count > 1"
    )
    desk.judge.replace("small", load(text.replace("mode: monitor", "mode: enforce").partition("examples:")[0]))
    assert "args.transfer.amount is unknown" in desk.decide().reason
    lines = [{"sku": "a", "quantity": 1}, {"sku": "b", "quantity": 1}]
    assert desk.decide(lines=lines).reason == "A trial."
    small = {"amount": {"amount_minor": 1, "currency": "USD"}, "method": "card"}
    assert isinstance(desk.decide(transfer=small), Allow)


def test_a_monitor_rule_never_stands_in_the_way_even_if_it_can_not_be_judged(
    load: Load, book_text: str, desk: Desk
) -> None:
    desk.judge.replace("small", load(book_text.replace("when: args.reason == UNWANTED", "when: order.country == NO")))
    assert isinstance(desk.decide(), Allow)
    verdict = desk.decide(facts={"order.country": "NO"})
    assert isinstance(verdict, Allow)
    assert [match.rule for match in verdict.matches if match.monitor] == ["RF-90"]


@pytest.mark.parametrize(
    ("now", "allowed"),
    [
        (datetime(2025, 12, 31, 23, 59, tzinfo=UTC), False),
        (datetime(2026, 1, 1, tzinfo=UTC), True),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), True),
        (datetime(2027, 1, 1, tzinfo=UTC), False),
    ],
)
def test_outside_its_dates_a_book_denies_everything(desk: Desk, now: datetime, allowed: bool) -> None:
    facts = {path: desk.fact(value, at=now) for path, value in desk.facts.items()}
    verdict = desk.decide(now=now, facts=facts)
    assert isinstance(verdict, Allow) is allowed
    assert allowed or "in force from 2026-01-01 to 2026-12-31, not now" in verdict.reason


def test_a_kind_without_a_book_and_a_tool_without_a_rule_are_denied(desk: Desk) -> None:
    action = desk.action("look").model_copy(update={"kind": "loans"})
    assert desk.judge.judge(action, {}, desk.now).reason == "No policy is in force for 'loans'."
    assert desk.judge.judge(desk.action("wire_money"), {}, desk.now).verdict == "deny"


def test_the_judge_says_what_it_wants_to_know(desk: Desk) -> None:
    assert desk.judge.wants("small", "refund", desk.now) == {"order.owned", "order.days", "photo.score"}
    assert desk.judge.wants("small", "look", desk.now) == {"order.owned"}
    assert desk.judge.wants("loans", "look", desk.now) == frozenset()
    paid, refunds = desk.judge.counts("small", "refund", desk.now)
    assert (paid.measure, paid.tools, paid.path, paid.per, paid.window_s, paid.include) == (
        "sum", ("refund",), "args.amount", "agent", 86_400, {"done"},
    )  # fmt: skip
    assert (refunds.measure, refunds.per, refunds.include) == ("count", "customer", {"done", "in_flight"})
    assert list(desk.judge.counts("small", "look", desk.now)) == []


def test_another_book_comes_into_force_at_once(load: Load, book_text: str, desk: Desk) -> None:
    before = desk.judge.book("small", desk.now)
    desk.judge.replace(
        "small", load(book_text.replace("150 USD, 15000", "50 USD, 15000").replace(": 80 USD", ": 8 USD"))
    )
    assert isinstance(desk.decide(), Review)
    assert desk.judge.book("small", desk.now).digest != before.digest


def test_rules_may_ask_about_the_tool_itself(load: Load, book_text: str, desk: Desk) -> None:
    condition = "when: tool.effect == irreversible and tool.egress.provider and not tool.egress.customer"
    text = book_text.replace("when: args.reason == UNWANTED", condition).replace("  mode: monitor\n", "")
    desk.judge.replace("small", load(text.partition("examples:")[0]))
    assert desk.decide().reason == "A trial."


def test_a_group_that_takes_over_is_used_by_who_may_be_late(book: Book) -> None:
    assert [problem.message for problem in remarks(book) if "reviewers" in problem.message] == []
