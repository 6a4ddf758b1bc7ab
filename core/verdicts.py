"""What policy says of an action: Allow, Review or Deny, and everything that made it say so."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, StrictBool, StrictInt, model_validator

from core.money import Money

FactValue = Money | StrictBool | StrictInt | Annotated[Decimal, Strict()] | str | datetime | None
"""None means: asked for, and there is no value (a missing fact).

Strict, or the text `NO` (a country) would become False and the text `10` a number.
"""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Source(StrEnum):
    """Who gave an argument first. In the order of trust, the most trusted first."""

    RECORD = "record"  # a system of record: what a tool answered, or who is signed in
    PERSON = "person"  # a person changed it
    CUSTOMER = "customer"  # the customer wrote it
    MODEL = "model"  # nobody: the model made it up


class Fact(_Frozen):
    """One thing known about an action, from a system of record, never from the model's word."""

    value: FactValue = Field(union_mode="left_to_right")
    source: str
    """Where it came from: `shop`, `ledger`, `args` (what the model wrote), `gate` (who gave an argument), `policy`."""
    at: datetime
    witnessed: bool = False
    """People decide on it: if it changed by the time the action runs, nothing runs."""


class ReviewerSet(_Frozen):
    """Who has to countersign: `people` distinct persons of `role`, within so many seconds."""

    group: str
    role: str
    people: int = Field(ge=1)
    within_s: int = Field(gt=0)
    late: ReviewerSet | None = None
    """Who takes over when they are late; with nobody, late is no."""
    stands_for: tuple[str, ...] = ()
    """In a review: the groups that were late before this one took over. Policy asks for the first of them."""

    @model_validator(mode="after")
    def _never_fewer(self) -> Self:
        if self.late is not None and self.late.people < self.people:
            raise ValueError(f"{self.late.group} would take over from {self.group} with fewer people")
        return self

    @property
    def successors(self) -> tuple[ReviewerSet, ...]:
        """Who takes over, one after the other."""
        return () if self.late is None else (self.late, *self.late.successors)


class RuleMatch(_Frozen):
    """A rule that matched, with the paragraph it stands on."""

    rule: str
    decides: Literal["allow", "review", "deny"]
    reason: str
    cite: str = ""
    monitor: bool = False
    """Logged, never enforced."""


class BookRef(_Frozen):
    """Which policy decided: name, version, and the hash of its file."""

    policy: str
    version: str
    digest: str


class _Verdict(_Frozen):
    reason: str
    matches: tuple[RuleMatch, ...] = ()
    book: BookRef
    facts: dict[str, Fact] = {}
    """The facts that the decision read."""


class Allow(_Verdict):
    verdict: Literal["allow"] = "allow"


class Review(_Verdict):
    verdict: Literal["review"] = "review"
    reviewers: tuple[ReviewerSet, ...] = Field(min_length=1)


class Deny(_Verdict):
    verdict: Literal["deny"] = "deny"


Verdict = Annotated[Allow | Review | Deny, Field(discriminator="verdict")]


class FactType(StrEnum):
    MONEY = "money"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TEXT = "text"
    CHOICE = "choice"
    TIME = "time"


class FactSpec(_Frozen):
    """What a policy may ask of the systems of record: declared by a kind, typed for the linter."""

    path: str
    type: FactType
    doc: str
    choices: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    """The tools for which the fact can be told; empty for all of the kind's tools."""
    least: int | None = None
    """It is never less than this, in minor units for money; a value that is less is taken for none at all."""
    witnessed: bool = False
