"""Evidence is told from facts, and a fact that is missing says nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from core.money import Money
from core.verdicts import Fact, FactValue
from tools.returns.evidence import evidence


def facts(**known: FactValue) -> dict[str, Fact]:
    at = datetime(2026, 11, 2, tzinfo=UTC)
    return {path.replace("__", "."): Fact(value=value, source="shop", at=at) for path, value in known.items()}


def test_a_late_claim_above_its_worth_has_both_against_it() -> None:
    speaks_for, against = evidence(
        facts(
            args__amount=Money.parse("50.00 USD"),
            return__entitled=Money.parse("41.00 USD"),
            order__days_since_delivery=45,
            order__window_days=30,
            order__owned_by_customer=True,
        )
    )
    assert speaks_for == ["it is the customer's own order"]
    assert against == [
        "50.00 USD is more than the 41.00 USD that the return is worth",
        "15 days after the 30 that the customer had",
    ]


def test_a_scored_photo_speaks_by_its_score_and_a_missing_one_only_where_it_matters() -> None:
    assert evidence(facts(vision__score=Decimal("0.83")))[0] == ["the photo supports the claim by 0.83 of 1"]
    assert evidence(facts(reason__our_fault=True))[1] == ["a fault of ours is claimed, and no photo was scored"]
    assert evidence(facts(reason__our_fault=False)) == ([], [])


def test_amounts_of_two_currencies_are_not_compared() -> None:
    assert evidence(facts(args__amount=Money.parse("5 USD"), return__entitled=Money.parse("500 JPY"))) == ([], [])
