"""The records of a retail returns desk. Names follow Shopify, Stripe and the carriers' public APIs.

Three state axes, never one enum: `Return.status`, `ReturnLine.stage`, `Refund.status`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from core.money import Currency, Money


class ReturnStatus(StrEnum):
    REQUESTED = "REQUESTED"
    OPEN = "OPEN"
    DECLINED = "DECLINED"
    CANCELED = "CANCELED"
    CLOSED = "CLOSED"


class Tier(StrEnum):
    """What a customer is to the shop. A closed set, so that a policy can't ask for one that there is not."""

    STANDARD = "standard"
    PLUS = "plus"
    VIP = "vip"


class PaymentMethod(StrEnum):
    CARD = "card"
    WALLET = "wallet"
    PAY_LATER = "pay_later"
    GIFT_CARD = "gift_card"


class LineStage(StrEnum):
    AWAITING_LABEL = "AWAITING_LABEL"
    LABELLED = "LABELLED"
    IN_TRANSIT = "IN_TRANSIT"
    RECEIVED = "RECEIVED"
    INSPECTED = "INSPECTED"
    PROCESSED = "PROCESSED"


class RefundStatus(StrEnum):
    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class Reason(StrEnum):
    COLOR = "COLOR"
    DEFECTIVE = "DEFECTIVE"
    NOT_AS_DESCRIBED = "NOT_AS_DESCRIBED"
    SIZE_TOO_LARGE = "SIZE_TOO_LARGE"
    SIZE_TOO_SMALL = "SIZE_TOO_SMALL"
    STYLE = "STYLE"
    UNWANTED = "UNWANTED"
    WRONG_ITEM = "WRONG_ITEM"
    UNKNOWN = "UNKNOWN"
    OTHER = "OTHER"


OUR_FAULT = frozenset({Reason.DEFECTIVE, Reason.WRONG_ITEM, Reason.NOT_AS_DESCRIBED})
"""Reasons for which the shop answers, not the customer."""


class DeclineReason(StrEnum):
    FINAL_SALE = "FINAL_SALE"
    RETURN_PERIOD_ENDED = "RETURN_PERIOD_ENDED"
    OTHER = "OTHER"


class Disposition(StrEnum):
    RESTOCKED = "RESTOCKED"
    NOT_RESTOCKED = "NOT_RESTOCKED"
    PROCESSING_REQUIRED = "PROCESSING_REQUIRED"
    MISSING = "MISSING"


class Grade(StrEnum):
    A = "A"  # new
    B = "B"  # open box
    C = "C"  # damaged
    D = "D"  # salvage


class Resolution(StrEnum):
    REFUND_ORIGINAL = "REFUND_ORIGINAL"
    STORE_CREDIT = "STORE_CREDIT"
    EXCHANGE = "EXCHANGE"
    RETURNLESS_REFUND = "RETURNLESS_REFUND"
    REPLACE = "REPLACE"
    DENY = "DENY"


class FraudSignal(StrEnum):
    WARDROBING = "WARDROBING"
    EMPTY_BOX = "EMPTY_BOX"
    ITEM_SWAP = "ITEM_SWAP"
    COUNTERFEIT = "COUNTERFEIT"
    INR_CLAIM = "INR_CLAIM"
    SERIAL_RETURNER = "SERIAL_RETURNER"
    STOLEN_TENDER = "STOLEN_TENDER"
    QTY_OVERSTATED = "QTY_OVERSTATED"
    RECEIPT_FRAUD = "RECEIPT_FRAUD"
    COLLUSION = "COLLUSION"


class OrderStatus(StrEnum):
    PLACED = "PLACED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELED = "CANCELED"


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Variant(Record):
    """A thing on a shelf. `options` such as {"color": "red", "size": "M"}."""

    variant_id: str
    product_id: str
    title: str
    category: str
    options: dict[str, str] = {}
    price: Money
    stock: int = Field(ge=0)
    final_sale: bool = False
    serialised: bool = False
    """Carries a serial number, so a swap can be seen."""
    returnless_below: Money | None = None
    """Under this amount the goods are not worth their way back."""


class Customer(Record):
    customer_id: str
    name: str
    email: str
    address: str
    country: str
    joined: datetime
    tier: Tier = Tier.STANDARD
    signals: list[FraudSignal] = []
    """Raised by earlier cases, not by this one."""


class FulfillmentLine(Record):
    fulfillment_line_item_id: str
    variant_id: str
    title: str
    category: str
    options: dict[str, str] = {}
    quantity: int = Field(ge=1)
    unit_price: Money
    """Paid for one, after discounts, tax included."""
    final_sale: bool = False
    returned_quantity: int = 0
    """In returns that are not declined or cancelled."""


class Order(Record):
    order_id: str
    customer_id: str
    currency: Currency
    placed_at: datetime
    delivered_at: datetime | None = None
    status: OrderStatus
    lines: list[FulfillmentLine]
    shipping_paid: Money
    total: Money
    refunded: Money
    """Money given back so far, by refund or store credit."""
    payment_method: PaymentMethod = PaymentMethod.CARD
    payment_fingerprint: str = ""
    """The payment provider's name for the card or the account, the same in every order that was paid with it."""
    return_window_days: int = 30
    gift: bool = False


class ReturnLine(Record):
    line_id: str
    fulfillment_line_item_id: str
    quantity: int = Field(ge=1)
    reason: Reason
    customer_note: str = ""
    stage: LineStage = LineStage.AWAITING_LABEL
    grade: Grade | None = None
    evidence_refs: list[str] = []
    dispositions: list[Disposition] = []
    kept: bool = False
    """Left with the customer, who was paid for it."""

    @property
    def came_back(self) -> bool:
        """The goods are here. What was processed as missing, or left with the customer, never came."""
        away = self.kept or Disposition.MISSING in self.dispositions
        return self.stage in HERE and not away


HERE = frozenset({LineStage.RECEIVED, LineStage.INSPECTED, LineStage.PROCESSED})
"""Stages that the warehouse has seen to: nothing of it is awaited any more."""


class Return(Record):
    return_id: str
    order_id: str
    customer_id: str
    status: ReturnStatus
    lines: list[ReturnLine]
    requested_at: datetime
    decline_reason: DeclineReason | None = None
    decline_note: str = ""
    fees: Money | None = None
    label_id: str | None = None


class Refund(Record):
    """`method` is `original` or `store_credit`."""

    refund_id: str
    order_id: str
    return_id: str | None
    amount: Money
    method: str
    status: RefundStatus
    reason: str
    created_at: datetime


class Label(Record):
    label_id: str
    return_id: str
    carrier: str
    tracking: str
    cost: Money
    charge_event: str
    """`creation` or `scan`: when the carrier bills it."""
    voided: bool = False


class Exchange(Record):
    exchange_id: str
    return_id: str
    lines: list[ExchangeLine]
    created_at: datetime


class ExchangeLine(Record):
    """Variant and count that leave the shelf, and what each costs beyond the piece that came back."""

    variant_id: str
    quantity: int = Field(ge=1)
    fulfillment_line_item_id: str = ""
    """The line of the order that the piece came back from."""
    price_difference: Money


class Message(Record):
    message_id: str
    customer_id: str
    subject: str
    body: str
    sent_at: datetime


Exchange.model_rebuild()
