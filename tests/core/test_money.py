"""Money: whole minor units, three kinds of currency, and everything that is no amount."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from core.errors import InvalidInput
from core.money import Money, exponent


@pytest.mark.parametrize(
    ("text", "minor", "currency", "told"),
    [
        ("150.01 USD", 15001, "USD", "150.01 USD"),
        ("2985 JPY", 2985, "JPY", "2985 JPY"),
        ("12.345 KWD", 12345, "KWD", "12.345 KWD"),
        ("-0.5 usd", -50, "USD", "-0.50 USD"),
        ("  7   USD ", 700, "USD", "7.00 USD"),
        ("0.0001 CLF", 1, "CLF", "0.0001 CLF"),
        ("0.10 USD", 10, "USD", "0.10 USD"),
    ],
)
def test_amounts_are_read_exactly_and_told_as_they_were(text: str, minor: int, currency: str, told: str) -> None:
    money = Money.parse(text)
    assert (money.amount_minor, money.currency) == (minor, currency)
    assert str(money) == told
    assert Money.parse(str(money)) == money


@pytest.mark.parametrize(
    "text",
    [
        "",
        "150",
        "USD 150",
        "$150",
        "1,50 USD",
        "1e3 USD",
        "0x10 USD",
        "+5 USD",
        "5. USD",
        ".5 USD",
        "NaN USD",
        "Infinity USD",
        "150 USDX",
        "150 XXX",
        "9999999999999999 USD",
        "10.5 JPY",
        "1.005 USD",
        "1.2345 KWD",
        "--5 USD",
        "5 USD 6",
    ],
)
def test_what_is_no_amount_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Money.parse(text)
    assert refused.value.hint


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "sNaN", "many", ""])
def test_what_is_no_number_is_refused_too(amount: str) -> None:
    with pytest.raises(InvalidInput):
        Money.of(amount, "USD")


@pytest.mark.parametrize("raw", [1.5, 1.0, "1", True, None])
def test_minor_units_are_whole_numbers_and_nothing_that_looks_like_one(raw: object) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount_minor": raw, "currency": "USD"})


@pytest.mark.parametrize("currency", ["usd", "US", "", "USDT", "EURO", "XXX"])
def test_an_unknown_currency_is_named(currency: str) -> None:
    with pytest.raises(ValidationError, match="unknown currency"):
        Money(amount_minor=1, currency=currency)
    with pytest.raises(InvalidInput, match="Unknown currency"):
        exponent(currency)


def test_currencies_are_never_mixed() -> None:
    dollars, yen = Money.parse("1 USD"), Money.parse("1 JPY")
    assert dollars != yen
    for mixed in (
        lambda: dollars + yen,
        lambda: dollars - yen,
        lambda: dollars < yen,
        lambda: dollars >= yen,
        lambda: Money.total([dollars, yen], "USD"),
    ):
        with pytest.raises(InvalidInput, match="Can't combine"):
            mixed()


def test_arithmetic_stays_whole() -> None:
    price = Money.parse("0.05 USD")
    assert price.times(Decimal("0.5")) == Money(amount_minor=2, currency="USD")  # half to even
    assert price.times(3) == Money.parse("0.15 USD")
    assert Money.total([price] * 3, "USD") - price == Money.parse("0.10 USD")
    assert -price == Money.parse("-0.05 USD")
    assert max(price, Money.zero("USD")) == price
    assert Money.parse("12.345 KWD").major == Decimal("12.345")


def test_an_amount_can_not_be_changed_and_takes_nothing_else() -> None:
    with pytest.raises(ValidationError):
        Money.parse("1 USD").amount_minor = 2  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Money.model_validate({"amount_minor": 1, "currency": "USD", "note": "x"})
