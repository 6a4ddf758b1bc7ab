"""Conditions as words with places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from policies.document import Scalar
from policies.problems import At

MAX_CHARS = 4_000


class Kind(Enum):
    NUMBER = auto()
    WORD = auto()
    LIMIT = auto()
    QUOTED = auto()
    SIGN = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    at: At


class ConditionError(Exception):
    """A condition that can't be read, with the place where it stops making sense."""

    def __init__(self, at: At, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.at = at
        self.message = message
        self.hint = hint


_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<NUMBER>-?\d+(?:\.\d+)?)
    |(?P<WORD>[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*)
    |(?P<LIMIT>\$[A-Za-z_][A-Za-z0-9_]*)
    |(?P<QUOTED>"[^"\n]*"|'[^'\n]*')
    |(?P<SIGN>==|!=|<=|>=|[<>()\[\],+])""",
    re.VERBOSE,
)

_MEANT = {
    "=": "Write == to compare.",
    "&": "Write and.",
    "|": "Write or.",
    "!": "Write not, or != to compare.",
    "$": "A limit is written $name.",
    "*": "There is no multiplication; give a limit of its own.",
    "/": "There is no division; give a limit of its own.",
    "-": "There is no subtraction; add on the other side with +.",
    '"': "Close the quotes on the same line.",
    "'": "Close the quotes on the same line.",
    "%": "Write whole numbers or decimals.",
}


def tokens(source: Scalar) -> list[Token]:
    """Raises `ConditionError`."""
    if len(source.raw) > MAX_CHARS:
        raise ConditionError(source.at, f"a condition of more than {MAX_CHARS:,} characters", "Split the rule.")
    return list(_tokens(source.raw, source.raw_at))


def _tokens(text: str, start: At) -> Iterator[Token]:
    line, line_start, column = start.line, 0, start.column
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        at = At(line, column + position - line_start)
        if match is None:
            raise ConditionError(at, f"unexpected '{text[position]}'", _MEANT.get(text[position], ""))
        kind = match.lastgroup or ""
        if kind == "space":
            if "\n" in match[0]:
                line += match[0].count("\n")
                line_start, column = match.start() + match[0].rindex("\n") + 1, 1
        else:
            yield _token(Kind[kind], match, at)
        position = match.end()
    yield Token(Kind.END, "the end", At(line, column + position - line_start))


def _token(kind: Kind, match: re.Match[str], at: At) -> Token:
    text = match[0]
    if kind is Kind.NUMBER:
        after = match.string[match.end() : match.end() + 1]
        if (
            after.isalnum()
            or after in ("_", ":", ".")
            or (after == "," and match.string[match.end() + 1 :][:1].isdigit())
        ):
            raise ConditionError(
                at, f"'{text}{after}…' is no number", "Write a number like 1500.50; put text in quotes."
            )
        whole = text.lstrip("-").partition(".")[0]
        if len(whole) > 1 and whole.startswith("0"):
            raise ConditionError(at, f"'{text}' starts with a zero", "Write it without, or in quotes if it is text.")
    elif kind is Kind.QUOTED:
        text = text[1:-1]
    return Token(kind, text, at)
