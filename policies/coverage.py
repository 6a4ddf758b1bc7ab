"""What the examples of a book try, and what they leave untried: rules, thresholds, choices, promises.

A threshold counts as tried when something was judged just where it is, below it and above it. Where it is zero,
nothing is tried below: no count and no amount that policy is asked about is negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from core.actions import JSON
from core.money import Money
from core.verdicts import FactType
from policies.book import Book
from policies.conditions import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Const,
    LimitRef,
    Not,
    Op,
    Operand,
    Plus,
    Ref,
    Within,
    leaves,
    paths,
)
from policies.problems import At
from policies.reference import evaluate

Situation = tuple[str, Mapping[str, Any]]
"""A tool, and every path that is known of a call of it."""

SIDES = {Op.LT: "below", Op.EQ: "at", Op.GT: "above"}
_MIRRORED = {Op.LT: Op.GT, Op.LE: Op.GE, Op.GT: Op.LT, Op.GE: Op.LE}


@dataclass(frozen=True)
class Goal:
    """Something that an example should show: a condition that has to hold for one of these tools."""

    clause: str
    """The id of a rule, or `never 1`."""
    at: At
    what: str
    """`rule`, `never`, `threshold` or `choice`."""
    text: str
    """The comparison as it is written; empty for a whole clause."""
    side: str
    """`below`, `at`, `above`, `equal`, `other`, a choice; empty for a whole clause."""
    trees: Mapping[str, Condition] = field(compare=False)
    """What has to hold, for each tool that the clause speaks of."""

    def met(self, situation: Situation) -> bool:
        """Never where the situation says nothing of a path: that is not the same as a path without a value."""
        tool, known = situation
        tree = self.trees.get(tool)
        return tree is not None and self._needs[tool] <= known.keys() and evaluate(tree, known) is True

    @cached_property
    def _needs(self) -> dict[str, frozenset[str]]:
        return {tool: paths(tree) for tool, tree in self.trees.items()}

    @property
    def untried(self) -> str:
        """What nobody tried, in words."""
        if self.what in ("rule", "never"):
            return "nothing makes its condition hold"
        if self.what == "choice":
            return f"{self.text}: never {self.side}"
        told = {"equal": "never equal", "other": "never anything else", "at": "never right at it"}
        return f"{self.text}: {told.get(self.side, f'never {self.side} it')}"


@dataclass(frozen=True)
class Coverage:
    book: Book
    goals: tuple[Goal, ...]
    open: tuple[Goal, ...]
    """Those that nothing shows, in the order of the file."""

    def tally(self) -> dict[str, tuple[int, int]]:
        """For each kind of goal, how many are met, and how many there are."""
        kinds = dict.fromkeys(goal.what for goal in self.goals)
        untried = [goal.what for goal in self.open]
        total = [goal.what for goal in self.goals]
        return {what: (total.count(what) - untried.count(what), total.count(what)) for what in kinds}

    def as_text(self) -> str:
        names = {"rule": "rules", "never": "promises", "threshold": "sides of thresholds", "choice": "choices"}
        told = ", ".join(f"{met} of {whole} {names[what]}" for what, (met, whole) in self.tally().items())
        lines = [f"{self.book.file}:{g.at.line}:{g.at.column}: {g.clause}: {g.untried}" for g in self.open]
        return "\n".join([*lines, f"{self.book.file}: {told} are tried."])

    def as_json(self) -> dict[str, JSON]:
        return {
            "file": self.book.file,
            "tried": {what: {"met": met, "of": whole} for what, (met, whole) in self.tally().items()},
            "untried": [
                {
                    "clause": goal.clause,
                    "line": goal.at.line,
                    "column": goal.at.column,
                    "kind": goal.what,
                    "comparison": goal.text,
                    "side": goal.side,
                    "said": goal.untried,
                }
                for goal in self.open
            ],
        }


def coverage(book: Book, more: Iterable[Situation] = ()) -> Coverage:
    """By the book's own examples, and by `more`, such as what was decided in life."""
    goals = tuple(_goals(book))
    left = list(goals)
    for situation in examples(book):
        left = [goal for goal in left if not goal.met(situation)]
    for situation in more:
        if not left:
            break
        left = [goal for goal in left if not goal.met(situation)]
    return Coverage(book, goals, tuple(left))


def examples(book: Book) -> Iterator[Situation]:
    for example in book.examples:
        yield example.tool, known(book, example.tool, example.facts)


def known(book: Book, tool: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Every path of the tool, with what never changes for it; what is not told has no value."""
    return {path: term.constant for path, term in book.vocabulary.tools[tool].items()} | dict(facts)


def _goals(book: Book) -> Iterator[Goal]:
    for rule in book.rules:
        yield Goal(rule.id, rule.at, "rule", "", "", rule.conditions)
        yield from _inside(rule.id, rule.conditions)
    for number, never in enumerate(book.never, 1):
        yield Goal(f"never {number}", never.at, "never", "", "", never.conditions)
        yield from _inside(f"never {number}", never.conditions)


def _inside(clause: str, conditions: Mapping[str, Condition]) -> Iterator[Goal]:
    """A comparison stands at one place in the file, with a tree for each tool."""
    places: dict[At, dict[str, Compare | Within]] = {}
    for tool, condition in conditions.items():
        for part in atoms(condition):
            if isinstance(part, Within) or (isinstance(part, Compare) and _fixed_side(part)):
                places.setdefault(part.at, {})[tool] = part
    for at, trees in sorted(places.items()):
        first = next(iter(trees.values()))
        if isinstance(first, Within):
            for option in first.options:
                yield Goal(clause, at, "choice", said(first), shown(option), _each(trees, _chosen(option)))
            yield Goal(
                clause, at, "choice", said(first), "anything else", _each(trees, lambda part: Not(part, part.at))
            )
        elif first.left.type in (FactType.CHOICE, FactType.TEXT, FactType.BOOLEAN):
            for side, op in (("equal", Op.EQ), ("other", Op.NE)):
                yield Goal(clause, at, "threshold", said(first), side, _each(trees, _turned(op)))
        else:
            for op, side in SIDES.items():
                if op is not Op.LT or not _at_zero(first):
                    yield Goal(clause, at, "threshold", said(first), side, _each(trees, _turned(op)))


def _each(trees: Mapping[str, Compare | Within], change: Any) -> dict[str, Condition]:
    return {tool: change(tree) for tool, tree in trees.items()}


def _chosen(option: Const) -> Any:
    return lambda within: Compare(Op.EQ, within.item, option, within.at)


def _turned(op: Op) -> Any:
    return lambda compare: replace(facing(compare), op=op)


def facing(compare: Compare) -> Compare:
    """The same comparison with what can change on the left."""
    if any(isinstance(leaf, Ref) for leaf in _terms(compare.left)):
        return compare
    op = _MIRRORED.get(compare.op, compare.op)
    return replace(compare, op=op, left=compare.right, right=compare.left)


def atoms(condition: Condition) -> Iterator[Condition]:
    """The parts that are no `and`, `or` or `not`."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from atoms(part)
        case Not(part):
            yield from atoms(part)
        case _:
            yield condition


def _terms(operand: Operand) -> tuple[Ref | Const | LimitRef, ...]:
    return operand.terms if isinstance(operand, Plus) else (operand,)


def _fixed_side(compare: Compare) -> bool:
    """Whether one side never changes, so that there is a threshold to be tried."""
    sides = (_terms(compare.left), _terms(compare.right))
    return any(not any(isinstance(leaf, Ref) for leaf in side) for side in sides)


def _at_zero(compare: Compare) -> bool:
    amounts = [leaf for leaf in leaves(compare) if not isinstance(leaf, Ref)]
    return all(_is_zero(leaf) for leaf in amounts)


def _is_zero(leaf: Const | LimitRef) -> bool:
    if isinstance(leaf, LimitRef):
        return all(not amount.amount_minor for amount in leaf.amounts.values()) if leaf.amounts else not leaf.number
    if isinstance(leaf.value, Money):
        return not leaf.value.amount_minor
    return isinstance(leaf.value, int | Decimal) and not leaf.value


def said(part: Compare | Within) -> str:
    """Nearly as it was written."""
    if isinstance(part, Within):
        return f"{part.item.path} in [{', '.join(map(shown, part.options))}]"
    sides = [" + ".join(map(shown, _terms(side))) for side in (part.left, part.right)]
    return f"{sides[0]} {part.op.value} {sides[1]}"


def shown(leaf: Ref | Const | LimitRef) -> str:
    match leaf:
        case Ref(path):
            return path
        case LimitRef(name):
            return f"${name}"
        case Const(value):
            return str(value).lower() if isinstance(value, bool) else str(value)
