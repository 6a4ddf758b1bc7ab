"""Conditions as z3 sees them: for each, when it is true and when it is false. Otherwise it can't be told.

The same meaning as `policies.reference` gives, which is what every situation found here is replayed through.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, assert_never

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
    paths,
)
from policies.proofs.domain import Domain
from policies.proofs.logic import Code, Logic, Number, Truth, alike, as_real, every, no, some
from policies.proofs.shape import Shape, shape
from policies.proofs.unknowns import Unknowns
from policies.reference import evaluate


class Told(NamedTuple):
    """Kleene's three answers in two truths that never hold together."""

    true: Truth
    false: Truth

    @property
    def open(self) -> Truth:
        return every((no(self.true), no(self.false)))


class Encoding:
    """Conditions over the facts and arguments of one tool."""

    def __init__(self, logic: Logic, domain: Domain, conditions: Iterable[Condition]) -> None:
        """`conditions` are all that will be asked about: their currencies have to be known at the start."""
        self._domain = domain
        self._logic = logic
        self.unknowns = Unknowns(logic, domain, {each for condition in conditions for each in _currencies(condition)})
        self._known: dict[tuple[Shape, bool], Told] = {}

    def whole(self, condition: Condition, guessed: bool = False) -> Told:
        """The same condition, in two versions of a rule or asked about twice, is encoded once."""
        key = shape(condition), guessed
        if key not in self._known:
            self._known[key] = self.told(condition, guessed)
        return self._known[key]

    def told(self, condition: Condition, guessed: bool = False) -> Told:
        """Guessed: amounts that can't be compared for their currencies compare in one way or the other."""
        match condition:
            case AllOf(parts):
                found = [self.told(part, guessed) for part in parts]
                return Told(every(part.true for part in found), some(part.false for part in found))
            case AnyOf(parts):
                found = [self.told(part, guessed) for part in parts]
                return Told(some(part.true for part in found), every(part.false for part in found))
            case Not(part):
                inner = self.told(part, guessed)
                return Told(inner.false, inner.true)
            case Within(item, options):
                each = tuple(Compare(Op.EQ, item, option, item.at) for option in options)
                return self.told(AnyOf(each, item.at), guessed)
        if not paths(condition) & self._domain.slots.keys():
            answer = evaluate(condition, self._domain.constants)
            return Told(answer is True, answer is False)
        match condition:
            case Known(item, known):
                has = self.unknowns.values[item.path].told
                return Told(has, no(has)) if known else Told(no(has), has)
            case Holds(fact):
                return self._answered(self._has(condition), self._truth(fact))
            case Compare():
                told = self._compared(condition)
                return self._guessed(condition, told) if guessed and condition.left.type is FactType.MONEY else told
            case _:
                assert_never(condition)

    def _has(self, condition: Condition) -> Truth:
        return every(self.unknowns.values[path].told for path in sorted(paths(condition) & self._domain.slots.keys()))

    def _guessed(self, condition: Compare, told: Told) -> Told:
        guess = self._logic.flag(f"guess {shape(condition)}")
        apart = every((self._has(condition), told.open))
        return Told(some((told.true, every((apart, guess)))), some((told.false, every((apart, no(guess))))))

    @staticmethod
    def _answered(has: Truth, holds: Truth) -> Told:
        return Told(every((has, holds)), every((has, no(holds))))

    def _compared(self, condition: Compare) -> Told:
        op, left, right = condition.op, condition.left, condition.right
        has = self._has(condition)
        match left.type:
            case FactType.MONEY:
                return self._amounts(condition, has)
            case FactType.INTEGER | FactType.DECIMAL:
                return self._answered(has, self._numbers(op, left, right))
            case FactType.TIME:
                return self._answered(has, _holds(op, self._value(left), self._value(right)))
            case FactType.BOOLEAN:
                same = alike(self._truth(left), self._truth(right))
            case FactType.TEXT | FactType.CHOICE:
                same = self._same_word(left, right)
            case _:
                assert_never(left.type)
        return self._answered(has, same if op is Op.EQ else no(same))

    def _amounts(self, condition: Compare, has: Truth) -> Told:
        """In the currency of the first fact; where another has another, or a limit has none in it, nothing is told."""
        found = list(leaves(condition))
        first, *others = [self.unknowns.currency(leaf.path) for leaf in found if isinstance(leaf, Ref)]
        has = every((has, *(first.same(other) for other in others)))
        fixed = [_amounts_of(leaf) for leaf in found if not isinstance(leaf, Ref)]
        if not fixed:
            return self._answered(has, self._in(condition, ""))
        common = set(fixed[0]).intersection(*fixed[1:])
        code = self.unknowns.currencies.index
        cases = [(first.equals(code(each)), self._in(condition, each)) for each in sorted(common)]
        return Told(
            every((has, some(every(case) for case in cases))),
            every((has, some(every((inside, no(holds))) for inside, holds in cases))),
        )

    def _in(self, condition: Compare, currency: str) -> Truth:
        def total(operand: Operand) -> Number:
            terms = operand.terms if isinstance(operand, Plus) else (operand,)
            return sum(self._value(term) if isinstance(term, Ref) else _amounts_of(term)[currency] for term in terms)

        return _holds(condition.op, total(condition.left), total(condition.right))

    def _numbers(self, op: Op, left: Operand, right: Operand) -> Truth:
        """Exactly: whole numbers times a power of ten where only whole facts are compared, else z3's reals."""
        sides = [side.terms if isinstance(side, Plus) else (side,) for side in (left, right)]
        fixed = [_fixed(leaf) for side in sides for leaf in side if not isinstance(leaf, Ref)]
        scale = 1
        while any((value * scale).denominator != 1 for value in fixed):
            scale *= 10
        refs = [leaf for side in sides for leaf in side if isinstance(leaf, Ref)]
        real = any(leaf.type is FactType.DECIMAL for leaf in refs)

        def number(leaf: Ref | Const | LimitRef) -> Number:
            if not isinstance(leaf, Ref):
                return self._logic.exactly(_fixed(leaf)) if real else int(_fixed(leaf) * scale)
            value = self._value(leaf)
            if real:
                return as_real(value)
            return value if scale == 1 else value * scale

        a, b = (sum((number(leaf) for leaf in side[1:]), number(side[0])) for side in sides)
        return _holds(op, a, b)

    def _value(self, operand: Operand) -> Any:
        assert isinstance(operand, Ref)
        return self.unknowns.values[operand.path].value

    def _truth(self, operand: Operand) -> Truth:
        if isinstance(operand, Ref) and operand.path in self.unknowns.values:
            return self.unknowns.values[operand.path].value
        fixed = self._constant(operand)
        assert isinstance(fixed, bool)
        return fixed

    def _constant(self, operand: Operand) -> FactValue:
        if isinstance(operand, Const):
            return operand.value
        assert isinstance(operand, Ref)
        return self._domain.constants[operand.path]

    def _same_word(self, left: Operand, right: Operand) -> Truth:
        """Two choices have words in common; a text is compared by its number, a choice by its code."""
        if not isinstance(left, Ref) or left.path not in self.unknowns.values:
            left, right = right, left
        assert isinstance(left, Ref)
        if not isinstance(right, Ref) or right.path not in self.unknowns.values:
            return self._is_word(left, str(self._constant(right)))
        if left.type is right.type is FactType.TEXT:
            return self._value(left) == self._value(right)
        shared = set(left.choices or right.choices) & set(right.choices or left.choices)
        return some(every((self._is_word(left, word), self._is_word(right, word))) for word in sorted(shared))

    def _is_word(self, ref: Ref, word: str) -> Truth:
        if ref.type is FactType.TEXT:
            return self._value(ref) == self.unknowns.text(word)
        choices = self._domain.slots[ref.path].term.choices
        code: Code = self._value(ref)
        return code.equals(choices.index(word)) if word in choices else False


def _holds(op: Op, a: Any, b: Any) -> Truth:
    match op:
        case Op.EQ:
            return a == b
        case Op.NE:
            return a != b
        case Op.LT:
            return a < b
        case Op.LE:
            return a <= b
        case Op.GT:
            return a > b
        case Op.GE:
            return a >= b
        case _:
            assert_never(op)


def _fixed(leaf: Const | LimitRef) -> Fraction:
    number = leaf.number if isinstance(leaf, LimitRef) else leaf.value
    assert isinstance(number, int | Decimal)
    return Fraction(number)


def _amounts_of(leaf: Const | LimitRef | Ref) -> dict[str, int]:
    """Minor units by currency."""
    if isinstance(leaf, LimitRef):
        return {currency: amount.amount_minor for currency, amount in leaf.amounts.items()}
    assert isinstance(leaf, Const)
    assert isinstance(leaf.value, Money)
    return {leaf.value.currency: leaf.value.amount_minor}


def _currencies(condition: Condition) -> set[str]:
    fixed = (leaf for leaf in leaves(condition) if not isinstance(leaf, Ref) and leaf.type is FactType.MONEY)
    return {currency for leaf in fixed for currency in _amounts_of(leaf)}
