"""What is wrong with a policy file: every place at once, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from core.errors import PolicyInvalid

MAX_PROBLEMS = 1_000
_LONGEST = 300  # characters of a message
_LONGEST_WORD = 80  # a longer one is nobody's slip of the pen, and comparing it takes time


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
    """Collects what is wrong with one file, up to a number that nobody reads."""

    file: str
    found: list[Problem] = field(default_factory=list)

    def add(self, at: At, message: str, hint: str = "") -> None:
        """Raises `PolicyRefused` when there are too many: what is left of the file isn't read."""
        if len(message) > _LONGEST:
            message = f"{message[:_LONGEST]}…"
        self.found.append(Problem(self.file, at.line, at.column, message, hint))
        if len(self.found) >= MAX_PROBLEMS:
            more = f"more than {MAX_PROBLEMS:,} problems, the rest is not read"
            raise PolicyRefused([*self.found, Problem(self.file, at.line, at.column, more, "Correct these first.")])

    def refuse_if_any(self) -> None:
        if self.found:
            raise PolicyRefused(self.found)


def suggest(word: str, known: Iterable[str]) -> str:
    """`Did you mean …?`, or the few words that are possible."""
    options = list(known)
    found = near(word, options)
    if found:
        return f"Did you mean {found}?"
    return f"There are: {', '.join(sorted(options))}." if 0 < len(options) <= 12 else ""


def near(word: str, known: Iterable[str]) -> str:
    """The word that was likely meant; empty where none is near."""
    if len(word) > _LONGEST_WORD:
        return ""
    options = list(known)
    by_lower = {option.lower(): option for option in options}
    if word.lower() in by_lower:
        return by_lower[word.lower()]
    close = get_close_matches(word, options, n=1, cutoff=0.6)
    return close[0] if close else ""
