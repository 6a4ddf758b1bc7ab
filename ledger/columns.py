"""What columns are made of, in every database.

Times are stored as UTC ISO 8601 text of one width, so they sort as text everywhere. What is about people is stored
sealed (`core/sealing.py`): which of a row's columns that is, is said here once, and queries and rows elsewhere don't
know it. The key of a value comes with the value (`Owned`), put there when the row is written (`ledger/keys.py`); the
key to read it with is told by the stored text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from sqlalchemy import JSON, BigInteger, Column, Integer, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field

from core.personal import is_clear, map_texts
from core.sealing import ERASED, FORM, DataKey, missing, owner_of


class Openers(Protocol):
    """Who has the keys of one database."""

    def reading(self, owner: str) -> DataKey | None:
        """None if it was destroyed. Raises `KeyMissing`."""
        ...

    def house(self) -> DataKey:
        """Of what belongs to no case."""
        ...


KEYS: WeakKeyDictionary[Dialect, Openers] = WeakKeyDictionary()
"""By what a column is told of the database that it is in. One without keys keeps all in the clear."""


class UtcTime(TypeDecorator[datetime]):
    """A moment with its offset, kept as `2026-11-22T17:04:05.000006+00:00`."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without its offset")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


# values with their key


class _OwnedText(str):
    key: DataKey


class _OwnedObject(dict[str, Any]):
    key: DataKey


class _OwnedList(list[Any]):
    key: DataKey


def owned(value: Any, key: DataKey) -> Any:
    """The same value, to be stored under this key."""
    match value:
        case str():
            text = _OwnedText(value)
            text.key = key
            return text
        case dict():
            fields = _OwnedObject(value)
            fields.key = key
            return fields
        case list():
            each = _OwnedList(value)
            each.key = key
            return each
        case _:
            return value


def _key(value: Any, dialect: Dialect) -> DataKey | None:
    keys = KEYS.get(dialect)
    if keys is None:
        return None
    found: DataKey | None = getattr(value, "key", None)
    return found or keys.house()


def opened(sealed: str, place: str, keys: Openers | None) -> str | None:
    """What a stored text says; None if its key was destroyed. Raises `KeyMissing` and `Tampered`."""
    owner = owner_of(sealed)
    if owner is None:
        return sealed
    if keys is None:
        raise missing(["of this ledger"], None)
    key = keys.reading(owner)
    return None if key is None else key.open(sealed, place).decode()


def seal_texts(value: Any, place: str, key: DataKey) -> Any:
    """A JSON value with every text sealed that may be about a person."""
    return map_texts(value, lambda text: text if is_clear(text) else key.seal(text.encode(), place))


def open_texts(value: Any, place: str, keys: Openers | None) -> Any:
    def unseal(text: str) -> str:
        found = opened(text, place, keys)
        return ERASED if found is None else found

    return map_texts(value, unseal)


class Sealed(TypeDecorator[Any]):
    """A column that is about people. `place` is its table and name, which are under the seal."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = Text
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        return self.impl_instance  # compared with what is stored: only what is empty is stored as it is


class SealedText(Sealed):
    """A text; empty ones stay empty."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        key = _key(value, dialect) if value else None
        return key.seal(str(value).encode(), self.place) if key else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if not value or not value.startswith(FORM):
            return value
        found = opened(value, self.place, KEYS.get(dialect))
        return ERASED if found is None else found


class SealedObject(Sealed):
    """A JSON value, sealed as a whole; `{}` and `[]` stay. Texts that `shown` picks stand beside it, for queries."""

    impl = JSON
    cache_ok = True

    def __init__(self, place: str, shown: Callable[[Any], list[str]] | None = None) -> None:
        super().__init__(place)
        self.shown = shown

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        key = _key(value, dialect) if value else None
        if key is None:
            return value
        content = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        stored = {_SEALED: key.seal(content.encode(), self.place)}
        return stored | {_SHOWN: shown} if self.shown and (shown := self.shown(value)) else stored

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if not isinstance(value, dict) or _SEALED not in value:
            return value
        found = opened(str(value[_SEALED]), self.place, KEYS.get(dialect))
        return {} if found is None else json.loads(found)


class SealedTexts(Sealed):
    """A JSON value of which only texts are sealed, each by itself: what guards and counts look at stays.

    With `within` it is only what lies under these names of an object.
    """

    impl = JSON
    cache_ok = True

    def __init__(self, place: str, within: tuple[str, ...] = ()) -> None:
        super().__init__(place)
        self.within = within

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        key = _key(value, dialect) if value else None
        return self._each(value, lambda part: seal_texts(part, self.place, key)) if key else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return self._each(value, lambda part: open_texts(part, self.place, KEYS.get(dialect))) if value else value

    def _each(self, value: Any, change: Callable[[Any], Any]) -> Any:
        if not self.within or not isinstance(value, dict):
            return change(value)
        return {name: change(part) if name in self.within else part for name, part in value.items()}


_SEALED, _SHOWN = "$sealed", "$shown"


def a_time(nullable: bool = False, index: bool = False) -> Any:
    return Field(default=None, sa_column=Column(UtcTime, nullable=nullable, index=index))


def json_object() -> Any:
    return Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


def sealed_object(place: str, shown: Callable[[Any], list[str]] | None = None) -> Any:
    """A JSON object about people. `place` is `table.column`."""
    return Field(default_factory=dict, sa_column=Column(SealedObject(place, shown), nullable=False))


def sealed_texts(place: str, within: tuple[str, ...] = ()) -> Any:
    """A JSON object that guards or counts look into."""
    return Field(default_factory=dict, sa_column=Column(SealedTexts(place, within), nullable=False))


def sealed_text(place: str) -> Any:
    return Field(default="", sa_column=Column(SealedText(place), nullable=False))


def serial() -> Any:
    number = BigInteger().with_variant(Integer, "sqlite")
    return Field(default=None, sa_column=Column(number, primary_key=True, autoincrement=True))
