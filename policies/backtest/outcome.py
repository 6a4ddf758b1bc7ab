"""What a backtest found, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from core.actions import JSON
from core.verdicts import BookRef
from policies.backtest.figures import Figure
from policies.backtest.tally import Changed

MONTH_DAYS = 30
SHORTEST_DAYS = 7
"""Traffic of less than a week says nothing of a month."""


@dataclass(frozen=True)
class LeftOut:
    """Decisions that can't be replayed, of one tool, for one reason."""

    tool: str
    why: str
    what: str
    many: int


@dataclass(frozen=True)
class Backtest:
    """Figures are `per`: a month of 30 days, or the time that was recorded where that is less than a week."""

    book: BookRef
    books_then: Mapping[str, int]
    """Decisions by `policy version (digest)` of the book that took them."""
    since: datetime | None
    until: datetime | None
    """Of the first and the last decision."""
    cases: int
    decisions: int
    replayed: int
    reproduced: int
    """Decisions of which the book of then, asked again on what was rebuilt, says what it said."""
    compared: int
    """Decisions whose book of then was at hand to be asked again."""
    matrix: Mapping[str, Mapping[tuple[str, str], int]]
    """For each tool: how many were `then` and are `now`."""
    other_reviewers: int
    """Decisions that were a review and are one, by other people."""
    changed_cases: int
    """Cases of which any decision changes."""
    figures: list[Figure]
    answers: Mapping[tuple[str, str], tuple[int, int]]
    """What people had said of what would now go out by itself: (currency, answer): how many, minor units."""
    largest: list[Changed]
    left_out: list[LeftOut]
    per: str
    scale: float

    @property
    def changed(self) -> int:
        moved = sum(many for found in self.matrix.values() for (then, now), many in found.items() if then != now)
        return moved + self.other_reviewers

    @property
    def unjudged(self) -> int:
        """Decisions of which nobody can tell what the new book says. While there are any, nothing is shown safe."""
        return sum(each.many for each in self.left_out)

    @property
    def verdicts(self) -> dict[tuple[str, str], int]:
        """The matrix over all tools."""
        total: dict[tuple[str, str], int] = {}
        for found in self.matrix.values():
            for pair, many in found.items():
                total[pair] = total.get(pair, 0) + many
        return total

    def as_json(self) -> dict[str, JSON]:
        return {
            "policy": self.book.model_dump(),
            "decided_by": dict(self.books_then),
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "cases": self.cases,
            "decisions": self.decisions,
            "replayed": self.replayed,
            "reproduced": self.reproduced,
            "compared": self.compared,
            "changed": self.changed,
            "unjudged": self.unjudged,
            "changed_cases": self.changed_cases,
            "other_reviewers": self.other_reviewers,
            "verdicts": {
                tool: [{"then": then, "now": now, "decisions": many} for (then, now), many in sorted(found.items())]
                for tool, found in self.matrix.items()
            },
            "per": self.per,
            "figures": [{**asdict(each), "interval": [each.interval.low, each.interval.high]} for each in self.figures],
            "answers": [
                {"currency": currency, "answer": answer, "decisions": many, "amount_minor": minor}
                for (currency, answer), (many, minor) in self.answers.items()
            ],
            "largest": [
                {
                    **asdict(each),
                    "at": each.at.isoformat(),
                    "spent": each.spent.model_dump() if each.spent else None,
                }
                for each in self.largest
            ],
            "left_out": [asdict(each) for each in self.left_out],
        }
