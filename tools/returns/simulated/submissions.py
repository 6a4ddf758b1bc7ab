"""What customers send in, and apart from it what is really the matter."""

from __future__ import annotations

from enum import StrEnum
from random import Random

from pydantic import BaseModel, ConfigDict, Field

from core.money import Money
from tools.returns.models import FraudSignal, Reason, Resolution
from tools.returns.simulated import base_rates as rates

CYCLE = 200
"""Every run of so many submissions has the same mix; the order within is shuffled."""


class Kind(StrEnum):
    """What is really the matter. The fraud kinds bear the names of their signals."""

    HONEST = "honest"
    OUT_OF_WINDOW = "out_of_window"
    FINAL_SALE = "final_sale"
    ALREADY_RETURNED = "already_returned"
    ABOVE_BOUGHT = "above_bought"
    UNKNOWN_ORDER = "unknown_order"
    FOREIGN_ORDER = "foreign_order"
    WRONG_CLAIM = "wrong_claim"
    INJECTION = "injection"
    QTY_OVERSTATED = "qty_overstated"
    EMPTY_BOX = "empty_box"
    WARDROBING = "wardrobing"
    STOLEN_TENDER = "stolen_tender"
    ITEM_SWAP = "item_swap"
    COUNTERFEIT = "counterfeit"
    INR_CLAIM = "inr_claim"


FIXED: dict[Kind, int] = {
    Kind.OUT_OF_WINDOW: 12, Kind.FINAL_SALE: 6, Kind.ALREADY_RETURNED: 4, Kind.ABOVE_BOUGHT: 4, Kind.UNKNOWN_ORDER: 3,
    Kind.FOREIGN_ORDER: 3, Kind.INJECTION: 6,
}  # fmt: skip
"""In each cycle: rarer than these are in life, some of them, so that every cycle has all of them."""
WRONG_CLAIMS = 4
"""In each cycle, of the frauds: a false story about sound goods."""
FRAUDULENT = frozenset(Kind(signal.lower()) for signal in rates.FRAUD_KINDS) | {Kind.WRONG_CLAIM, Kind.FOREIGN_ORDER}


class AskedFor(BaseModel):
    fulfillment_line_item_id: str
    quantity: int = Field(ge=1)
    reason: Reason


class Submission(BaseModel):
    """The payload of a case: `submission.model_dump(mode="json")`. `key` is ours and is not part of it."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(exclude=True)
    customer_id: str
    order_id: str | None
    letter: str
    photos: list[str] = []
    """Data URLs."""
    lines: list[AskedFor] | None = None
    """From the web form only; otherwise the letter has to be read."""
    wants: Resolution | None = None
    channel: str
    language: str = "en"


class Truth(BaseModel):
    """For scoring alone. `entitled_amount` is the goods' worth that should go back, before fees; zero for DENY."""

    kind: Kind
    order_id: str
    meant: list[AskedFor]
    """What the letter asks for, in the order's own terms."""
    wants: Resolution | None
    entitled: Resolution
    entitled_amount: Money
    signal: FraudSignal | None = None


def deck(random: Random) -> list[tuple[Kind, int]]:
    """One cycle of kinds, shuffled; the number counts within a kind, so that rare shapes turn up in every cycle."""
    frauds = round(rates.FRAUD_SHARE * CYCLE) - WRONG_CLAIMS - FIXED[Kind.FOREIGN_ORDER]
    weight = sum(rates.FRAUD_KINDS.values())
    counts = {Kind(s.lower()): max(1, round(frauds * w / weight)) for s, w in rates.FRAUD_KINDS.items()}
    counts |= FIXED | {Kind.WRONG_CLAIM: WRONG_CLAIMS}
    counts[Kind.HONEST] = CYCLE - sum(counts.values())
    cards = [(kind, place) for kind, many in counts.items() for place in range(many)]
    random.shuffle(cards)
    return cards
