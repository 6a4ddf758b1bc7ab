"""Recorded facts, typed again for one book: what `policies.judge.Reading` does with models, in plain code.

A verdict keeps its facts as JSON. Making models of them again costs many times what judging them costs, and a
backtest judges a hundred thousand, so each value is read by the type that the book's vocabulary gives its path.
A test holds the result against `policies.judge.judge` on models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple

from core.actions import JSON
from core.money import Money
from core.verdicts import FactType, FactValue
from policies.program import Program
from policies.vocabulary import Term


class Amount(NamedTuple):
    """Stands for `Money` in an environment, which is read by these two names only."""

    amount_minor: int
    currency: str


def as_plain(value: FactValue) -> Any:
    """A typed value as an environment of a backtest has it."""
    return Amount(value.amount_minor, value.currency) if isinstance(value, Money) else value


@lru_cache(maxsize=4096)
def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _money(value: JSON) -> Amount | None:
    if not isinstance(value, dict):
        return None
    minor, currency = value.get("amount_minor"), value.get("currency")
    if not isinstance(minor, int) or isinstance(minor, bool) or not isinstance(currency, str):
        return None
    return Amount(minor, currency)


def _integer(value: JSON) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _decimal(value: JSON) -> Decimal | int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        found = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() else None


def _boolean(value: JSON) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: JSON) -> str | None:
    return value if isinstance(value, str) else None


def _time(value: JSON) -> datetime | None:
    try:
        found = moment(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


_READERS: dict[FactType, Callable[[JSON], Any]] = {
    FactType.MONEY: _money,
    FactType.INTEGER: _integer,
    FactType.DECIMAL: _decimal,
    FactType.BOOLEAN: _boolean,
    FactType.TEXT: _text,
    FactType.TIME: _time,
}


def reader(term: Term) -> Callable[[JSON], Any]:
    """Takes a recorded value; None where it is not of the term's type, as a decision would have it."""
    if term.least is not None:
        return _at_least(_READERS[term.type], term.least)
    if term.type is not FactType.CHOICE:
        return _READERS[term.type]
    choices = frozenset(term.choices)
    return lambda value: value if isinstance(value, str) and value in choices else None


def _at_least(read: Callable[[JSON], Any], least: int) -> Callable[[JSON], Any]:
    def bounded(value: JSON) -> Any:
        found = read(value)
        size = found.amount_minor if isinstance(found, Amount) else found
        return found if size is not None and size >= least else None

    return bounded


class Rebuilt:
    """Rebuilds what a decision on one tool knew, for one book's program."""

    def __init__(self, program: Program, fresh_s: int, *, apart: frozenset[str] = frozenset()) -> None:
        """`apart` are facts that are not to be taken from the record: counts whose definition changed."""
        self._program = program
        self._fresh = timedelta(seconds=fresh_s)
        self._facts = [(term.path, reader(term)) for term in program.facts if term.path not in apart]

    def env(
        self, typed: Any, facts: Mapping[str, Mapping[str, JSON]], at: datetime
    ) -> tuple[dict[str, Any], list[str]]:
        """The environment, and the paths of which the record says nothing. `typed` are the arguments as their model."""
        env = dict(self._program.blank)
        for term in self._program.args:
            value = term.read(typed) if term.read else None
            env[term.path] = as_plain(value) if value is None or term.accepts(value) else None
        oldest = at - self._fresh
        silent = []
        for path, read in self._facts:
            fact = facts.get(path)
            if fact is None:
                silent.append(path)
                continue
            value = fact["value"]
            if value is None:
                continue
            seen = moment(fact["at"])
            if seen.tzinfo is not None and seen >= oldest:
                env[path] = read(value)
        return env, silent
