"""Conditions in another engine's language, and facts as what it can hold: whole numbers, text, yes and no.

One currency at a time: money becomes minor units. Decimals become millionths, times microseconds. What a language can't
say raises `Inexpressible`, with the reason.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
    Operand,
    Plus,
    Ref,
    Value,
    Within,
)

_MILLION = 1_000_000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Inexpressible(Exception):
    """Nothing in the other language means the same."""


@dataclass
class Language(ABC):
    """Collects the facts that are read while it writes what reads them."""

    currency: str
    names: dict[str, str] = field(default_factory=dict)
    """Path to the name it has there: a path may hold what is no name in another language."""

    @abstractmethod
    def read(self, name: str) -> str:
        """The value of a fact."""

    @abstractmethod
    def among(self, item: str, options: str) -> str:
        """Whether it is one of the options, which have commas between."""

    @abstractmethod
    def is_known(self, name: str) -> str: ...

    def condition(self, condition: Condition) -> str:
        """Raises `Inexpressible`."""
        match condition:
            case AllOf(parts):
                return f"({' && '.join(map(self.condition, parts))})"
            case AnyOf(parts):
                return f"({' || '.join(map(self.condition, parts))})"
            case Not(part):
                return f"!({self.condition(part)})"
            case Compare(op, left, right):
                fine = FactType.DECIMAL in (left.type, right.type)
                return f"({self.operand(left, fine)} {op.value} {self.operand(right, fine)})"
            case Within(item, options):
                fine = FactType.DECIMAL in (item.type, *(option.type for option in options))
                return self.among(self.operand(item, fine), ", ".join(self.operand(each, fine) for each in options))
            case Known(item, known):
                return self.is_known(self.name(item.path)) if known else f"!({self.is_known(self.name(item.path))})"
            case Holds(item):
                return self.operand(item, fine=False)
            case _:
                assert_never(condition)

    def operand(self, operand: Operand, fine: bool) -> str:
        """`fine`: whole numbers as millionths too, because decimals are beside them."""
        match operand:
            case Ref(path, kind):
                read = self.read(self.name(path))
                return f"({read} * {_MILLION})" if fine and kind is FactType.INTEGER else read
            case Const(value):
                return self.literal(self.plain(value, FactType.DECIMAL if fine else operand.type))
            case LimitRef(_, kind, number, amounts):
                if kind is not FactType.MONEY:
                    return self.literal(self.plain(number, FactType.DECIMAL if fine else kind))
                if self.currency not in amounts:
                    raise Inexpressible(f"the limit has no amount in {self.currency}, which leaves a comparison open")
                return self.literal(amounts[self.currency].amount_minor)
            case Plus(terms):
                return f"({' + '.join(self.operand(term, fine) for term in terms)})"
            case _:
                assert_never(operand)

    def name(self, path: str) -> str:
        return self.names.setdefault(path, f"v{len(self.names)}")

    def literal(self, value: bool | int | str) -> str:
        return json.dumps(value, ensure_ascii=False)

    def facts(self, env: Mapping[str, Any], kinds: Mapping[str, FactType]) -> dict[str, bool | int | str]:
        """What is read and known, by its name there. Raises `Inexpressible`."""
        return {name: self.plain(env[path], kinds[path]) for path, name in self.names.items() if env[path] is not None}

    def plain(self, value: Value | datetime | None, kind: FactType) -> bool | int | str:
        if isinstance(value, Money):
            if value.currency != self.currency:
                raise Inexpressible("two currencies, which leave a comparison open")
            return value.amount_minor
        if isinstance(value, datetime):
            return (value - _BEGINNING) // timedelta(microseconds=1)
        if kind is FactType.DECIMAL and isinstance(value, int | Decimal):
            if (fine := value * _MILLION) != int(fine):
                raise Inexpressible("more decimals than millionths have")
            return int(fine)
        if not isinstance(value, bool | int | str):
            raise Inexpressible(f"no value of another language is like {value!r}")
        return value
