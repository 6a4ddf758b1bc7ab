"""One layout for all policy files, so that a difference between two versions shows what was changed.

Comments stay, and every text stays what it was: the result is read again and compared before anybody gets it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from core.errors import CountersignError
from policies.comments import Comment, Dashes, Line, Slot, comments_of, hang
from policies.document import LOADER, Items, Node, Scalar, Table, read_document
from policies.problems import Problems
from policies.wrapping import WIDTH, clauses, fill, folds

_ORDER: dict[tuple[str, ...], tuple[str, ...]] = {
    (): (
        *("policy", "version", "replaces", "owner", "in_force", "approved_by", "facts_fresh_for", "limits", "counts"),
        *("reviewers", "if_no_rule", "rules", "never", "examples"),
    ),
    ("in_force",): ("from", "to"),
    ("counts", "*"): ("count", "sum", "per", "window", "include"),
    ("reviewers", "*"): ("role", "people", "within", "if_late"),
    ("rules", "*"): ("id", "mode", "tools", "decide", "when", "unless", "reason", "cite"),
    ("never", "*"): ("tools", "allow_when", "why"),
    ("examples",): ("typical", "cases"),
    ("examples", "cases", "*"): ("tool", "", "expect", "why"),
}
"""The keys of a table by its place; an empty one stands for all that are not named."""
_CONDITIONS = ("when", "unless", "allow_when")
_HEADER = re.compile(r"[|>][-]?")

Place = tuple[str, ...]


class FormatRefused(CountersignError):
    """The layout would have changed more than the layout. It is our mistake, and the file stays as it is."""

    status = 500
    title = "The file can't be formatted"


@dataclass(frozen=True)
class _Entry:
    key: str
    """As it is written; empty for an entry of a list."""
    name: str
    value: Any
    slot: Slot


def formatted(data: bytes) -> bytes:
    """The same policy in the one layout. The file is one that was read without a problem. Raises `FormatRefused`."""
    done = _laid_out(data)
    if _laid_out(done) != done:
        raise FormatRefused("A second run would change the file again.", hint="Format it by hand.")
    return done


def _laid_out(data: bytes) -> bytes:
    text = data.decode("utf-8-sig").replace("\r\n", "\n")
    found = comments_of(text)
    done = _Writer(text, found).lines()
    result = ("\n".join(done) + "\n").encode()
    if _texts(result) != _texts(text.encode()):
        raise FormatRefused("The layout would change what the policy says.", hint="Format it by hand.")
    if _told(comments_of(result.decode())) != _told(found):
        raise FormatRefused("The layout would lose a comment.", hint="Format it by hand.")
    return result


def _index(comment: Comment) -> int:
    return comment.index


def _told(found: Iterable[Comment]) -> Counter[str]:
    return Counter(comment.text for comment in found)


def _texts(data: bytes) -> Any:
    problems = Problems("")
    table = read_document(data, problems)
    return None if table is None or problems.found else _plain(table)


def _plain(node: Node) -> Any:
    match node:
        case Scalar(text):
            return text
        case Items(nodes):
            return [_plain(item) for item in nodes]
        case Table(entries):
            return {name: _plain(entry.value) for name, entry in entries.items()}


class _Writer:
    def __init__(self, text: str, found: Sequence[Comment]) -> None:
        self.text = text
        self.found = found
        self.dashes = Dashes(text)
        self.slots: list[Slot] = []
        self.entries: dict[int, list[_Entry]] = {}
        """Of each collection that is written line by line, by its node's id."""
        self.root: Any = yaml.compose(text, Loader=LOADER)
        self.prepare(self.root, None)
        self.head = hang(text, list(found), self.slots)

    # What is there

    def prepare(self, node: Any, parent: Slot | None) -> None:
        """Makes slots, in the order of the file, for all that is not written between brackets."""
        if isinstance(node, yaml.ScalarNode) or (node.flow_style and not self.has_comment(node)):
            return
        found = self.entries[id(node)] = []
        for each in node.value:
            key, value = each if isinstance(node, yaml.MappingNode) else (None, each)
            begins = key or value
            index, column = begins.start_mark.index, begins.start_mark.column
            if key is None and not node.flow_style:
                index, column = self.dashes.before(value), node.start_mark.column
            slot = Slot(index, value.end_mark.index, column, parent)
            self.slots.append(slot)
            found.append(_Entry(self.raw(key) if key else "", key.value if key else "", value, slot))
            self.prepare(value, slot)

    def has_comment(self, node: Any) -> bool:
        begin, end = (bisect_left(self.found, mark.index, key=_index) for mark in (node.start_mark, node.end_mark))
        return begin != end

    def entries_of(self, node: Any) -> list[_Entry]:
        """Also of what stood between brackets and has no room there."""
        if id(node) in self.entries:
            return self.entries[id(node)]
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(None, value) for value in node.value]
        return [
            _Entry(self.raw(key) if key else "", key.value if key else "", value, Slot(0, 0, 0, None))
            for key, value in pairs
        ]

    # On one line

    def raw(self, node: Any) -> str:
        """A scalar on one line, as it was written where that was one line. Text in `>` and `|` has no such form."""
        written = self.text[node.start_mark.index : node.end_mark.index]
        if "\n" not in written:
            return written
        if "\n" in node.value or node.style == '"':
            return json.dumps(node.value, ensure_ascii=False)
        quoted = node.value.replace("'", "''")
        return f"'{quoted}'" if node.style else str(node.value)

    def inline(self, node: Any, place: Place) -> str | None:
        """The node on one line; None where it can't be."""
        if isinstance(node, yaml.ScalarNode):
            return None if node.style in (">", "|") else self.raw(node)
        if not node.flow_style or id(node) in self.entries:
            return None
        inner = self.pieces(node, place)
        if any(piece is None for piece in inner):
            return None
        begin, end = "{}" if isinstance(node, yaml.MappingNode) else "[]"
        return f"{begin}{', '.join(map(str, inner))}{end}"

    def pieces(self, node: Any, place: Place) -> list[str | None]:
        found: list[str | None] = []
        for entry in _sorted(self.entries_of(node), place):
            value = self.inline(entry.value, (*place, entry.name or "*"))
            found.append(value if value is None or not entry.key else f"{entry.key}: {value}".rstrip())
        return found

    def bracketed(self, node: Any, place: Place, column: int) -> list[str] | None:
        """Between brackets that begin at `column`, on as many lines as it takes; None where a piece has no room."""
        pieces = self.pieces(node, place)
        begin, end = "{}" if isinstance(node, yaml.MappingNode) else "[]"
        room = WIDTH - column - 1
        if id(node) in self.entries or not pieces:
            return None if pieces else [begin + end]
        lines = [""]
        for number, piece in enumerate(pieces, 1):
            closed = f"{piece}{',' if number < len(pieces) else end}"
            if piece is None or len(closed) > room:
                return None
            if not lines[-1]:
                lines[-1] = closed
            elif len(lines[-1]) + 1 + len(closed) <= room:
                lines[-1] += f" {closed}"
            else:
                lines.append(closed)
        return [begin + lines[0], *(" " * (column + 1) + line for line in lines[1:])]

    # Line by line

    def lines(self) -> list[str]:
        head = _own_lines(self.head, "", keep=True)
        body = self.block(self.root, (), 0)
        return [*head, *([""] if head else []), *body]

    def block(self, node: Any, place: Place, indent: int) -> list[str]:
        lines: list[str] = []
        tall = False
        for number, entry in enumerate(_sorted(self.entries_of(node), place)):
            own = self.entry(entry, (*place, entry.name or "*"), indent, place)
            lead = entry.slot.lead
            blank = lead[0].blank if lead else entry.slot.blank
            if place == ():
                blank = bool(number) and (blank or tall or len(own) > 1)
            elif place == ("rules",):
                blank = blank or bool(number)
            else:
                blank = blank and bool(number) and not _tight(place)
            tall = len(own) > 1
            keep = not _tight(place)
            lines += [""] if blank else []
            lines += _own_lines(lead, " " * indent, keep, first=False)
            lines += [""] if lead and entry.slot.blank and keep else []
            lines += own
            lines += _own_lines(entry.slot.foot, " " * indent, keep)
        return lines

    def entry(self, entry: _Entry, place: Place, indent: int, parent: Place) -> list[str]:
        """A key or a dash with what belongs to it; comments that stand alone inside go before it."""
        pad, trail = " " * indent, entry.slot.trail
        note = f"  {trail[-1]}" if trail else ""
        before = [pad + told for told in trail[:-1]]
        begin = f"{pad}{entry.key}:" if entry.key else f"{pad}-"
        value = entry.value
        short = self.inline(value, place)
        if short is not None and len(begin) + 1 + len(short) <= WIDTH:
            return [*before, f"{begin} {short}{note}"]
        if isinstance(value, yaml.ScalarNode):
            return [*before, *self.long(value, place, begin, indent, note)]
        if value.flow_style:
            wrapped = self.bracketed(value, place, len(begin) + 1)
            if wrapped:
                wrapped[-1] += note
                return [*before, f"{begin} {wrapped[0]}", *wrapped[1:]]
        if entry.key:
            inner = indent if isinstance(value, yaml.SequenceNode) else indent + 2
            return [*before, begin + note, *self.block(value, place, inner)]
        inside = self.block(value, place, indent + 2)
        first = next(number for number, line in enumerate(inside) if line.strip() and not line.lstrip().startswith("#"))
        alone = [pad + line.strip() for line in inside[:first] if line.strip()]
        alone += [pad + note.strip()] if note else []
        return [*before, *alone, f"{begin} {inside[first].lstrip()}", *inside[first + 1 :]]

    def long(self, node: Any, place: Place, begin: str, indent: int, note: str) -> list[str]:
        """A scalar that is written, or has to be, in `>` or `|`."""
        pad, room = " " * (indent + 2), WIDTH - indent - 2
        written = self.text[node.start_mark.index : node.end_mark.index]
        if node.style in (">", "|"):
            header, _, body = written.partition("\n")
            sign = header.partition("#")[0].strip()
            if not _HEADER.fullmatch(sign):
                return [f"{begin} {json.dumps(node.value, ensure_ascii=False)}{note}"]
            found = body.rstrip("\n").split("\n")
            inset = min((len(line) - len(line.lstrip(" ")) for line in found if line.strip()), default=0)
            bare = [line[inset:] if line.strip() else "" for line in found]
            if node.style == ">":
                bare = [line for each in bare for line in _broken(each, place, room)]
        elif folds(node.value):
            sign, bare = ">-", _broken(node.value, place, room)
        else:
            return [f"{begin} {self.raw(node)}{note}"]
        return [f"{begin} {sign}{note}", *(f"{pad}{line}" if line else "" for line in bare)]


def _broken(text: str, place: Place, room: int) -> list[str]:
    if len(text) <= room or not folds(text):
        return [text]
    is_condition = any(key in _CONDITIONS for key in place[-2:])
    return clauses(text, room) if is_condition else fill(text, room)


def _own_lines(found: list[Line], pad: str, keep: bool, first: bool = True) -> list[str]:
    """Comments with the blank lines between them; `first` says whether the one before the first counts too."""
    lines: list[str] = []
    for line in found:
        lines += [""] if keep and line.blank and (lines or first) else []
        lines.append(pad + line.text)
    return lines


def _tight(place: Place) -> bool:
    """Whether blank lines between entries are taken out: inside of a rule, of a count, of the dates."""
    return _shape(place) not in (None, (), ("examples",))


def _sorted(entries: list[_Entry], place: Place) -> list[_Entry]:
    order = _ORDER.get(_shape(place) or (), ())
    if (place and not _shape(place)) or not any(entry.key for entry in entries):
        return entries
    others = order.index("") if "" in order else len(order)
    return sorted(entries, key=lambda entry: order.index(entry.name) if entry.name in order else others)


def _shape(place: Place) -> Place | None:
    """The place in `_ORDER` that this one is an instance of."""
    for shape in _ORDER:
        if len(shape) == len(place) and all(want in ("*", name) for name, want in zip(place, shape, strict=True)):
            return shape
    return None
