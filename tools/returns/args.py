"""What a model may write for each tool of a returns desk. Keys, cases and actors are never its words.

`expected_status` is the status that the writer believes to be present: of the return, unless said otherwise.
A write whose expectation is stale is refused, with the present status.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    model_validator,
)

from core.money import Money
from tools.returns.models import DeclineReason, Disposition, Grade, Reason, Resolution, ReturnStatus

NOTE_LIMIT = 4_000
PHOTO_LIMIT = 4_000_000
_MOST_MINOR = 10**13


def _payable(amount: Money) -> Money:
    if amount.amount_minor <= 0:
        raise ValueError("the amount has to be above zero")
    if amount.amount_minor > _MOST_MINOR:
        raise ValueError("the amount is beyond anything an order can cost")
    return amount


Id = Annotated[str, StringConstraints(pattern=r"^[#A-Za-z0-9][A-Za-z0-9_.:#-]{0,63}$")]
Status = Annotated[str, StringConstraints(pattern=r"^[A-Z]{4,12}$")]
Note = Annotated[str, StringConstraints(max_length=NOTE_LIMIT)]
Amount = Annotated[Money, AfterValidator(_payable)]
Quantity = Annotated[StrictInt, Field(ge=1, le=1_000)]


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AskedLine(Args):
    """Pieces of one line of an order that a customer wants to give back."""

    fulfillment_line_item_id: Id
    quantity: Quantity
    reason: Reason
    customer_note: Note = ""


AskedLines = Annotated[list[AskedLine], Field(min_length=1, max_length=50)]


class ExchangeItem(Args):
    """Pieces that come back, and the variant that leaves the shelf for them."""

    fulfillment_line_item_id: Id
    variant_id: Id
    quantity: Quantity


class GetOrder(Args):
    order_id: Id
    customer_id: Id


class OfOrder(Args):
    order_id: Id


class OfCustomer(Args):
    customer_id: Id


class GetReturn(Args):
    return_id: Id
    customer_id: Id


class GetVariant(Args):
    variant_id: Id


class ScorePhoto(Args):
    """`photo` is base64 (a data URL too), or a file name in the folder of the case's photos."""

    photo: Annotated[str, StringConstraints(min_length=1, max_length=PHOTO_LIMIT)]


class Evaluate(Args):
    order_id: Id
    lines: AskedLines
    wants: Resolution | None = None


class Calculate(Args):
    order_id: Id
    lines: AskedLines
    resolution: Resolution


class RequestReturn(Args):
    order_id: Id
    lines: AskedLines


class OnReturn(Args):
    """A step on a return that says nothing but which return, and what it expects to find."""

    return_id: Id
    expected_status: ReturnStatus


class Decline(OnReturn):
    reason: DeclineReason
    note: Note


class Receive(OnReturn):
    line_ids: Annotated[list[Id], Field(min_length=1, max_length=50)]


class Inspect(OnReturn):
    line_id: Id
    grade: Grade
    evidence_refs: Annotated[list[Id], Field(max_length=20)] = []


class FinancialTransfer(Args):
    """Money that goes back when a return is processed."""

    amount: Amount
    method: Annotated[str, StringConstraints(pattern=r"^(original|store_credit)$")]
    """`original` payment method, or `store_credit`."""

    @property
    def resolution(self) -> Resolution:
        return Resolution.STORE_CREDIT if self.method == "store_credit" else Resolution.REFUND_ORIGINAL


class Process(OnReturn):
    """`dispositions` has one entry for each of `lines` (line ids), in their order."""

    lines: Annotated[list[Id], Field(min_length=1, max_length=50)]
    dispositions: Annotated[list[Disposition], Field(min_length=1, max_length=50)]
    exchange_lines: Annotated[list[ExchangeItem], Field(max_length=50)] = []
    fees: Amount | None = None
    financial_transfer: FinancialTransfer | None = None
    notify_customer: StrictBool = False

    @model_validator(mode="after")
    def _one_disposition_each(self) -> Self:
        if len(self.lines) != len(self.dispositions) or len(set(self.lines)) != len(self.lines):
            raise ValueError("give each line once, with one disposition for each")
        return self


class CreateRefund(Args):
    """`expected_status` is the return's; where `return_id` is null, the order's."""

    order_id: Id
    return_id: Id | None = None
    amount: Amount
    reason: Reason
    keep_item: StrictBool = False
    """The customer keeps the goods: they are not worth their way back."""
    expected_status: Status


class IssueCredit(Args):
    """`expected_status` is the return's; where `return_id` is null, the order's."""

    order_id: Id
    return_id: Id | None = None
    amount: Amount
    expected_status: Status


class CreateExchange(OnReturn):
    lines: Annotated[list[ExchangeItem], Field(min_length=1, max_length=50)]


class VoidLabel(Args):
    label_id: Id


class SendMessage(Args):
    customer_id: Id
    subject: Annotated[
        str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f\u0085\u2028\u2029]+$")
    ]
    """One line."""
    body: Annotated[str, StringConstraints(min_length=1, max_length=NOTE_LIMIT)]


class AskPeople(Args):
    """A question that the agent can't answer by itself, with what a person has to know to answer it."""

    question: Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
    context: Note = ""
