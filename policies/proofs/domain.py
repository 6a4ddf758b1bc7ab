"""What a tool's facts and arguments can be: which are always there, which go together, and their bounds.

A proof is as good as what it takes for granted, so nothing is that the house does not hold: arguments were read
by their pydantic model, counts come from the ledger, and everything else may be missing or any value of its type.
A text and its length are taken as two things, so that a situation may be shown that no text has.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from core.money import Money
from core.ports import Count
from core.verdicts import FactType, FactValue
from policies.book import Book
from policies.vocabulary import Origin, Term

Env = dict[str, FactValue]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Slot:
    """A path that a rule reads. It has a value exactly when all of its guards hold; without guards, always."""

    term: Term
    guards: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    sum_of: str = ""
    """For a sum: the amount in whose currency it is told."""

    @property
    def path(self) -> str:
        return self.term.path


@dataclass(frozen=True)
class Domain:
    tool: str
    slots: Mapping[str, Slot]
    constants: Env
    """The house's own properties, which never change."""

    @classmethod
    def of(cls, tool: str, paths: Iterable[str], books: Sequence[Book]) -> Domain:
        """Every path is known to one of the books; where several know it, the last one says what it is."""
        knowing = [book for book in books if tool in book.vocabulary.tools]
        terms = {path: term for book in knowing for path, term in book.vocabulary.tools[tool].items()}
        counts = {path: count for book in knowing for path, count in book.counts.items()}
        model = knowing[-1].vocabulary.specs[tool].args
        fields = {slot.path: slot for slot in _fields(model, "args", (), ())}
        slots: dict[str, Slot] = {}
        constants: Env = {}
        for path in sorted(paths):
            term = terms[path]
            if term.origin is Origin.HOUSE:
                constants[path] = term.constant
            elif term.origin is Origin.ARGS:
                found = fields.get(path, _Field(path, (path,)))
                slots[path] = Slot(term, found.guards, found.low, found.high)
            elif term.origin is Origin.COUNT:
                slots[path] = _count(term, counts[path], fields)
            else:
                slots[path] = Slot(term, (path,), term.least)
        return cls(tool, slots, constants)

    def allows(self, env: Mapping[str, Any]) -> bool:
        """Whether these facts can be together."""
        known = {path for path in self.slots if env.get(path) is not None}
        given = {guard for path in known for guard in self.slots[path].guards}
        return all((path in known) == given.issuperset(slot.guards) for path, slot in self.slots.items()) and all(
            self._fits(self.slots[path], env) for path in known
        )

    def _fits(self, slot: Slot, env: Mapping[str, Any]) -> bool:
        value = env[slot.path]
        size = value.amount_minor if isinstance(value, Money) else value
        own = env.get(slot.sum_of)
        return (
            slot.term.accepts(value)
            and (slot.low is None or size >= slot.low)
            and (slot.high is None or size <= slot.high)
            and (own is None or own.currency == value.currency)
        )

    def plain(self, typical: Mapping[str, FactValue], currency: str) -> Env:
        """An ordinary situation: the book's typical facts; where it has none, nothing, or the least that can be."""
        usual = {path: typical.get(path) for path in self.slots}
        return {path: _least(self.slots[path], currency) if value is None else value for path, value in usual.items()}


def _least(slot: Slot, currency: str) -> FactValue:
    if slot.guards:
        return None
    low = slot.low or 0
    ordinary: dict[FactType, FactValue] = {
        FactType.MONEY: Money(amount_minor=low, currency=currency),
        FactType.INTEGER: low,
        FactType.DECIMAL: Decimal(low),
        FactType.BOOLEAN: False,
        FactType.TEXT: "anything",
        FactType.CHOICE: next(iter(slot.term.choices), ""),
        FactType.TIME: EPOCH,
    }
    return ordinary[slot.term.type]


@dataclass(frozen=True)
class _Field:
    """What the model of the arguments says of a path."""

    path: str
    guards: tuple[str, ...]
    low: int | None = None
    high: int | None = None


def _count(term: Term, count: Count, fields: Mapping[str, _Field]) -> Slot:
    """The ledger always tells a count; a sum where the action has such an amount itself, and in its currency.

    What it counts by a fact may be missing as the fact may.
    """
    missing = (term.path,) if count.fact else ()
    if count.measure == "count":
        return Slot(term, missing, low=0)
    summed = fields[count.path]
    least = 0 if summed.low is not None and summed.low >= 0 else None
    return Slot(term, (*missing, *summed.guards), least, sum_of=count.path)


def _fields(
    model: type[BaseModel], prefix: str, guards: tuple[str, ...], seen: tuple[type[BaseModel], ...]
) -> Iterator[_Field]:
    """Every path of an args model, as `vocabulary.args_terms` names them."""
    if model in seen:
        return
    for name, info in model.model_fields.items():
        path = f"{prefix}.{name}"
        annotation, metadata, optional = _bare(info.annotation, list(info.metadata))
        mine = (*guards, path) if optional or info.default is None else guards
        if isinstance(annotation, type) and issubclass(annotation, Money):
            yield _Field(path, mine, _least_money(metadata))
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _fields(annotation, path, mine, (*seen, model))
        elif isinstance(annotation, type) and issubclass(annotation, Decimal):
            yield _Field(path, (*guards, path))  # NaN, where a model takes it, is no value
        else:
            whole = isinstance(annotation, type) and issubclass(annotation, int)
            yield _Field(path, mine, *_bounds(metadata) if whole else (None, None))
            shortest, longest = _first(metadata, "min_length"), _first(metadata, "max_length")
            for size in ("count", "length"):
                yield _Field(f"{path}.{size}", mine, shortest or 0, longest)


def _bare(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any], bool]:
    """The type itself, what its annotations demand, and whether it may be left out."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        spread = [each for one in more for each in (one, *getattr(one, "metadata", ()))]
        return _bare(inner, metadata + spread)
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1 and len(get_args(annotation)) > 1:
            return (*_bare(members[0], metadata)[:2], True)
    return annotation, metadata, annotation is Any


def _first(metadata: list[Any], name: str) -> Any:
    return next((found for each in metadata if (found := getattr(each, name, None)) is not None), None)


def _bounds(metadata: list[Any]) -> tuple[int | None, int | None]:
    found = {name: _first(metadata, name) for name in ("ge", "gt", "le", "lt")}
    whole = {name: bound for name, bound in found.items() if isinstance(bound, int)}
    lows = [whole[name] + more for name, more in (("ge", 0), ("gt", 1)) if name in whole]
    highs = [whole[name] - less for name, less in (("le", 0), ("lt", 1)) if name in whole]
    return max(lows, default=None), min(highs, default=None)


def _least_money(metadata: list[Any]) -> int | None:
    """Zero or one where the model refuses everything below: asked of the model, for its checks are code."""
    reader: TypeAdapter[Any] = TypeAdapter(Annotated[(Money, *metadata)]) if metadata else TypeAdapter(Money)
    least = None
    for minor in (-1_000_000, -1, 0):
        try:
            reader.validate_python({"amount_minor": minor, "currency": "USD"})
        except ValidationError:
            least = minor + 1
        else:
            break
    return least
