"""What a returns case starts from: a customer's letter, or a form, or both."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tools.returns.models import Reason, Resolution

LETTER_LIMIT = 20_000

Id = Annotated[str, StringConstraints(pattern=r"^[#A-Za-z0-9][A-Za-z0-9_.:#-]{0,63}$")]
Photo = Annotated[
    str,
    StringConstraints(
        max_length=12_000,
        pattern=r"^(?:[A-Za-z0-9][A-Za-z0-9_.:/-]{0,254}|data:image/[a-z+.-]{1,20};base64,[A-Za-z0-9+/]+={0,2})$",
    ),
]
"""The name of a photo, or a very small one as a data URL: a model reads the whole case, photos included."""


class RequestedLine(BaseModel):
    """A line of a form. Without a reason, the letter may give one."""

    model_config = ConfigDict(extra="forbid")

    fulfillment_line_item_id: Id
    quantity: int = Field(ge=1, le=1_000, strict=True)
    reason: Reason = Reason.UNKNOWN


class ReturnRequest(BaseModel):
    """A customer wants to give something back. The customer is known from the channel, never from the letter."""

    model_config = ConfigDict(extra="forbid")

    customer_id: Id
    order_id: Id | None = None
    letter: str = Field(default="", max_length=LETTER_LIMIT)
    photos: list[Photo] = Field(default=[], max_length=8)
    lines: list[RequestedLine] | None = Field(default=None, min_length=1, max_length=50)
    wants: Resolution | None = None
    channel: Literal["email", "web", "chat"] = "email"
    language: Literal["en"] = "en"

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.letter.strip() and not self.lines:
            raise ValueError("give a letter, or the lines that are to go back")
        return self
