"""What a proof says about a book, at its place in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from core.actions import JSON
from policies.problems import At, Problem
from policies.proofs.situations import Situation


class Kind(StrEnum):
    DEAD = "dead"  # a rule that no situation matches
    SHADOWED = "shadowed"  # a rule without which every verdict is the same
    GAP = "gap"  # a situation that no rule speaks of
    SILENT = "silent"  # a tool that no rule speaks of
    BROKEN = "broken"  # a `never` that does not hold
    EMPTY = "empty"  # a `never` that no situation can break, whatever the rules say
    UNDECIDED = "undecided"  # z3 gave up


@dataclass(frozen=True)
class Finding:
    kind: Kind
    at: At
    message: str
    hint: str = ""
    rule: str = ""
    tools: tuple[str, ...] = ()
    error: bool = False
    """The book has to be corrected; else it is a remark."""
    situation: Situation | None = None
    covered_by: tuple[str, ...] = ()

    def problem(self, file: str) -> Problem:
        return Problem(file, self.at.line, self.at.column, self.message, self.hint)

    def as_json(self) -> dict[str, JSON]:
        return {
            "kind": self.kind.value,
            "severity": "error" if self.error else "remark",
            "line": self.at.line,
            "column": self.at.column,
            "rule": self.rule,
            "tools": list(self.tools),
            "message": self.message,
            "hint": self.hint,
            "covered_by": list(self.covered_by),
            "situation": self.situation.as_json() if self.situation else None,
        }


Progress = Callable[[str, float], None]
"""Called after each step with its name and how many seconds it took."""


def named(words: Iterable[str], each: str = "'{}'") -> str:
    """`'a', 'b' and 'c'`."""
    *first, last = [each.format(word) for word in words] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def of_tools(tools: Iterable[str]) -> str:
    listed = list(tools)
    return f"tool{'s' if len(listed) > 1 else ''} {named(listed)}"
