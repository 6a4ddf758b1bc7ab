"""The comments of a policy file, and what each one speaks of: YAML's parsers throw them away."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from policies.document import LOADER

_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\n]*")
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*( +#[^\n]*)?")


@dataclass(frozen=True, slots=True)
class Comment:
    text: str
    index: int
    line: int
    """Counted from 0, as PyYAML does."""
    column: int
    alone: bool
    """On a line of its own."""


@dataclass(slots=True)
class Line:
    """A comment on a line of its own, and whether a blank line stands before it."""

    text: str
    blank: bool


@dataclass(slots=True)
class Slot:
    """Where an entry of a table or a list begins and ends, and the comments that go with it."""

    index: int
    end: int
    column: int
    parent: Slot | None
    blank: bool = False
    """A blank line stands directly before it."""
    lead: list[Line] = field(default_factory=list)
    trail: list[str] = field(default_factory=list)
    foot: list[Line] = field(default_factory=list)
    """Comments after its last line that are no deeper than it is: what was taken out, most often."""


def comments_of(text: str) -> list[Comment]:
    """In the order of the file. They stand in the gaps between YAML's tokens, and behind `>` and `|`."""
    starts = _starts(text)
    found = []
    for index, told in _found(text):
        line = bisect_right(starts, index) - 1
        column = index - starts[line]
        found.append(Comment(told, index, line, column, not text[starts[line] : index].strip()))
    return found


def _found(text: str) -> Iterator[tuple[int, str]]:
    end = 0
    for token in yaml.scan(text, Loader=LOADER):
        begin = token.start_mark.index
        for match in _COMMENT.finditer(text, end, max(begin, end)):
            yield match.start(), match[0].rstrip()
        end = max(end, token.end_mark.index)
        if isinstance(token, yaml.ScalarToken) and token.style in (">", "|"):
            header = _BLOCK_HEADER.match(text, begin)
            if header and header[1]:
                yield header.start(1) + header[1].index("#"), header[1].strip()
    for match in _COMMENT.finditer(text, end):
        yield match.start(), match[0].rstrip()


def _starts(text: str) -> list[int]:
    """Where the lines begin."""
    return [0, *(match.end() for match in re.finditer("\n", text))]


class Dashes:
    """Where the entries of lists begin."""

    def __init__(self, text: str) -> None:
        found = yaml.scan(text, Loader=LOADER)
        self._at: list[int] = [token.start_mark.index for token in found if isinstance(token, yaml.BlockEntryToken)]

    def before(self, node: Any) -> int:
        return self._at[bisect_left(self._at, node.start_mark.index) - 1]


def hang(text: str, found: list[Comment], slots: list[Slot]) -> list[Line]:
    """Gives each comment to the slot that it speaks of. What is left speaks of the whole file, and is returned."""
    lines, begun = text.split("\n"), _starts(text)
    starts = [slot.index for slot in slots]
    for slot in slots:
        slot.blank = _blank_before(lines, bisect_right(begun, slot.index) - 1)
    head: list[Line] = []
    for comment in found:
        place = bisect_left(starts, comment.index)
        last = slots[place - 1] if place else None
        following = slots[place] if place < len(slots) else None
        line = Line(comment.text, _blank_before(lines, comment.line))
        if last is None:
            head.append(line)
        elif not comment.alone:
            last.trail.append(comment.text)
        elif comment.index < last.end and (following is None or following.index >= last.end):
            last.lead.append(line)  # between a key and its value
        elif foot := _footed(comment, last, following):
            foot.foot.append(line)
        elif following:
            following.lead.append(line)
        else:
            last.foot.append(line)
    if slots and not slots[0].blank:  # what stands directly on the first key speaks of that key
        while head:
            slots[0].lead.insert(0, head.pop())
            if slots[0].lead[0].blank:
                break
    return head


def _footed(comment: Comment, last: Slot, following: Slot | None) -> Slot | None:
    """The innermost slot that ends here and that the comment is as deep as."""
    floor = following.column if following else -1
    slot: Slot | None = last
    while slot and slot.column > comment.column:
        slot = slot.parent
    return slot if slot and slot.column > floor else None


def _blank_before(lines: list[str], line: int) -> bool:
    return line > 0 and not lines[line - 1].strip()
