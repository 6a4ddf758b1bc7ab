"""Which of two decisions is the stricter one. deny > review > allow; of two reviews, the one that asks for more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from core.verdicts import ReviewerSet
from policies.clauses import Rule
from policies.program import Decision

_ORDER = {"allow": 0, "review": 1, "deny": 2}


class Direction(StrEnum):
    SAME = "same"
    TIGHTER = "tighter"
    LOOSER = "looser"
    MIXED = "mixed"
    UNPROVED = "unproved"

    @property
    def tightening(self) -> bool:
        """Nothing becomes possible that was not, and nothing with fewer people."""
        return self in (Direction.SAME, Direction.TIGHTER)


def together(directions: Iterable[Direction]) -> Direction:
    found = set(directions)
    if Direction.MIXED in found or {Direction.LOOSER, Direction.TIGHTER} <= found:
        return Direction.MIXED
    for worst in (Direction.LOOSER, Direction.UNPROVED, Direction.TIGHTER):
        if worst in found:
            return worst
    return Direction.SAME


def asks_as_much(new: ReviewerSet, old: ReviewerSet) -> bool:
    """As many people of the same role, in no more time, and late is no milder. Another role is no comparison.

    Less time asks for more only where late means no. Where others are asked when it is over, it takes the choice from
    the first ones: within a second nobody answers, and those are asked alone. There the time has to be the same.
    """
    if new.role != old.role or new.people < old.people:
        return False
    if new.late is None:
        return new.within_s <= old.within_s
    return new.within_s == old.within_s and old.late is not None and asks_as_much(new.late, old.late)


@dataclass(frozen=True)
class Groups:
    """The groups that two versions can ask, paired: by name, and renamed ones one by one, so that no seat is lost."""

    old: Mapping[str, ReviewerSet]
    new: Mapping[str, ReviewerSet]
    partner: Mapping[str, str]
    """The new group's name by the old one's."""

    @classmethod
    def of(cls, old: Iterable[Rule], new: Iterable[Rule]) -> Groups:
        before = {group.group: group for rule in old for group in rule.reviewers}
        after = {group.group: group for rule in new for group in rule.reviewers}
        partner = {name: name for name in before if name in after}
        for name in sorted(before.keys() - after.keys()):
            left = sorted(after.keys() - before.keys() - set(partner.values()))
            best = sorted(left, key=lambda other: -_likeness(before[name], after[other]))
            if best and _likeness(before[name], after[best[0]]):
                partner[name] = best[0]
        return cls(before, after, partner)

    def kept(self, old: str) -> str | None:
        """The new group that asks as much as an old one."""
        new = self.partner.get(old)
        return new if new is not None and asks_as_much(self.new[new], self.old[old]) else None

    def had(self, new: str) -> str | None:
        """The old group that asked as much as a new one."""
        old = next((old for old, partner in self.partner.items() if partner == new), None)
        return old if old is not None and asks_as_much(self.old[old], self.new[new]) else None

    def compare(self, old: Decision, new: Decision) -> Direction:
        """Of two decisions on the same action. Reviews that can't be compared count as looser: not proved tighter."""
        if old.verdict != new.verdict:
            return Direction.TIGHTER if _ORDER[new.verdict] > _ORDER[old.verdict] else Direction.LOOSER
        if new.verdict != "review":
            return Direction.SAME
        before, after = _asked(old), _asked(new)
        if any(self.kept(group) not in after for group in before):
            return Direction.LOOSER
        return Direction.TIGHTER if any(self.had(group) not in before for group in after) else Direction.SAME


def _likeness(old: ReviewerSet, new: ReviewerSet) -> int:
    return 2 * asks_as_much(new, old) + asks_as_much(old, new)


def _asked(decision: Decision) -> set[str]:
    return {group.group for rule in decision.deciding for group in rule.reviewers}
