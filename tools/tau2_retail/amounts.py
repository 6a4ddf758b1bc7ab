"""Dollars of a world that keeps them as floats: read as exact cents here, and nowhere compared as floats."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from core.money import Money

_CENT = Decimal("0.01")
_AMOUNTS = frozenset({"amount", "balance", "exchange_price_difference", "price"})


def dollars(amount: float) -> Decimal:
    """To the nearest cent: 121.20000000000005, as some records have it, is 121.20."""
    return Decimal(repr(amount)).quantize(_CENT, ROUND_HALF_EVEN)


def money(amount: float) -> Money:
    return Money.of(dollars(amount), "USD")


def with_money(record: Any) -> Any:
    """A copy of a record in which every amount is `Money` in JSON form: what tools give to agents."""
    if isinstance(record, list):
        return [with_money(part) for part in record]
    if not isinstance(record, dict):
        return record
    return {
        name: money(value).model_dump(mode="json")
        if name in _AMOUNTS and isinstance(value, int | float)
        else with_money(value)
        for name, value in record.items()
    }
