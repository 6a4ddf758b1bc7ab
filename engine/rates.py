"""What the house's own work costs. Tools say themselves what a call of theirs cost."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from core.money import Money


class RateCard(BaseModel):
    """Rates in minor units of one currency.

    Handling labour of 12-21 minutes and 3.60-6.30 USD a return (NRF 2025) is 18 USD an hour; a
    reviewer is put at 36. An embedded planner has no token price.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: str = "USD"
    reviewer_minute_minor: int = 60
    reviewer_least_s: int = 30
    """A decision is billed for at least so many seconds."""
    platform_case_minor: int = 4
    tokens_in_per_million_minor: int = 0
    tokens_out_per_million_minor: int = 0

    def review(self, seconds: int) -> Money:
        billed = max(seconds, self.reviewer_least_s)
        return Money(amount_minor=-(-self.reviewer_minute_minor * billed // 60), currency=self.currency)

    def platform(self) -> Money:
        return Money(amount_minor=self.platform_case_minor, currency=self.currency)

    def tokens(self, tokens_in: int, tokens_out: int) -> Money:
        micro = tokens_in * self.tokens_in_per_million_minor + tokens_out * self.tokens_out_per_million_minor
        return Money(amount_minor=-(-micro // 1_000_000), currency=self.currency)
