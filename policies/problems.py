"""What is wrong with a policy file: every place at once, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from core.errors import PolicyInvalid

MAX_PROBLEMS = 500
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
    places: set[At] = field(default_factory=set)

    def add(self, at: At, message: str, hint: str = "") -> None:
        """Raises `PolicyRefused` when there are too many: what is left of the file isn't read."""
        if len(message) > _LONGEST:
            message = f"{message[:_LONGEST]}…"
        self.found.append(Problem(self.file, at.line, at.column, message, hint))
        self.places.add(at)
        if len(self.found) >= MAX_PROBLEMS:
            more = f"more than {MAX_PROBLEMS:,} problems, the rest is not read"
            raise PolicyRefused([*self.found, Problem(self.file, at.line, at.column, more, "Correct these first.")])


def suggest(word: str, known: Iterable[str]) -> str:
    """`Did you mean …?`, or the few words that are possible."""
    options = list(known)
    found = near(word, options)
    if found:
        return f"Did you mean {found}?"
    return f"There are: {', '.join(sorted(options))}." if 0 < len(options) <= 12 else ""


def near(word: str, known: Iterable[str]) -> str:
    """The word that was likely meant, or the end of it, or its beginning; empty where none is near."""
    if len(word) > _LONGEST_WORD:
        return ""
    lower = word.lower()
    options = {option.lower(): option for option in known}
    ends = [option for name, option in options.items() if name.endswith(f".{lower}")]
    begins = {name.split(" ")[0]: option for name, option in options.items()}
    if lower in options or len(ends) == 1:
        return options.get(lower) or ends[0]
    close = get_close_matches(lower, options, n=1, cutoff=0.6) or get_close_matches(lower, begins, n=1, cutoff=0.6)
    return {**begins, **options}[close[0]] if close else ""
