"""Conditions as words with places."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    |(?P<NUMBER>-?[0-9]+(?:\.[0-9]+)?)
    |(?P<WORD>[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*)
    |(?P<LIMIT>\$[A-Za-z_][A-Za-z0-9_]*)
    |(?P<QUOTED>"[^"\n]*"|'[^'\n]*')
    |(?P<SIGN>==|!=|<=|>=|[<>()\[\],+])""",
    re.VERBOSE,
)

_SPLIT = ("<>", "===")  # which would be read as two signs
_DIGITS = 18  # as many as a whole number of 64 bits holds for certain

_STRAIGHT = 'Write straight quotes, as in "text".'
_MEANT = {
    "===": "Write == to compare.",
    "=>": "Write >=.",
    "=<": "Write <=.",
    "<>": "Write !=.",
    "=~": "Text is compared whole; there are no patterns.",
    "!~": "Text is compared whole; there are no patterns.",
    "&&": "Write and.",
    "||": "Write or.",
    "=": "Write == to compare.",
    "&": "Write and.",
    "|": "Write or.",
    "!": "Write not, or != to compare.",
    "$": "A limit is written $name, an amount 150 USD.",
    "*": "There is no multiplication; give a limit of its own.",
    "/": "There is no division; give a limit of its own.",
    "-": "There is no subtraction; add on the other side with +.",
    '"': "Close the quotes on the same line.",
    "'": "Close the quotes on the same line.",
    "%": "Write whole numbers or decimals.",
    ".": "Write 0 before the point of a number.",
    "~": "Write fact is unknown.",
    "{": "Write a list as [A, B].",
    "}": "Write a list as [A, B].",
    ";": "Write and, or another line of the list.",
    "≤": "Write <=.",
    "≥": "Write >=.",
    "≠": "Write !=.",
    "−": "Write the sign - of the keyboard.",
    "–": "Write the sign - of the keyboard.",
    "€": "Write an amount like 150 EUR.",
    "£": "Write an amount like 150 GBP.",
    "¥": "Write an amount like 150 JPY.",
    "“": _STRAIGHT,
    "”": _STRAIGHT,
    "„": _STRAIGHT,
    "‘": _STRAIGHT,
    "’": _STRAIGHT,
}


def tokens(source: Scalar) -> list[Token]:
    """Raises `ConditionError`."""
    if len(source.raw) > MAX_CHARS:
        raise ConditionError(source.at, f"a condition of more than {MAX_CHARS:,} characters", "Split the rule.")
    if source.raw_at is not None:
        return list(_tokens(source.raw, source.raw_at))
    try:
        return [replace(token, at=source.at) for token in _tokens(source.raw, source.at)]
    except ConditionError as error:
        raise ConditionError(source.at, error.message, error.hint) from None


def _tokens(text: str, start: At) -> Iterator[Token]:
    line, line_start, column = start.line, 0, start.column
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        at = At(line, column + position - line_start)
        if match is None or text.startswith(_SPLIT, position):
            raise _unexpected(text[position : position + 3], at)
        kind = match.lastgroup or ""
        if kind == "space":
            if "\n" in match[0]:
                line += match[0].count("\n")
                line_start, column = match.start() + match[0].rindex("\n") + 1, 1
        else:
            yield _token(Kind[kind], match, at)
        position = match.end()
    yield Token(Kind.END, "the end", At(line, column + position - line_start))


def _unexpected(ahead: str, at: At) -> ConditionError:
    if ahead[0] == "." and not ahead[1:].isascii():
        ahead, at = ahead[1:], At(at.line, at.column + 1)
    sign = next((ahead[:width] for width in (3, 2) if ahead[:width] in _MEANT), ahead[0])
    hint = _MEANT.get(sign, "")
    if not hint and not sign.isascii():
        hint = f"It is {unicodedata.name(sign, 'no letter')}; names and values have plain letters, other text quotes."
    return ConditionError(at, f"unexpected '{sign}'", hint)


def _token(kind: Kind, match: re.Match[str], at: At) -> Token:
    text = match[0]
    if kind is Kind.NUMBER:
        _check_number(text, match.string[match.end() : match.end() + 2], at)
    elif kind is Kind.QUOTED:
        text = text[1:-1]
    return Token(kind, text, at)


def _check_number(text: str, after: str, at: At) -> None:
    """`after` is what follows it directly. Raises `ConditionError`."""
    if after[:1].isalnum() or after[:1] in ("_", ":", ".") or (after[:1] == "," and after[1:].isdigit()):
        raise ConditionError(
            at, f"'{text}{after[:1]}…' is no number", "Write a number like 1500.50; put text in quotes."
        )
    whole, _, part = text.lstrip("-").partition(".")
    if len(whole) > 1 and whole.startswith("0"):
        raise ConditionError(at, f"'{text[:40]}' starts with a zero", "Write it without, or in quotes if it is text.")
    if len(whole) > _DIGITS or len(part) > _DIGITS:
        raise ConditionError(at, f"a number of more than {_DIGITS} digits", "Nothing is that large.")
