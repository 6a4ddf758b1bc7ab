"""What a person sends to decide, and what comes of it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

from core.actions import JSON
from core.states import ReviewStatus


class Choice(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"
    EDIT = "edit"


class Decision(BaseModel):
    """What a person decides. `seen` is the digest of what was shown: it must still be the present one."""

    choice: Choice
    seen: str = Field(max_length=64)
    reason_code: str = Field(default="", max_length=64)
    note: str = Field(default="", max_length=4000)
    args: dict[str, JSON] | None = None
    dwell_s: int = Field(default=0, ge=0, le=24 * 3600)
    """Seconds that the person looked at it, for the cost of the case."""


class Decided(BaseModel):
    """What came of a vote: decided, or still waiting for others."""

    review_id: str
    status: ReviewStatus
    action_id: str
    waiting_for: list[str] = []
