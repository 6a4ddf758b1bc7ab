"""Conditions as closures: the back end that decides.

`True`, `False`, or None where a missing fact or another currency leaves it open (Kleene's logic:
`false and missing` is false). The environment holds a value or None for every path that is read.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, assert_never

from core.money import Money
from core.verdicts import FactType
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
    Op,
    Operand,
    Plus,
    Ref,
    Within,
)

Env = Mapping[str, Any]
Test = Callable[[Env], bool | None]
_Number = Callable[[Env], int | Decimal | None]

_OPERATORS: dict[Op, Callable[[Any, Any], bool]] = {
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
}
_MIRRORED = {Op.LT: Op.GT, Op.LE: Op.GE, Op.GT: Op.LT, Op.GE: Op.LE}


def closure(condition: Condition) -> Test:
    match condition:
        case AllOf(parts):
            return _all(_tests(parts))
        case AnyOf(parts):
            return _any(_tests(parts))
        case Not(part):
            return _not(closure(part))
        case Compare(op, left, right):
            return _compare(op, left, right)
        case Within(item, options):
            return _within(item, options)
        case Known(item, known):
            path = item.path
            return (lambda env: env[path] is not None) if known else (lambda env: env[path] is None)
        case Holds(item):
            return _value(item)
        case _:
            assert_never(condition)


def _cost(condition: Condition) -> int:
    """Cheap tests go first. Their order changes no answer: a missing fact in one never hides a False in another."""
    match condition:
        case Within() | Holds() | Known():
            return 0
        case Compare(op, left, _):
            return (4 if left.type is FactType.MONEY else 1) - (op is Op.EQ)
        case Not(part):
            return _cost(part) + 1
        case AllOf(parts) | AnyOf(parts):
            return 4 + sum(map(_cost, parts))
        case _:
            assert_never(condition)


def _tests(parts: tuple[Condition, ...]) -> list[Test]:
    return [closure(part) for part in sorted(parts, key=_cost)]


def _all(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    half = len(tests) // 2  # balanced, so that a long list is no deep recursion
    first, others = _all(tests[:half]), _all(tests[half:])

    def both(env: Env) -> bool | None:
        a = first(env)
        if a is False:
            return False
        b = others(env)
        return b if a or b is False else None

    return both


def _any(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    half = len(tests) // 2  # balanced, so that a long list is no deep recursion
    first, others = _any(tests[:half]), _any(tests[half:])

    def either(env: Env) -> bool | None:
        a = first(env)
        if a:
            return True
        b = others(env)
        return b if a is False or b else None

    return either


def _not(test: Test) -> Test:
    def negated(env: Env) -> bool | None:
        found = test(env)
        return None if found is None else not found

    return negated


def _within(item: Ref, options: tuple[Const, ...]) -> Test:
    if item.type is FactType.MONEY:
        return _any([_compare(Op.EQ, item, option) for option in options])
    path = item.path
    values = frozenset(option.value for option in options)

    def within(env: Env) -> bool | None:
        value = env[path]
        return None if value is None else value in values

    return within


def _compare(op: Op, left: Operand, right: Operand) -> Test:
    if not isinstance(left, Ref) and isinstance(right, Ref):
        left, right, op = right, left, _MIRRORED.get(op, op)
    if left.type is FactType.MONEY:
        return _compare_money(op, left, right)
    holds = _OPERATORS[op]
    if isinstance(left, Ref) and isinstance(right, Const | LimitRef):
        return _against_fixed(holds, left.path, right.value if isinstance(right, Const) else right.number)
    left_of, right_of = _value(left), _value(right)

    def compare(env: Env) -> bool | None:
        a = left_of(env)
        if a is None:
            return None
        b = right_of(env)
        return None if b is None else holds(a, b)

    return compare


def _against_fixed(holds: Callable[[Any, Any], bool], path: str, fixed: Any) -> Test:
    def compare(env: Env) -> bool | None:
        value = env[path]
        return None if value is None else holds(value, fixed)

    return compare


def _value(operand: Operand) -> Callable[[Env], Any]:
    match operand:
        case Ref(path):
            return lambda env: env[path]
        case Const(value):
            return lambda env: value
        case LimitRef(_, _, number):
            return lambda env: number
        case Plus(terms):
            return _sum([_value(term) for term in terms])
        case _:
            assert_never(operand)


def _sum(terms: list[_Number]) -> _Number:
    def add(env: Env) -> int | Decimal | None:
        total: int | Decimal = 0
        for term in terms:
            value = term(env)
            if value is None:
                return None
            total += value
        return total

    return add


def _compare_money(op: Op, left: Operand, right: Operand) -> Test:
    """Amounts are compared in minor units, in the currency of the first fact; any other currency leaves it open."""
    holds = _OPERATORS[op]
    if isinstance(left, Ref) and isinstance(right, Const | LimitRef):
        return _money_against_fixed(holds, left.path, _minor_by_currency(right))
    sides = [operand.terms if isinstance(operand, Plus) else (operand,) for operand in (left, right)]
    lead = next(leaf.path for side in sides for leaf in side if isinstance(leaf, Ref))
    left_of, right_of = (_minor([_minor_term(leaf) for leaf in side]) for side in sides)

    def compare(env: Env) -> bool | None:
        first = env[lead]
        if first is None:
            return None
        a = left_of(env, first.currency)
        b = right_of(env, first.currency)
        return None if a is None or b is None else holds(a, b)

    return compare


def _money_against_fixed(holds: Callable[[Any, Any], bool], path: str, amounts: dict[str, int]) -> Test:
    def compare(env: Env) -> bool | None:
        money = env[path]
        if money is None:
            return None
        fixed = amounts.get(money.currency)
        return None if fixed is None else holds(money.amount_minor, fixed)

    return compare


def _minor_by_currency(fixed: Const | LimitRef) -> dict[str, int]:
    if isinstance(fixed, LimitRef):
        return {currency: amount.amount_minor for currency, amount in fixed.amounts.items()}
    if not isinstance(fixed.value, Money):
        raise TypeError(f"{fixed} is no money")
    return {fixed.value.currency: fixed.value.amount_minor}


_Minor = Callable[[Env, str], int | None]


def _minor_term(leaf: Ref | Const | LimitRef) -> _Minor:
    if not isinstance(leaf, Ref):
        amounts = _minor_by_currency(leaf)
        return lambda env, currency: amounts.get(currency)
    path = leaf.path

    def minor(env: Env, currency: str) -> int | None:
        money = env[path]
        return money.amount_minor if money is not None and money.currency == currency else None

    return minor


def _minor(terms: list[_Minor]) -> _Minor:
    def total(env: Env, currency: str) -> int | None:
        result = 0
        for term in terms:
            value = term(env, currency)
            if value is None:
                return None
            result += value
        return result

    return total
