"""What a condition says, wherever it stands and whatever its limits are called: one shape, one meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, assert_never

from policies.clauses import Rule
from policies.conditions import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Const,
    Holds,
    Known,
    LimitRef,
    Not,
    Operand,
    Plus,
    Ref,
    Within,
)

Shape = tuple[Any, ...]


def shape(condition: Condition) -> Shape:
    match condition:
        case AllOf(parts) | AnyOf(parts):
            return (type(condition).__name__, *map(shape, parts))
        case Not(part):
            return ("Not", shape(part))
        case Compare(op, left, right):
            return (op.value, _operand(left), _operand(right))
        case Within(item, options):
            return ("in", _operand(item), *map(_operand, options))
        case Known(item, known):
            return ("known", known, item.path)
        case Holds(item):
            return ("holds", _operand(item))
        case _:
            assert_never(condition)


def _operand(operand: Operand) -> Shape:
    match operand:
        case Ref(path):
            return ("ref", path)
        case Const(value, kind):
            return ("const", kind.value, str(value))
        case LimitRef(_, kind, number, amounts):
            return ("limit", kind.value, str(number), *sorted(map(str, amounts.values())))
        case Plus(terms):
            return ("+", *map(_operand, terms))
        case _:
            assert_never(operand)


def says(rules: Iterable[Rule], tool: str) -> Counter[Shape]:
    """What a tool's rules enforce, whatever their order, ids and reasons."""
    return Counter(
        (rule.decides, rule.reviewers, shape(rule.conditions[tool]))
        for rule in rules
        if tool in rule.conditions and not rule.monitor
    )
