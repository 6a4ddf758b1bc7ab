"""Two versions of a policy beside each other, clause by clause, as they stand in their files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape

from policies.book import Book

_PIECES = re.compile(r"\s+|[\w.$-]+|[^\w\s]")


@dataclass(frozen=True)
class Clause:
    """`before` or `after` is empty where the clause is new, or gone."""

    name: str
    before: str
    after: str


def changed_clauses(old: Book, old_text: str, new: Book, new_text: str) -> list[Clause]:
    """Rules by id, limits, counts and reviewers by name, promises by number: those whose text differs."""
    before, after = dict(_clauses(old, old_text)), dict(_clauses(new, new_text))
    names = [*after, *(name for name in before if name not in after)]
    clauses = [Clause(name, before.get(name, ""), after.get(name, "")) for name in names]
    return [each for each in clauses if each.before.split() != each.after.split()]


def _clauses(book: Book, text: str) -> Iterator[tuple[str, str]]:
    lines = text.splitlines()
    kinds = {"limit": book.limits, "count": book.counts, "reviewers": book.reviewers}
    for name, at in book.places.items():
        kind = next(kind for kind, defined in kinds.items() if name in defined)
        yield f"{kind} {name}", _block(lines, at.line)
    for rule in book.rules:
        yield f"rule {rule.id}", _block(lines, rule.at.line)
    for number, never in enumerate(book.never, 1):
        yield f"never {number}", _block(lines, never.at.line)


def _block(lines: list[str], line: int) -> str:
    """From a line on, what is indented below it."""
    first = lines[line - 1]
    indent = len(first) - len(first.lstrip())
    found = [first]
    for each in lines[line:]:
        stripped = each.lstrip()
        if stripped and (len(each) - len(stripped) <= indent or stripped.startswith("#")):
            break
        found.append(each)
    while not found[-1].strip():
        found.pop()
    return "\n".join(each[indent:] for each in found)


def beside(clause: Clause) -> str:
    """HTML: the two texts, with what differs marked."""
    before, after = _PIECES.findall(clause.before), _PIECES.findall(clause.after)
    left, right = "", ""
    for what, a1, a2, b1, b2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, come = escape("".join(before[a1:a2])), escape("".join(after[b1:b2]))
        left += gone if what == "equal" or not gone.strip() else f"<del>{gone}</del>"
        right += come if what == "equal" or not come.strip() else f"<ins>{come}</ins>"
    told = "" if clause.before and clause.after else " (gone)" if clause.before else " (new)"
    title = f"<b>{escape(clause.name)}{told}</b>"
    return f'<div class="sides">{title}<pre>{left}</pre><pre>{right}</pre></div>'
