"""Changes a situation until a condition holds: one value after the other, each by as little as it takes.

It searches, it proves nothing: where it finds no way there may be one all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from decimal import Decimal
from itertools import islice
from typing import Any, assert_never

from core.money import Money
from core.verdicts import FactType, FactValue
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
from policies.reference import evaluate
from policies.vocabulary import Terms

Env = Mapping[str, Any]

_STEP = Decimal("0.01")
"""Between numbers that are no whole ones. Money moves by its smallest coin, counts and days by one."""
_ANYTHING = "x1"
_MOST = 60
"""Ways that are tried for one condition."""

_SIDES: dict[tuple[Op, bool], tuple[int, ...]] = {
    (Op.EQ, True): (0,),
    (Op.NE, True): (1, -1),
    (Op.LT, True): (-1,),
    (Op.LE, True): (0, -1),
    (Op.GT, True): (1,),
    (Op.GE, True): (0, 1),
    (Op.EQ, False): (1, -1),
    (Op.NE, False): (0,),
    (Op.LT, False): (0, 1),
    (Op.LE, False): (1,),
    (Op.GT, False): (0, -1),
    (Op.GE, False): (-1,),
}
"""Where the left side has to lie, in steps from the right one."""


class Moves:
    """Of the calls of one tool. `terms` are the paths that exist for it, `currency` is for amounts without one."""

    def __init__(self, terms: Terms, currency: str, *, records_first: bool = False) -> None:
        """`records_first`: what is on record moves before what is asked for."""
        self._terms = terms
        self._currency = currency
        self._records_first = records_first

    def to(self, condition: Condition, want: bool, env: Env, held: Set[str] = frozenset()) -> dict[str, Any] | None:
        """The nearest situation found in which the condition is as wanted; paths in `held` stay as they are."""
        return next(self.ways(condition, want, env, held), None)

    def ways(
        self, condition: Condition, want: bool, env: Env, held: Set[str] = frozenset()
    ) -> Iterator[dict[str, Any]]:
        """Several, the nearest first."""
        for found in islice(self._ways(condition, want, dict(env), held), _MOST):
            if evaluate(condition, found) is want:
                yield found

    def _ways(self, condition: Condition, want: bool, env: dict[str, Any], held: Set[str]) -> Iterator[dict[str, Any]]:
        if evaluate(condition, env) is want:
            yield env
            return
        match condition:
            case Not(part):
                yield from self._ways(part, not want, env, held)
            case AllOf(parts) | AnyOf(parts):
                if isinstance(condition, AllOf) is want:
                    yield from self._all(parts, want, env, held)
                else:
                    for part in sorted(parts, key=_is_no_figure):
                        yield from self._ways(part, want, env, held)
            case Known(item, known):
                yield from self._set(env, item, self._some(item) if known is want else None, held)
            case Holds(Ref() as item):
                yield from self._set(env, item, want, held)
            case Holds():
                return
            case Within(item, options):
                inside = [option.value for option in options]
                for value in inside if want else [word for word in item.choices if word not in inside]:
                    yield from self._set(env, item, value, held)
            case Compare():
                yield from self._compared(condition, want, env, held)
            case _:
                assert_never(condition)

    def _all(
        self, parts: tuple[Condition, ...], want: bool, env: dict[str, Any], held: Set[str]
    ) -> Iterator[dict[str, Any]]:
        """Each part in turn, going back where a later one finds no way."""
        if not parts:
            yield env
            return
        for number, found in enumerate(self._ways(parts[0], want, env, held)):
            yield from self._all(parts[1:], want, found, held)
            if number > 3:
                return

    def _set(self, env: dict[str, Any], item: Ref, value: FactValue, held: Set[str]) -> Iterator[dict[str, Any]]:
        if item.path not in held and self._terms[item.path].constant is None:
            yield {**env, item.path: value}

    def _compared(self, compare: Compare, want: bool, env: dict[str, Any], held: Set[str]) -> Iterator[dict[str, Any]]:
        if compare.left.type in (FactType.CHOICE, FactType.TEXT, FactType.BOOLEAN):
            yield from self._words(compare, (compare.op is Op.EQ) is want, env, held)
            return
        refs = [leaf for leaf in leaves(compare) if isinstance(leaf, Ref)]
        refs.sort(key=lambda ref: ref.path.startswith("args.") is self._records_first)
        whole = {**env, **{ref.path: self._nothing(ref, env, refs) for ref in refs if env.get(ref.path) is None}}
        for steps in _SIDES[compare.op, want]:
            for ref in refs:
                value = self._reached(compare, ref, steps, whole)
                if value is not None and ref.path not in held:
                    unknown = {other.path for other in refs if other is not ref and env.get(other.path) is None}
                    if not unknown & held:
                        yield {**whole, ref.path: value}

    def _words(self, compare: Compare, equal: bool, env: dict[str, Any], held: Set[str]) -> Iterator[dict[str, Any]]:
        for item, other in ((compare.left, compare.right), (compare.right, compare.left)):
            if not isinstance(item, Ref):
                continue
            goal = other.value if isinstance(other, Const) else env.get(other.path) if isinstance(other, Ref) else None
            if equal and goal is not None:
                yield from self._set(env, item, goal, held)
            elif not equal:
                for value in item.choices or (not goal if isinstance(goal, bool) else _ANYTHING,):
                    if value != goal:
                        yield from self._set(env, item, value, held)

    def _reached(self, compare: Compare, ref: Ref, steps: int, env: Env) -> FactValue:
        """The value of one path that brings the left side so many steps from the right; None where there is none."""
        money = compare.left.type is FactType.MONEY
        currency = (
            next((env[leaf.path].currency for leaf in leaves(compare) if isinstance(leaf, Ref)), "") if money else ""
        )
        left, right = self._total(compare.left, ref, env, currency), self._total(compare.right, ref, env, currency)
        if left is None or right is None or ref.type is FactType.TIME:
            return None
        step = 1 if money or ref.type is FactType.INTEGER else _STEP
        on_left = ref in _terms(compare.left)
        value = right - left + steps * step if on_left else left - right - steps * step
        if value < 0:
            return None
        if money:
            return Money(amount_minor=int(value), currency=currency)
        if ref.type is FactType.INTEGER:
            return int(value) if value == int(value) else None
        return Decimal(value)

    def _total(self, side: Operand, without: Ref, env: Env, currency: str) -> int | Decimal | None:
        total: int | Decimal = 0
        for leaf in _terms(side):
            if leaf is without:
                continue
            value = _number(leaf, env, currency)
            if value is None:
                return None
            total += value
        return total

    def _nothing(self, ref: Ref, env: Env, beside: list[Ref]) -> FactValue:
        if ref.type is not FactType.MONEY:
            return 0 if ref.type is FactType.INTEGER else Decimal(0)
        amounts = (env.get(other.path) for other in beside)
        return Money.zero(next((amount.currency for amount in amounts if amount is not None), self._currency))

    def _some(self, item: Ref) -> FactValue:
        match item.type:
            case FactType.MONEY:
                return Money(amount_minor=1, currency=self._currency)
            case FactType.INTEGER:
                return 1
            case FactType.DECIMAL:
                return _STEP
            case FactType.BOOLEAN:
                return True
            case FactType.CHOICE:
                return item.choices[0]
            case FactType.TEXT:
                return _ANYTHING
            case FactType.TIME:
                return None


def _is_no_figure(condition: Condition) -> bool:
    """Figures move first: with another amount a situation stays what it is, without its return it does not."""
    return not (isinstance(condition, Compare) and condition.left.type in (FactType.MONEY, FactType.INTEGER))


def _terms(operand: Operand) -> tuple[Ref | Const | LimitRef, ...]:
    return operand.terms if isinstance(operand, Plus) else (operand,)


def _number(leaf: Ref | Const | LimitRef, env: Env, currency: str) -> int | Decimal | None:
    value = leaf.amounts.get(currency, leaf.number) if isinstance(leaf, LimitRef) else None
    if isinstance(leaf, Const):
        value = leaf.value  # type: ignore[assignment]
    elif isinstance(leaf, Ref):
        value = env.get(leaf.path)
    if isinstance(value, Money):
        return value.amount_minor if value.currency == currency else None
    return value if isinstance(value, int | Decimal) else None
