"""What may be compared with what. Every refusal says what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.money import Money
from core.verdicts import FactType
from policies.conditions import Compare, Condition, Const, Holds, LimitRef, Op, Operand, Plus, Ref
from policies.problems import At, suggest

_NUMBERS = frozenset({FactType.INTEGER, FactType.DECIMAL})
_ORDERED = _NUMBERS | {FactType.MONEY, FactType.TIME}
_WORDS = frozenset({FactType.TEXT, FactType.CHOICE})
_NAMES = {
    FactType.MONEY: "money",
    FactType.INTEGER: "a whole number",
    FactType.DECIMAL: "a number",
    FactType.BOOLEAN: "true or false",
    FactType.TEXT: "text",
    FactType.CHOICE: "a choice",
    FactType.TIME: "a time",
}


@dataclass(frozen=True, slots=True)
class Word:
    """Bare or quoted text, not yet held against the fact that it is compared with."""

    text: str
    at: At
    quoted: bool = False
    meant: Callable[[], str] = str
    """The fact that is nearest to it; asked for only where it can't stand as text."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that was reported already; whatever is done with it says nothing more."""

    at: At


Loose = Operand | Word | Unknown


def plain(at: At) -> Condition:
    """Stands where a condition could not be made; a tree that holds one is never used."""
    return Holds(Const(False, FactType.BOOLEAN, at), at)


class Checker:
    def __init__(self, report: Callable[[At, str, str], None]) -> None:
        self._report = report
        self.reported = False
        self._currency: tuple[str, At] | None = None

    def complain(self, at: At, message: str, hint: str = "") -> None:
        self.reported = True
        self._report(at, message, hint)

    def compare(self, op: Op, left: Loose, right: Loose, at: At) -> Condition:
        if isinstance(left, Unknown) or isinstance(right, Unknown):
            return plain(at)
        if isinstance(left, Word) and isinstance(right, Ref):
            left_typed: Operand | None = self._word(right, left)
            right_typed: Operand | None = right
        else:
            left_typed = self._operand(left)
            right_typed = self._against(left_typed, right) if left_typed is not None else None
        if left_typed is None or right_typed is None:
            return plain(at)
        if not self._comparable(op, left_typed, right_typed, at):
            return plain(at)
        return Compare(op, left_typed, right_typed, at)

    def _operand(self, loose: Operand | Word) -> Operand | None:
        if isinstance(loose, Word):
            self.complain(
                loose.at, f"'{loose.text}' is no fact", _did_you(loose) or "Write the fact first, as in fact == VALUE."
            )
            return None
        return loose

    def _against(self, left: Operand, right: Operand | Word) -> Operand | None:
        if not isinstance(right, Word):
            return right
        if isinstance(left, Ref):
            return self._word(left, right)
        self.complain(right.at, f"'{right.text}' is text", "It can't be compared with this.")
        return None

    def _word(self, ref: Ref, word: Word) -> Const | None:
        if ref.type is FactType.CHOICE and word.text not in ref.choices:
            self.complain(
                word.at, f"'{word.text}' is none of the values of {ref.path}", suggest(word.text, ref.choices)
            )
        elif ref.type in _WORDS:
            return Const(word.text, ref.type, word.at)
        else:
            wanted = {
                FactType.MONEY: "Write an amount like 150 USD.",
                FactType.BOOLEAN: "Write true or false.",
                FactType.TIME: "Compare it with another time.",
            }.get(ref.type, "Write a number without quotes.")
            self.complain(word.at, f"{ref.path} is {_NAMES[ref.type]}; '{word.text}' is text", wanted)
        return None

    def _comparable(self, op: Op, left: Operand, right: Operand, at: At) -> bool:
        if not _refs(left) and not _refs(right):
            self.complain(at, "both sides are fixed, so this never changes", "Compare a fact or an argument.")
            return False
        a, b = left.type, right.type
        if not (
            a is b or {a, b} <= _NUMBERS or ({a, b} <= _WORDS and isinstance(left, Ref) and isinstance(right, Ref))
        ):
            self._mismatch(left, right)
            return False
        if op not in (Op.EQ, Op.NE) and a not in _ORDERED:
            self.complain(
                at, f"'{op.value}' needs money or numbers; {_name(left)} is {_NAMES[a]}", "Use == or in [...]."
            )
            return False
        refs = [leaf for leaf in (left, right) if isinstance(leaf, Ref)]
        if a is b is FactType.CHOICE and len(refs) == 2 and not set(refs[0].choices) & set(refs[1].choices):
            self.complain(at, f"{_name(left)} and {_name(right)} have no value in common", "Compare other facts.")
            return False
        return self._one_currency((left, right))

    def _mismatch(self, left: Operand, right: Operand) -> None:
        left, right = (right, left) if not _refs(left) else (left, right)
        hint = "Compare things of the same type."
        if left.type is FactType.MONEY and isinstance(right, Const) and right.type in _NUMBERS:
            hint = f"Write {right.value} USD, or whatever currency is meant."
        elif left.type is FactType.MONEY and isinstance(right, LimitRef):
            hint = f"Give the limit {right.name} a currency."
        elif left.type in _WORDS and isinstance(right, Const) and right.type in _NUMBERS:
            hint = f'Write "{right.value}" in quotes.'
        elif left.type in _NUMBERS and right.type is FactType.MONEY:
            hint = "Write a number without a currency."
        elif left.type is FactType.BOOLEAN:
            hint = "Write == true or == false, or the fact alone."
        self.complain(right.at, f"{_name(left)} is {_NAMES[left.type]}; {_name(right)} is {_NAMES[right.type]}", hint)

    def _one_currency(self, operands: Sequence[Operand]) -> bool:
        for leaf in (leaf for operand in operands for leaf in _leaves(operand)):
            if not isinstance(leaf, Const) or not isinstance(leaf.value, Money):
                continue
            if self._currency is None:
                self._currency = (leaf.value.currency, leaf.at)
            elif self._currency[0] != leaf.value.currency:
                self.complain(
                    leaf.at,
                    f"two currencies in one condition: {self._currency[0]} and {leaf.value.currency}",
                    "Use a limit with one amount for each: limits: {name: [150 USD, 140 EUR]}.",
                )
                return False
        return True

    def plus(self, terms: Sequence[Loose], at: At) -> Plus | Unknown:
        if any(isinstance(term, Unknown) for term in terms):
            return Unknown(at)
        typed: list[Ref | Const | LimitRef] = []
        for term in terms:
            if isinstance(term, Ref | Const | LimitRef) and term.type in _NUMBERS | {FactType.MONEY}:
                typed.append(term)
            else:
                self.complain(term.at, "'+' adds money or numbers only", "Compare this by itself.")
                return Unknown(at)
        first = typed[0]
        for term in typed[1:]:
            if (term.type is FactType.MONEY) != (first.type is FactType.MONEY):
                self.complain(
                    term.at, f"money and a number can't be added: {_name(first)}, {_name(term)}", "Add money to money."
                )
                return Unknown(at)
        kinds = {term.type for term in typed}
        return Plus(tuple(typed), kinds.pop() if len(kinds) == 1 else FactType.DECIMAL, at)

    def option(self, ref: Ref, option: Loose) -> Const | None:
        if isinstance(option, Unknown):
            return None
        if isinstance(option, Word):
            return self._word(ref, option)
        if not isinstance(option, Const):
            self.complain(option.at, "a list after 'in' holds fixed values", "Compare facts and limits with ==.")
            return None
        return option if self._comparable(Op.EQ, ref, option, option.at) else None

    def fact(self, loose: Loose, what: str) -> Ref | None:
        if isinstance(loose, Ref):
            return loose
        if not isinstance(loose, Unknown):
            self.complain(loose.at, f"'{what}' needs a fact or an argument before it", "Write fact is known.")
        return None

    def holds(self, loose: Loose, at: At) -> Condition:
        match loose:
            case Unknown():
                return plain(at)
            case Ref() | Const() if loose.type is FactType.BOOLEAN:
                return Holds(loose, at)
            case Word():
                self.complain(at, f"'{loose.text}' is no condition", _did_you(loose) or "Write fact == VALUE.")
            case _:
                self.complain(at, f"{_name(loose)} is {_NAMES[loose.type]}, no condition", "Compare it with something.")
        return plain(at)


def _did_you(word: Word) -> str:
    found = "" if word.quoted else word.meant()
    return f"Did you mean {found}?" if found else ""


def _leaves(operand: Operand) -> tuple[Ref | Const | LimitRef, ...]:
    return operand.terms if isinstance(operand, Plus) else (operand,)


def _refs(operand: Operand) -> bool:
    return any(isinstance(leaf, Ref) for leaf in _leaves(operand))


def _name(operand: Operand) -> str:
    match operand:
        case Ref(path):
            return path
        case LimitRef(name):
            return f"${name}"
        case Const(value):
            return str(value).lower() if isinstance(value, bool) else str(value)
        case Plus():
            return "the sum"
