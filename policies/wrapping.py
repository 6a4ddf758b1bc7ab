"""Breaks long text of a policy into lines that YAML joins to the same text again."""

from __future__ import annotations

import re
from collections.abc import Iterator

WIDTH = 120
"""Columns of a line."""

_PARTS = re.compile(r"""(?P<quoted>"[^"]*"|'[^']*')|(?P<open>\()|(?P<close>\))|(?P<join> (?=(?:and|or) ))""")


def folds(text: str) -> bool:
    """Whether `>-` can hold it: a break stands for one space, and a line that begins with a space would stay apart."""
    return bool(text) and text == text.strip() and "\n" not in text and "  " not in text


def clauses(condition: str, room: int) -> list[str]:
    """A condition with each `and` and `or` that is in no parentheses on a line of its own."""
    return [line for clause in _clauses(condition) for line in fill(clause, room)]


def _clauses(condition: str) -> Iterator[str]:
    depth = start = 0
    for match in _PARTS.finditer(condition):
        depth += bool(match["open"]) - bool(match["close"])
        if match["join"] and depth == 0:
            yield condition[start : match.start()]
            start = match.end()
    yield condition[start:]


def fill(text: str, room: int) -> list[str]:
    """As few lines as possible, each of at most `room` characters where its words allow it."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
