"""A policy file as text with places. YAML's own ideas of what text means are left out.

Every scalar stays the text that was written, so `NO`, `12:30` and `010` never change their meaning.
Duplicate keys, anchors, aliases, tags, several documents, sizes nobody writes and characters nobody sees are refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from policies.problems import At, Problems
from policies.syntax import complaint

MAX_BYTES = 1_000_000
MAX_COLUMNS = 5_000
_DEEPEST = 12
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser where PyYAML has it: 10 times faster
_HINT_FLOW = "Put a value that has brackets or braces in quotes."

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f"
    "\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffd\ufffe\uffff"
    "\U000e0000-\U000e0fff]"
)
"""Control characters, spaces other than the plain one, and what turns or hides the text around it: a reviewer
would approve other words than those that are in force."""
_HASH = re.compile(r" +#[^\s#]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """`raw` is the text as it stands in the file, from `raw_at` on; equal to `text` but for line breaks.
    Where there are escapes it is the text, and `raw_at` is None: places inside it can't be told."""

    text: str
    at: At
    raw: str
    raw_at: At | None
    plain: bool = True
    """Written without quotes."""


@dataclass(frozen=True, slots=True)
class Items:
    nodes: tuple[Node, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Entry:
    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True)
class Table:
    entries: dict[str, Entry]
    at: At


Node = Scalar | Items | Table


def read_document(data: bytes, problems: Problems) -> Table | None:
    """The file's top-level table, or None where there is none; what is wrong is added to `problems`."""
    start = At(1, 1)
    if len(data) > MAX_BYTES:
        problems.add(start, f"the file has more than {MAX_BYTES:,} bytes", "Split the policy.")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8-sig", "replace")
        problems.add(_end_of(good), "this is no UTF-8 text", "Save the file as UTF-8.")
        return None
    if not _legible(text.replace("\r\n", "\n"), problems):
        return None
    try:
        return _Builder(text.replace("\t", " "), problems).document()
    except yaml.MarkedYAMLError as error:
        problems.add(*complaint(error))
    except yaml.reader.ReaderError as error:
        at = _end_of(text[: error.position])
        problems.add(at, f"a character that YAML does not allow: {error.character!r}", "Remove it.")
    return None


def _legible(text: str, problems: Problems) -> bool:
    """Whether the text is worth parsing; reports what can't be seen and what is too wide."""
    legible = True
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_COLUMNS:
            problems.add(At(number, 1), f"a line of {len(line):,} characters", "Write it on several lines.")
            legible = False
        if "\t" in line:
            problems.add(At(number, line.index("\t") + 1), "a tab", "Use spaces.")
            legible = legible and not line[: line.index("\t") + 1].isspace()  # as indentation it makes YAML mean else
        if unseen := _UNSEEN.search(line):
            problems.add(At(number, unseen.start() + 1), _named(unseen[0]), "Delete it, or write a plain space.")
            legible = False
    return legible


def _named(character: str) -> str:
    code = f"U+{ord(character):04X}"
    return f"a character that can't be seen: {code} {unicodedata.name(character, '')}".rstrip()


def _end_of(text: str) -> At:
    return At(text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1)


class _Stop(Exception):
    """The document can't be read any further."""


class _Builder:
    def __init__(self, text: str, problems: Problems) -> None:
        self.text = text
        self.problems = problems
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=LOADER))

    def document(self) -> Table | None:
        root: Node | None = None
        documents = 0
        try:
            for event in self.events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self.problems.add(_at(event), "a second document", "Write one policy in one file.")
                        break
                    if event.version or event.tags:
                        self.problems.add(_at(event), "directives (%) are not allowed", "Remove the line.")
                elif isinstance(event, yaml.NodeEvent):
                    root = self.node(event, 0)
        except _Stop:
            return None
        if isinstance(root, Table):
            return root
        self.problems.add(root.at if root else At(1, 1), "a policy is a table of keys", "Start with `policy: name`.")
        return None

    def node(self, event: Any, depth: int) -> Node:
        at = _at(event)
        if depth > _DEEPEST:
            self.problems.add(at, "nested too deeply", "A policy never is.")
            raise _Stop
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            self.problems.add(at, f"anchors and aliases ({sign}{event.anchor}) are not allowed", "Write it out.")
        elif event.tag is not None:
            self.problems.add(at, f"tags ({event.tag}) are not allowed", "Remove it; in a condition write not for !.")
        if isinstance(event, yaml.SequenceStartEvent):
            nodes = []
            while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
                nodes.append(self.node(event, depth + 1))
            return Items(tuple(nodes), at)
        if isinstance(event, yaml.MappingStartEvent):
            return self.table(at, depth)
        if isinstance(event, yaml.AliasEvent):
            return Scalar("", at, "", at, False)
        return self.scalar(event, at)

    def table(self, at: At, depth: int) -> Table:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            value = self.node(next(self.events), depth + 1)
            if not isinstance(key, Scalar):
                self.problems.add(key.at, "a key has to be a word", _HINT_FLOW)
            elif key.text in entries:
                first = entries[key.text].key.at.line
                self.problems.add(key.at, f"the key '{key.text}' is there twice", f"It was given in line {first}.")
            else:
                entries[key.text] = Entry(key, value)
        return Table(entries, at)

    def scalar(self, event: Any, at: At) -> Scalar:
        raw = self.text[event.start_mark.index : event.end_mark.index]
        raw_at: At | None = at
        if event.style in ("'", '"'):
            raw, raw_at = raw[1:-1], At(at.line, at.column + 1)
        elif event.style in ("|", ">"):
            raw, raw_at = raw.partition("\n")[2], At(at.line + 1, 1)
        if raw.split() != event.value.split():
            raw, raw_at = event.value, None
        if unseen := _UNSEEN.search(event.value):  # by an escape in double quotes
            self.problems.add(at, _named(unseen[0]), "Write it without the escape.")
        plain = not event.style
        if plain and _HASH.match(self.text, event.end_mark.index):
            hint = "Put the whole value in quotes, or write a space after # if a comment is meant."
            self.problems.add(_at(event), "what stands after # is not read", hint)
        return Scalar(event.value, at, raw, raw_at, plain)


def _at(event: Any) -> At:
    return At(event.start_mark.line + 1, event.start_mark.column + 1)
