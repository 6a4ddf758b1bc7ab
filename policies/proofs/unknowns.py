"""The facts and arguments of one tool as variables of z3: made, and read back as facts that people know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import chain, count
from typing import Any, assert_never

from core.money import Money
from core.verdicts import FactType, FactValue
from policies.proofs.domain import EPOCH, Domain, Env, Slot
from policies.proofs.logic import Code, Found, Logic, Truth, alike, every, no, some

_OTHERS = """
CHF SEK NOK DKK PLN CZK HUF RON BGN ISK CAD AUD NZD SGD HKD CNY KRW INR THB MYR IDR PHP VND TWD MXN BRL ARS CLP
COP PEN ZAR NGN KES GHS EGP MAD TND ILS TRY AED SAR QAR BHD OMR JOD UAH GEL KZT PKR LKR BDT NPR USD EUR GBP JPY
"""
"""Currencies to show for those that no rule names."""
_PLACES = 10**12


@dataclass(frozen=True)
class Unknown:
    """A path: whether it has a value, the value, and the currency of an amount.

    The value is a number (amounts in minor units, times in microseconds, texts by their place in a list),
    a truth, or the code of a choice.
    """

    told: Truth
    value: Any
    currency: Code | None = None


class Unknowns:
    def __init__(self, logic: Logic, domain: Domain, currencies: Iterable[str]) -> None:
        self._logic = logic
        self._domain = domain
        self.asking = logic.asking()
        """Knows what the domain says of the facts."""
        self.currencies = sorted(currencies)
        """By code. Each code above stands for some other currency."""
        slots = domain.slots.values()
        amounts = sum(slot.term.type is FactType.MONEY for slot in slots)
        self._codes = max(1, len(self.currencies) + amounts)
        """So many that all amounts can be in currencies that no rule names, and in different ones."""
        self._texts: list[str] = []
        self._guards = {guard: logic.flag(f"has {guard}") for slot in slots for guard in slot.guards}
        self._exact: set[str] = set()
        self.values = {slot.path: self._made(slot) for slot in slots}
        for slot in slots:
            if slot.sum_of in self.values:
                self.asking.add(self.currency(slot.path).same(self.currency(slot.sum_of)))

    def told_but(self, leaving_out: Iterable[str]) -> Truth:
        """Every path has a value; those left out may have one."""
        free = {guard for path in leaving_out if path in self.values for guard in self._domain.slots[path].guards}
        return every(truth for guard, truth in self._guards.items() if guard not in free)

    @property
    def plain(self) -> Truth:
        """No number is below zero, and all amounts are in one currency."""
        counted = (FactType.MONEY, FactType.INTEGER, FactType.DECIMAL)
        numbers = [self.values[path].value for path, slot in self._domain.slots.items() if slot.term.type in counted]
        codes = [unknown.currency for unknown in self.values.values() if unknown.currency is not None]
        return every((*(number >= 0 for number in numbers), *(codes[0].same(code) for code in codes[1:])))

    def currency(self, path: str) -> Code:
        code = self.values[path].currency
        assert code is not None
        return code

    def text(self, word: str) -> int:
        """The number of a text. A number that stands for none is some other text."""
        if word not in self._texts:
            self._texts.append(word)
        return self._texts.index(word)

    def _made(self, slot: Slot) -> Unknown:
        path, logic = slot.path, self._logic
        told = every(self._guards[guard] for guard in slot.guards)
        match slot.term.type:
            case FactType.MONEY | FactType.INTEGER:
                whole = logic.whole(path)
                if slot.low is not None:
                    self.asking.add(whole >= slot.low)
                if slot.high is not None:
                    self.asking.add(whole <= slot.high)
                money = slot.term.type is FactType.MONEY
                return Unknown(told, whole, logic.code(f"{path} currency", self._codes) if money else None)
            case FactType.DECIMAL:
                number = logic.real(path)
                if slot.low is not None:
                    self.asking.add(number >= slot.low)
                if slot.high is not None:
                    self.asking.add(number <= slot.high)
                return Unknown(told, number)
            case FactType.BOOLEAN:
                return Unknown(told, logic.flag(path))
            case FactType.CHOICE:
                code = logic.code(path, len(slot.term.choices))
                self.asking.add(some(code.equals(n) for n in range(len(slot.term.choices))))
                return Unknown(told, code)
            case FactType.TEXT | FactType.TIME:
                return Unknown(told, logic.whole(path))
            case _:
                assert_never(slot.term.type)

    def likely(self, assumptions: Sequence[Truth], currency: str) -> Env | None:
        """The same, and amounts are in this currency if they can be."""
        env = self.possible(assumptions)
        if env is None or currency not in self.currencies:
            return env
        code = self.currencies.index(currency)
        flag = self._logic.flag(f"all in {currency}")
        self.asking.add(alike(flag, every(c.equals(code) for each in self.values.values() if (c := each.currency))))
        return self.possible([*assumptions, flag]) or env

    def possible(self, assumptions: Sequence[Truth]) -> Env | None:
        """A situation in which all of them hold, constants included; None where there is none."""
        while found := self.asking.possible(assumptions):
            uneven = [path for path in self._decimals() if not _ends(found.number(self.values[path].value))]
            if not uneven:
                return self._situation(found)
            for path in uneven:  # a third of something is no decimal: look among those that end
                self._exact.add(path)
                self.asking.add(self.values[path].value * _PLACES == self._logic.whole(f"{path} digits"))
        return None

    def _decimals(self) -> list[str]:
        slots = self._domain.slots.values()
        return [slot.path for slot in slots if slot.term.type is FactType.DECIMAL and slot.path not in self._exact]

    def _situation(self, found: Found) -> Env:
        told = {path: unknown for path, unknown in self.values.items() if found.truth(unknown.told)}
        kinds = {path: self._domain.slots[path].term.type for path in told}
        times = sorted(found.number(each.value) for path, each in told.items() if kinds[path] is FactType.TIME)
        codes = {found.code(each.currency) for each in told.values() if each.currency is not None}
        currencies = _named(self.currencies, codes, _OTHERS.split())
        numbers = {int(found.number(each.value)) for path, each in told.items() if kinds[path] is FactType.TEXT}
        texts = _named(self._texts, numbers, chain(["something else"], (f"something else {n}" for n in count(2))))

        def fact(path: str, unknown: Unknown) -> FactValue:
            term = self._domain.slots[path].term
            match term.type:
                case FactType.MONEY:
                    currency = currencies[found.code(self.currency(path))]
                    return Money(amount_minor=int(found.number(unknown.value)), currency=currency)
                case FactType.INTEGER:
                    return int(found.number(unknown.value))
                case FactType.DECIMAL:
                    value = found.number(unknown.value)
                    return Decimal(value.numerator) / value.denominator
                case FactType.BOOLEAN:
                    return found.truth(unknown.value)
                case FactType.CHOICE:
                    return term.choices[found.code(unknown.value)]
                case FactType.TEXT:
                    return texts[int(found.number(unknown.value))]
                case FactType.TIME:  # only their order counts
                    return EPOCH + timedelta(days=times.index(found.number(unknown.value)))
                case _:
                    assert_never(term.type)

        known = {path: fact(path, unknown) for path, unknown in told.items()}
        return {**dict.fromkeys(self.values), **self._domain.constants, **known}

    def exactly(self, env: Mapping[str, Any]) -> Truth:
        """That the facts are these and no others."""
        amounts = [value.currency for path in self.values if isinstance(value := env.get(path), Money)]
        codes = {each: n for n, each in enumerate(dict.fromkeys((*self.currencies, *sorted(amounts))))}
        parts: list[Truth] = []
        for path, unknown in self.values.items():
            value = env.get(path)
            if value is None:
                parts.append(no(unknown.told))
                continue
            parts.append(unknown.told)
            match self._domain.slots[path].term.type:
                case FactType.MONEY:
                    parts += [unknown.value == value.amount_minor, self.currency(path).equals(codes[value.currency])]
                case FactType.DECIMAL:
                    parts.append(unknown.value == self._logic.exactly(Fraction(value)))
                case FactType.BOOLEAN:
                    parts.append(alike(unknown.value, value))
                case FactType.CHOICE:
                    parts.append(unknown.value.equals(self._domain.slots[path].term.choices.index(value)))
                case FactType.TEXT:
                    parts.append(unknown.value == self.text(value))
                case FactType.TIME:
                    parts.append(unknown.value == (value - EPOCH) // timedelta(microseconds=1))
                case FactType.INTEGER:
                    parts.append(unknown.value == value)
        return every(parts)


def _named(known: Sequence[str], numbers: Iterable[int], others: Iterable[str]) -> dict[int, str]:
    """A word for each number: the known ones by their place, another for each of the rest."""
    unused = (word for word in others if word not in known)
    found = dict(enumerate(known))
    return found | {number: next(unused) for number in sorted(set(numbers) - found.keys())}


def _ends(value: Fraction) -> bool:
    """Whether it can be written with so many decimal places as a decimal keeps exactly."""
    return Fraction(Decimal(value.numerator) / value.denominator) == value
