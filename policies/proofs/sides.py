"""The rules of one tool in one book, as z3 sees them: which verdict they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from policies.clauses import Decides, Rule
from policies.proofs.encode import Encoding, Told
from policies.proofs.logic import Truth, every, no, some


@dataclass(frozen=True)
class Side:
    """Monitored rules are never part of it: they enforce nothing."""

    rules: tuple[Rule, ...]
    told: Mapping[str, Told]
    """By the rule's id."""

    @classmethod
    def of(cls, rules: tuple[Rule, ...], tool: str, encoding: Encoding, guessed: bool = False) -> Side:
        enforced = tuple(rule for rule in rules if tool in rule.conditions and not rule.monitor)
        return cls(enforced, {rule.id: encoding.whole(rule.conditions[tool], guessed) for rule in enforced})

    def matching(self, decides: Decides) -> Truth:
        """Whether a rule that decides so matches."""
        return some(self.told[rule.id].true for rule in self.rules if rule.decides == decides)

    @cached_property
    def unsettled(self) -> Truth:
        return some(told.open for told in self.told.values())

    @cached_property
    def _free(self) -> Truth:
        """Nothing denies, and everything can be told."""
        return every((no(self.matching("deny")), no(self.unsettled)))

    @cached_property
    def allow(self) -> Truth:
        return every((self._free, no(self.matching("review")), self.matching("allow")))

    @cached_property
    def review(self) -> Truth:
        return every((self._free, self.matching("review")))

    @cached_property
    def deny(self) -> Truth:
        """By a rule, for what can't be told, or by no rule."""
        return every((no(self.allow), no(self.review)))

    @cached_property
    def silent(self) -> Truth:
        """Everything can be told, and no rule matches."""
        return every(told.false for told in self.told.values())

    def asks(self, group: str) -> Truth:
        """Whether a matching rule asks this group."""
        return some(
            self.told[rule.id].true for rule in self.rules if any(each.group == group for each in rule.reviewers)
        )
