"""The conditions of a policy as a typed tree. One tree, three back ends: compiled code, the reference, proofs.

Every node knows its place in the file. Types were checked when the tree was made, so a back end only
meets what can differ from one action to the next: a fact that is missing, and currencies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from core.money import Money
from core.verdicts import FactType
from policies.problems import At

Value = Money | bool | int | Decimal | str


class Op(StrEnum):
    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True, slots=True)
class Ref:
    """A fact or an argument."""

    path: str
    type: FactType
    choices: tuple[str, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Const:
    value: Value
    type: FactType
    at: At


@dataclass(frozen=True, slots=True)
class LimitRef:
    """`$name`: a number, or amounts by currency, of which the one of the fact's currency holds."""

    name: str
    type: FactType
    number: int | Decimal | None
    amounts: Mapping[str, Money]
    at: At


@dataclass(frozen=True, slots=True)
class Plus:
    terms: tuple[Ref | Const | LimitRef, ...]
    type: FactType
    at: At


Operand = Ref | Const | LimitRef | Plus


@dataclass(frozen=True, slots=True)
class Compare:
    op: Op
    left: Operand
    right: Operand
    at: At


@dataclass(frozen=True, slots=True)
class Within:
    """`item in [a, b]`."""

    item: Ref
    options: tuple[Const, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Known:
    """`item is known`, `item is unknown`: the one question that a missing fact answers."""

    item: Ref
    known: bool
    at: At


@dataclass(frozen=True, slots=True)
class Holds:
    """A yes-or-no fact, or `true`, standing for itself."""

    item: Ref | Const
    at: At


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition
    at: At


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Condition, ...]
    at: At


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Condition, ...]
    at: At


Condition = Compare | Within | Known | Holds | Not | AllOf | AnyOf


def leaves(condition: Condition) -> Iterator[Ref | Const | LimitRef]:
    """Every operand, from left to right."""
    match condition:
        case Compare(_, left, right):
            for side in (left, right):
                yield from side.terms if isinstance(side, Plus) else (side,)
        case Within(item, options):
            yield item
            yield from options
        case Known(item) | Holds(item):
            yield item
        case Not(part):
            yield from leaves(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case _:
            assert_never(condition)


def paths(condition: Condition) -> frozenset[str]:
    """The facts and arguments that a condition reads."""
    return frozenset(leaf.path for leaf in leaves(condition) if isinstance(leaf, Ref))


def asks_whether_known(condition: Condition) -> frozenset[str]:
    """The paths of which a condition says what holds when they are missing."""
    match condition:
        case Known(item):
            return frozenset({item.path})
        case Not(part):
            return asks_whether_known(part)
        case AllOf(parts) | AnyOf(parts):
            return frozenset[str]().union(*map(asks_whether_known, parts))
        case _:
            return frozenset()
