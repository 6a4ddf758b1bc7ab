"""What others hear of a case: the data of each event that we publish. Ids, states and words of policy, no person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CaseOpened(_Told):
    """A case was opened."""

    kind: str


class ReviewRequested(_Told):
    """An action waits for people."""

    review: str
    action: str
    groups: list[str]
    """Reviewer groups of the policy."""
    due_at: AwareDatetime


class ReviewDecided(_Told):
    """People decided on it, or it is not asked any more."""

    review: str
    status: Literal["approved", "rejected", "edited", "expired", "superseded"]


class EffectDone(_Told):
    """An action was carried out at its provider."""

    action: str
    tool: str


class CaseClosed(_Told):
    """The case is over."""

    status: Literal["closed", "cancelled"]
    outcome: str


TOLD: Mapping[str, type[BaseModel]] = {
    "case.opened": CaseOpened,
    "review.requested": ReviewRequested,
    "review.decided": ReviewDecided,
    "effect.done": EffectDone,
    "case.closed": CaseClosed,
}
