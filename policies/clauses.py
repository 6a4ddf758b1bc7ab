"""What a book is made of once it was read: rules, reviewers, promises and examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Literal

from core.verdicts import FactValue, ReviewerSet, RuleMatch
from policies.conditions import Condition
from policies.problems import At

Decides = Literal["allow", "review", "deny"]


@dataclass(frozen=True)
class Rule:
    """`conditions` has one tree for each tool: `when`, less `unless`, typed for that tool's arguments."""

    id: str
    decides: Decides
    reviewers: tuple[ReviewerSet, ...]
    conditions: Mapping[str, Condition]
    reason: str
    cite: str
    monitor: bool
    at: At

    @property
    def decision(self) -> str:
        """As it is written in the file."""
        if self.decides != "review":
            return self.decides
        return f"review by {' and '.join(group.group for group in self.reviewers)}"

    @cached_property
    def match(self) -> RuleMatch:
        """As a verdict cites it."""
        return RuleMatch(rule=self.id, decides=self.decides, reason=self.reason, cite=self.cite, monitor=self.monitor)


@dataclass(frozen=True, slots=True)
class Never:
    """A promise: under this condition the book never allows these tools without a person."""

    conditions: Mapping[str, Condition]
    why: str
    at: At


@dataclass(frozen=True, slots=True)
class Expected:
    """What an example expects: a verdict, and at will the groups, the rules, or the facts that are missing."""

    verdict: Decides
    groups: frozenset[str] | None = None
    rules: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    no_rule: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    number: int
    """Counted from 1, in the order of the file."""
    tool: str
    facts: Mapping[str, FactValue]
    """Typical values, overridden by the case's own; None where the case says `unknown`."""
    expected: Expected
    text: str
    at: At


@dataclass(frozen=True, slots=True)
class InForce:
    """Whole days, in UTC; both ends included. No end means until it is replaced."""

    since: date
    until: date | None
    at: At = field(default=At(1, 1), compare=False)

    def covers(self, day: date) -> bool:
        return self.since <= day and (self.until is None or day <= self.until)

    def __str__(self) -> str:
        return f"from {self.since} to {self.until}" if self.until else f"from {self.since}"
