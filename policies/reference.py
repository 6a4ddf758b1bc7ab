"""The naive interpreter: what a condition means, written to be read. What decides is tested against it.

It also says why a condition can't be told, which is what people see when a decision is refused for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    leaves,
)

Env = Mapping[str, Any]


def evaluate(condition: Condition, env: Env) -> bool | None:
    """True, False, or None where it can't be told."""
    match condition:
        case AllOf(parts):
            answers = [evaluate(part, env) for part in parts]
            return False if False in answers else None if None in answers else True
        case AnyOf(parts):
            answers = [evaluate(part, env) for part in parts]
            return True if True in answers else None if None in answers else False
        case Not(part):
            answer = evaluate(part, env)
            return None if answer is None else not answer
        case Known(item, known):
            return (env.get(item.path) is not None) == known
        case Holds(item):
            return bool(item.value) if isinstance(item, Const) else env.get(item.path)
        case Within(item, options):
            return evaluate(AnyOf(tuple(Compare(Op.EQ, item, option, item.at) for option in options), item.at), env)
        case Compare(op, left, right):
            if next(_obstacles(condition, env), None):
                return None
            currency = _currency(condition, env)
            return _holds(op, _number(left, env, currency), _number(right, env, currency))
        case _:
            assert_never(condition)


def why_open(condition: Condition, env: Env) -> list[str]:
    """What leaves a condition open, in words for people; empty where it can be told."""
    return list(dict.fromkeys(_reasons(condition, env)))


def _reasons(condition: Condition, env: Env) -> Iterator[str]:
    if evaluate(condition, env) is not None:
        return
    match condition:
        case Not(part):
            yield from _reasons(part, env)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _reasons(part, env)
        case _:
            yield from _obstacles(condition, env)


def _obstacles(condition: Condition, env: Env) -> Iterator[str]:
    """Facts that are missing, and amounts that are in no common currency."""
    missing = [leaf.path for leaf in leaves(condition) if isinstance(leaf, Ref) and env.get(leaf.path) is None]
    if missing:
        yield from (f"{path} is unknown" for path in missing)
        return
    currency = _currency(condition, env)
    for leaf in leaves(condition) if currency else ():
        match leaf:
            case LimitRef(name, _, _, amounts) if currency not in amounts:
                yield f"the limit {name} has no amount in {currency}"
            case Const(Money(currency=other)) if other != currency:
                yield f"the rule compares with {other}, but the amount is in {currency}"
            case Ref(path) if env[path].currency != currency:
                yield f"{path} is in {env[path].currency}, not in {currency}"


def _currency(condition: Condition, env: Env) -> str:
    """The currency of the first amount of money that is a fact; empty where none is compared."""
    found = (leaf for leaf in leaves(condition) if isinstance(leaf, Ref) and leaf.type is FactType.MONEY)
    return next((env[leaf.path].currency for leaf in found), "")


def _number(operand: Operand, env: Env, currency: str) -> Any:
    match operand:
        case Plus(terms):
            return sum(_number(term, env, currency) for term in terms)
        case LimitRef(_, FactType.MONEY, _, amounts):
            return amounts[currency].amount_minor
        case LimitRef(_, _, number):
            return number
        case Const(Money(amount_minor=minor)):
            return minor
        case Const(value):
            return value
        case Ref(path, FactType.MONEY):
            return env[path].amount_minor
        case Ref(path):
            return env[path]
        case _:
            assert_never(operand)


def _holds(op: Op, a: Any, b: Any) -> bool:
    answers: dict[Op, Callable[[], bool]] = {
        Op.EQ: lambda: a == b,
        Op.NE: lambda: a != b,
        Op.LT: lambda: a < b,
        Op.LE: lambda: a <= b,
        Op.GT: lambda: a > b,
        Op.GE: lambda: a >= b,
    }
    return bool(answers[op]())
