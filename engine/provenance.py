"""Where an action's arguments come from: a system of record, a person, the customer, or nobody but the model. Pure.

What a tool repeats of its own arguments proves nothing, and what the model made up and had written down stays made up
when it is read back. So a value counts as a record's only where it came from one first.
Numbers, choices and yes or no carry no label: 1 and `true` are in every record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from core.actions import JSON, OutcomeStatus
from core.errors import InvalidInput
from core.money import Money, exponent
from core.verdicts import Source

Leaf = str | tuple[int, str]
"""Text without regard to case and blanks, or minor units and currency."""

SUFFIX = ".source"
_TRUST = list(Source)
_RAN = (OutcomeStatus.DONE, OutcomeStatus.EDITED)
_HAPPENED = (*_RAN, OutcomeStatus.UNKNOWN)
_LEAST = 4
"""Characters that an argument needs to be found inside a longer text."""
_DIGITS = re.compile(r"\d+")
_AMOUNT = re.compile(r"\d[\d,]*(?:\.\d+)?")
_MONEY = {"amount_minor", "currency"}


@dataclass(frozen=True)
class Answered:
    """A call of the case that was answered, as the house recorded it."""

    args: Mapping[str, JSON]
    """What was asked for."""
    outcome: str
    """The `ToolOutcome`, as JSON."""
    of_record: bool
    """A system of record answered."""
    keeps: bool
    """It changed something: what was asked for may be read back later."""


@dataclass(frozen=True)
class Told:
    """What a case holds before its next call, by who told it."""

    records: frozenset[Leaf] = frozenset()
    customer: frozenset[Leaf] = frozenset()
    text: str = ""
    """Everything that the customer wrote."""

    @classmethod
    def of(cls, payload: Mapping[str, JSON], vouched: frozenset[str], calls: Iterable[Answered]) -> Told:
        """`vouched` are the fields of the payload for which the channel answers."""
        own = frozenset(_plain([value for name, value in payload.items() if name not in vouched]))
        told = cls(
            records=frozenset(_plain([payload.get(name) for name in vouched])),
            customer=own,
            text="\n".join(leaf for leaf in own if isinstance(leaf, str)),
        )
        records, kept = set(told.records), set[Leaf]()
        for call in calls:
            status, results = _came_of(call.outcome)
            if status not in _HAPPENED:
                continue
            made_up = {leaf for leaf in _plain(call.args) if leaf not in records and not told.by_customer(leaf)}
            if call.keeps:
                kept |= made_up
            if call.of_record:
                records |= results - made_up - kept
        return cls(frozenset(records), told.customer, told.text)

    def source(self, leaf: Leaf) -> Source:
        if leaf in self.records:
            return Source.RECORD
        return Source.CUSTOMER if self.by_customer(leaf) else Source.MODEL

    def by_customer(self, leaf: Leaf) -> bool:
        """The customer wrote just this, or it stands in what they wrote.

        A name with one number in it (`ORD-4258667`) is theirs if they wrote the number: shops add their own prefix.
        """
        if leaf in self.customer:
            return True
        if isinstance(leaf, tuple):
            return any(_same(leaf, amount) for amount in self._amounts)
        if len(leaf) >= _LEAST and _stands_in(leaf, self.text):
            return True
        numbers = _DIGITS.findall(leaf)
        return len(numbers) == 1 and len(numbers[0]) >= _LEAST and " " not in leaf and _stands_in(numbers[0], self.text)

    @cached_property
    def _amounts(self) -> frozenset[Decimal]:
        return frozenset(_amounts(self.text))


def sources(args: BaseModel, paths: Iterable[str], told: Told) -> dict[str, Source | None]:
    """The label of each path `args.….source`; None where the argument is absent.

    A nested model or a list is labelled like the least trusted text or money in it.
    """
    return {path: _of(_at(args, path), told) for path in paths}


def _of(value: Any, told: Told) -> Source | None:
    return None if value is None else worst(told.source(leaf) for leaf in _typed(value))


def edited(
    before: BaseModel, after: BaseModel, labels: Mapping[str, Source | None], paths: Iterable[str]
) -> dict[str, Source | None]:
    """The labels after a person's edit: theirs where they changed it, as before where they left it."""
    return {path: _after(_at(before, path), _at(after, path), labels.get(path)) for path in paths}


def _after(before: Any, after: Any, label: Source | None) -> Source | None:
    if after is None:
        return None
    old, new = set(_typed(before)), set(_typed(after))
    if old == new:
        return label
    left = [label or Source.MODEL] if old & new else []
    return worst([Source.PERSON, *left])


def worst(found: Iterable[Source]) -> Source:
    """The least trusted one. What holds no text and no money was made up by nobody."""
    return max(found, key=_TRUST.index, default=Source.RECORD)


def _at(args: BaseModel, path: str) -> Any:
    value: Any = args
    for name in path.removesuffix(SUFFIX).split(".")[1:]:
        value = getattr(value, name, None)
    return value


def _typed(value: Any) -> Iterator[Leaf]:
    """The text and the money in typed arguments."""
    match value:
        case Money():
            yield value.amount_minor, value.currency
        case Enum():
            return
        case str():
            if value.strip():
                yield _fold(value)
        case BaseModel():
            for name in _free(type(value)):
                yield from _typed(getattr(value, name))
        case Mapping():
            yield from _typed([*value, *value.values()])
        case list() | tuple() | set() | frozenset():
            for each in value:
                yield from _typed(each)


@lru_cache(maxsize=256)
def _free(model: type[BaseModel]) -> list[str]:
    """The fields that are no choice between fixed words."""
    fields = model.model_fields.items()
    return [
        name
        for name, info in fields
        if Literal not in (get_origin(info.annotation), *map(get_origin, get_args(info.annotation)))
    ]


def _plain(value: JSON) -> list[Leaf]:
    """The text and the money in plain JSON, however deep."""
    found: list[Leaf] = []
    ahead = [value]
    while ahead:
        value = ahead.pop()
        if isinstance(value, str):
            if value.strip():
                found.append(_fold(value))
        elif isinstance(value, Mapping):
            if value.keys() == _MONEY and type(value["amount_minor"]) is int and isinstance(value["currency"], str):
                found.append((value["amount_minor"], value["currency"]))
            else:
                ahead.extend(value.values())
        elif isinstance(value, list):
            ahead.extend(value)
    return found


@lru_cache(maxsize=512)
def _came_of(outcome: str) -> tuple[str, frozenset[Leaf]]:
    """The status of a call, and what it gave if it ran. A case's next turn asks for the same again."""
    told = json.loads(outcome)
    return told["status"], frozenset(_plain(told["result"])) if told["status"] in _RAN else frozenset()


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()


def _stands_in(piece: str, text: str) -> bool:
    """As a whole: no letter or digit goes on before or after it."""
    start = text.find(piece)
    while start >= 0:
        end = start + len(piece)
        if not text[start - 1 : start].isalnum() and not text[end : end + 1].isalnum():
            return True
        start = text.find(piece, start + 1)
    return False


def _same(money: tuple[int, str], amount: Decimal) -> bool:
    """Whether a number in a text is this amount, in whichever currency it was meant."""
    try:
        return Decimal(money[0]).scaleb(-exponent(money[1])) == amount
    except InvalidInput:  # what a model wrote may have any currency
        return False


def _amounts(text: str) -> Iterator[Decimal]:
    for found in _AMOUNT.findall(text):
        try:
            yield Decimal(found.replace(",", ""))
        except InvalidOperation:
            continue
