"""Takes tables of a policy file apart, and reports what is missing, unknown or of the wrong form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from policies.document import Entry, Items, Node, Scalar, Table
from policies.problems import At, Problems, near, suggest
from policies.values import Unfit

T = TypeVar("T")

_NOTHING = ("~", "null", "Null", "NULL")


class Fields:
    """The keys of one table. `where` begins every message: `rule 'RF-20'`."""

    def __init__(self, table: Table, problems: Problems, where: str = "") -> None:
        self.table = table
        self.problems = problems
        self.where = where

    def say(self, at: At, message: str, hint: str = "") -> None:
        self.problems.add(at, f"{self.where}: {message}" if self.where else message, hint)

    def only(self, known: Iterable[str], required: Iterable[str] = ()) -> None:
        """Reports keys that nobody reads, and required ones that are not there."""
        options = list(known)
        meant = set()
        for name, entry in self.table.entries.items():
            if name == "<<":
                self.say(entry.key.at, "keys are not merged with <<", "Write them out.")
            elif name not in options:
                meant.add(near(name, options))
                self.say(entry.key.at, f"unknown key '{name}'", suggest(name, options))
        for name in required:
            if name not in self.table.entries and name not in meant:
                self.say(self.table.at, f"'{name}' is missing", f"Add {name}:.")

    def entry(self, key: str) -> Entry | None:
        return self.table.entries.get(key)

    def __iter__(self) -> Iterator[tuple[Scalar, Node]]:
        return iter((entry.key, entry.value) for entry in self.table.entries.values())

    def scalar(self, key: str) -> Scalar | None:
        """One value that is not empty."""
        entry = self.entry(key)
        return None if entry is None else self.as_scalar(entry.value, f"'{key}'")

    def as_scalar(self, node: Node, what: str) -> Scalar | None:
        if not isinstance(node, Scalar):
            self.say(node.at, f"{what} takes one value", "Write it on one line, in quotes if it has brackets.")
        elif not node.text.strip():
            if node.at not in self.problems.places:  # as an alias or a tag
                self.say(node.at, f"{what} is empty", "Give it a value, or leave the key out.")
        elif node.plain and node.text in _NOTHING:
            hint = "Leave the key out; for a fact write unknown; put it in quotes if the text is meant."
            self.say(node.at, f"{what} is {node.text}, which stands for nothing", hint)
        else:
            return node
        return None

    def text(self, key: str) -> str:
        """The value with its line breaks made spaces; empty where there is none."""
        found = self.scalar(key)
        return " ".join(found.text.split()) if found else ""

    def read(self, key: str, reader: Callable[[str], T]) -> T | None:
        found = self.scalar(key)
        return None if found is None else self.convert(found, reader)

    def convert(self, scalar: Scalar, reader: Callable[[str], T]) -> T | None:
        try:
            return reader(scalar.text.strip())
        except Unfit as unfit:
            self.say(scalar.at, unfit.message, unfit.hint)
            return None

    def scalars(self, key: str) -> list[Scalar]:
        """One value, or a list of them."""
        entry = self.entry(key)
        return [] if entry is None else self.as_scalars(entry.value, f"'{key}'")

    def as_scalars(self, node: Node, what: str) -> list[Scalar]:
        if isinstance(node, Items):
            if not node.nodes:
                self.say(node.at, f"{what} is an empty list", "Give it a value, or leave the key out.")
            found = [self.as_scalar(item, f"each of {what}") for item in node.nodes]
            return [scalar for scalar in found if scalar is not None]
        one = self.as_scalar(node, what)
        return [one] if one else []

    def table_of(self, key: str, where: str = "") -> Fields | None:
        entry = self.entry(key)
        return None if entry is None else self.as_table(entry.value, where or key)

    def as_table(self, node: Node, where: str) -> Fields | None:
        if isinstance(node, Table):
            return Fields(node, self.problems, where)
        self.problems.add(node.at, f"{where}: a table of keys is needed here", "Write key: value.")
        return None

    def list_of(self, key: str) -> list[Node]:
        entry = self.entry(key)
        if entry is None:
            return []
        if isinstance(entry.value, Items):
            return list(entry.value.nodes)
        self.say(entry.value.at, f"'{key}' takes a list", "Begin each entry with `- `.")
        return []
