"""Published base rates, and our own assumptions where nothing is published: what a generated world stands on.

Sources: [NRF] National Retail Federation, returns report 2025; [AD] Appriss Retail and Deloitte 2024.
They give ranges that conflict by definition; we take the middle and keep the range beside it.
"""

from __future__ import annotations

from tools.returns.models import FraudSignal, Reason, Resolution

RETURN_RATE_RANGE = (0.19, 0.25)
"""Share of delivered online orders of which something comes back. [NRF]"""

FRAUD_SHARE = 0.12
"""Share of returns that are fraud or abuse. [NRF][AD] 0.09 to 0.15."""
FRAUD_SHARE_RANGE = (0.09, 0.15)

FRAUD_KINDS: dict[FraudSignal, float] = {
    FraudSignal.QTY_OVERSTATED: 0.71,  # share of retailers that report it, [NRF][AD]
    FraudSignal.EMPTY_BOX: 0.65,
    FraudSignal.WARDROBING: 0.60,
    FraudSignal.STOLEN_TENDER: 0.55,
    FraudSignal.ITEM_SWAP: 0.30,  # from here on assumed
    FraudSignal.COUNTERFEIT: 0.20,
    FraudSignal.INR_CLAIM: 0.30,
}
"""Used as weights, which the sources do not say: they count retailers, not cases."""

FRAUD_FOUND = 0.45
"""Assumed: share of past fraud that the desk saw, declined, and left a signal about."""

HABIT_SHAPE = (0.66, 2.34)
"""Assumed: beta distribution of a customer's return rate. Mean 0.22; few people return much, many nothing."""

CATEGORY_PULL: dict[str, float] = {
    "apparel": 1.35, "shoes": 1.3, "electronics": 0.85, "home": 0.75, "beauty": 0.5, "sports": 0.85, "toys": 0.7,
}  # fmt: skip
"""Assumed: how much more often a category comes back than the average order."""

SERIAL_RETURNS = 4
"""Assumed: returns in a customer's history from which an earlier case called them a serial returner."""

PAST_RESOLUTIONS: dict[Resolution, float] = {
    Resolution.REFUND_ORIGINAL: 0.66, Resolution.STORE_CREDIT: 0.16, Resolution.EXCHANGE: 0.13, Resolution.DENY: 0.05,
}  # fmt: skip
"""Assumed: how honest returns of the past ended."""

_R = Reason
REASONS: dict[str, dict[Reason, float]] = {
    "wear": {
        _R.SIZE_TOO_SMALL: 26, _R.SIZE_TOO_LARGE: 21, _R.STYLE: 11, _R.COLOR: 9, _R.NOT_AS_DESCRIBED: 8,
        _R.DEFECTIVE: 8, _R.UNWANTED: 8, _R.WRONG_ITEM: 5, _R.OTHER: 2, _R.UNKNOWN: 2,
    },
    "thing": {
        _R.DEFECTIVE: 30, _R.NOT_AS_DESCRIBED: 18, _R.UNWANTED: 18, _R.WRONG_ITEM: 10, _R.COLOR: 7,
        _R.STYLE: 6, _R.OTHER: 7, _R.UNKNOWN: 4,
    },
}  # fmt: skip
"""Assumed: why things come back, for what is worn and for everything else. Weights."""

WORN = frozenset({"apparel", "shoes"})


def reasons_of(category: str) -> dict[Reason, float]:
    return REASONS["wear" if category in WORN else "thing"]
