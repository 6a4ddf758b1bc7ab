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
    RESPOND = "respond"  # words for the agent, which are no approval: it plans anew with them
    ESCALATE = "escalate"  # to the next group, or a named one; whoever passes it on has no vote any more


class Decision(BaseModel):
    """What a person decides. `seen` is the digest of what was shown: it must still be the present one."""

    choice: Choice
    seen: str = Field(max_length=64)
    reason_code: str = Field(default="", max_length=64)
    note: str = Field(default="", max_length=4000)
    """For the file; of a response and of an escalation it is what is said, and can't be empty."""
    args: dict[str, JSON] | None = None
    to: str = Field(default="", max_length=100)
    """The group that an escalation goes to; the next one of policy's chain, if empty."""
    claim: str = Field(default="", max_length=40)
    """The token of the claim under which it was looked at: if others claimed it since, nothing is decided."""
    versions: frozenset[int] | None = None
    """Of the review, to which alone it applies; any, if none is named."""
    dwell_s: int = Field(default=0, ge=0, le=24 * 3600)
    """Seconds that the person looked at it, for the cost of the case."""


class Decided(BaseModel):
    """What came of a vote: decided, or still waiting for others."""

    review_id: str
    status: ReviewStatus
    action_id: str
    waiting_for: list[str] = []
