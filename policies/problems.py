"""What is wrong with a policy file: every place at once, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from core.errors import PolicyInvalid


@dataclass(frozen=True, slots=True, order=True)
class At:
    """A place in a file, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}{'. ' if self.hint else ''}{self.hint}"


class PolicyRefused(PolicyInvalid):
    """A policy file with problems: all of them, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        files = ", ".join(sorted({problem.file for problem in self.problems}))
        count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        super().__init__(
            f"{files} has {count}.",
            hint="Correct the file; the policy in force stays in force.",
            problems=[str(problem) for problem in self.problems],
        )


@dataclass
class Problems:
    """Collects what is wrong with one file."""

    file: str
    found: list[Problem] = field(default_factory=list)

    def add(self, at: At, message: str, hint: str = "") -> None:
        self.found.append(Problem(self.file, at.line, at.column, message, hint))

    def refuse_if_any(self) -> None:
        if self.found:
            raise PolicyRefused(self.found)


def suggest(word: str, known: Iterable[str]) -> str:
    """`Did you mean …?`, or the few words that are possible."""
    options = list(known)
    close = get_close_matches(word, options, n=1, cutoff=0.6)
    if not close:
        by_lower = {option.lower(): option for option in options}
        close = [by_lower[word.lower()]] if word.lower() in by_lower else []
    if close:
        return f"Did you mean {close[0]}?"
    return f"There are: {', '.join(sorted(options))}." if 0 < len(options) <= 12 else ""
