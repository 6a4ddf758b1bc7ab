"""What each tool gives back: what an agent needs for its next step, and no more of a person than that."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict

from core.money import Money
from tools.returns.args import AskedLine
from tools.returns.models import (
    Customer,
    ExchangeLine,
    FraudSignal,
    LineStage,
    Order,
    Reason,
    RefundStatus,
    Return,
    ReturnStatus,
    Tier,
    Variant,
)


class Result(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OrderFound(Order):
    refundable: Money
    """Total less what was given back."""
    given_outside_returns: Money
    """Of what was given back, the part that belongs to no return: goodwill, or goods that nobody registered."""

    @property
    def order(self) -> Order:
        return Order.model_validate(self.model_dump(exclude={"refundable", "given_outside_returns"}))


class ReturnableItem(Result):
    fulfillment_line_item_id: str
    variant_id: str
    title: str
    category: str
    options: dict[str, str]
    unit_price: Money
    bought: int
    returnable: int
    """Pieces that are in no other return."""
    final_sale: bool


class ReturnableItems(Result):
    order_id: str
    items: list[ReturnableItem]


class PastReturn(Result):
    return_id: str
    order_id: str
    status: ReturnStatus
    requested_at: datetime
    reasons: list[Reason]

    @property
    def counts(self) -> bool:
        return self.status not in {ReturnStatus.DECLINED, ReturnStatus.CANCELED}


class History(Result):
    """A customer's last twelve months. Declined and cancelled returns are listed but not counted."""

    customer_id: str
    tier: Tier
    joined: datetime
    signals: list[FraudSignal]
    orders_12m: int
    returns_12m: int
    return_rate_pct: int
    """Returns for each hundred orders."""
    returns: list[PastReturn]

    @classmethod
    def of(cls, customer: Customer, orders: int, returns: list[PastReturn]) -> Self:
        counted = sum(past.counts for past in returns)
        return cls(
            customer_id=customer.customer_id,
            tier=customer.tier,
            joined=customer.joined,
            signals=customer.signals,
            orders_12m=orders,
            returns_12m=counted,
            return_rate_pct=counted * 100 // max(orders, 1),
            returns=returns,
        )

    def without(self, return_id: str) -> Self:
        """As it was before this return."""
        returns = [past for past in self.returns if past.return_id != return_id]
        counted = sum(past.counts for past in returns)
        rate = counted * 100 // max(self.orders_12m, 1)
        return self.model_copy(update={"returns": returns, "returns_12m": counted, "return_rate_pct": rate})


class VariantFound(Result):
    variant: Variant
    alternatives: list[Variant]
    """Other variants of the same product that are on the shelf."""


class KnownVariants(Result):
    variants: list[Variant]


class ReturnFound(Return):
    given: Money
    """What the customer got for it so far: money, credit, and the worth of exchanged pieces."""


def asked_again(found: Return) -> list[AskedLine]:
    """The lines of a return as they were asked for."""
    wanted = set(AskedLine.model_fields)
    return [AskedLine.model_validate(line.model_dump(include=wanted)) for line in found.lines]


class ReturnLineState(Result):
    line_id: str
    fulfillment_line_item_id: str
    quantity: int
    stage: LineStage


class ReturnState(Result):
    """A return after a step on it."""

    return_id: str
    order_id: str
    status: ReturnStatus
    lines: list[ReturnLineState]
    label_id: str | None = None


class MoneyGiven(Result):
    refund_id: str
    order_id: str
    return_id: str | None
    amount: Money
    method: str
    status: RefundStatus
    refundable: Money
    """What is left to give back on the order."""


class Exchanged(Result):
    exchange_id: str
    return_id: str
    lines: list[ExchangeLine]


class Processed(ReturnState):
    refund: MoneyGiven | None = None
    exchange: Exchanged | None = None
    message_id: str | None = None


class LabelMade(Result):
    label_id: str
    return_id: str
    carrier: str
    tracking: str
    cost: Money
    charge_event: str
    """`creation` or `scan`: when the carrier bills the cost."""


class LabelVoided(Result):
    label_id: str
    return_id: str
    voided: bool


class MessageSent(Result):
    message_id: str
    customer_id: str


class Asked(Result):
    asked: str
