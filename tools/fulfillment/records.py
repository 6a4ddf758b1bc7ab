"""Records as handlers see them: JSON bodies in one table, looked up by id or by indexed fields."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from core.actions import JSON
from core.errors import ProviderRefused
from core.ids import new_id
from tools.fulfillment.ports import Dialect, Handler
from tools.fulfillment.sealed import Bodies

T = TypeVar("T")


class Vocabulary:
    """What several dialects understand together. Raises ValueError where two of them contradict."""

    def __init__(self, dialects: Iterable[Dialect]) -> None:
        self.collections: dict[str, str] = {}
        self.queries: dict[str, Handler] = {}
        self.operations: dict[str, Handler] = {}
        self.indexes: set[tuple[str, str]] = set()
        for dialect in dialects:
            _merge(self.collections, dialect.collections, dialect.name)
            _merge(self.queries, dialect.queries, dialect.name)
            _merge(self.operations, dialect.operations, dialect.name)
            self.indexes |= {(c, f) for c, fields in dialect.indexes.items() for f in fields}

    def id_field(self, collection: str) -> str:
        try:
            return self.collections[collection]
        except KeyError:
            raise ValueError(f"no dialect names the collection '{collection}'") from None


def _merge(known: dict[str, T], more: Mapping[str, T], dialect: str) -> None:
    for name, meaning in more.items():
        if known.setdefault(name, meaning) != meaning:
            raise ValueError(f"dialect {dialect} gives '{name}' a second meaning")


class StoredRecords:
    """Implements `ports.Records` inside one transaction."""

    def __init__(
        self,
        db: sqlite3.Connection,
        vocabulary: Vocabulary,
        now: datetime | None,
        *,
        writable: bool,
        bodies: Bodies,
    ) -> None:
        self._db = db
        self._bodies = bodies
        self._vocabulary = vocabulary
        self._now = now
        self._writable = writable

    @property
    def now(self) -> datetime:
        assert self._now is not None, "only handlers ask for the time"
        return self._now

    def new_id(self, prefix: str) -> str:
        return new_id(prefix)

    def get(self, collection: str, record_id: str) -> dict[str, Any]:
        self._vocabulary.id_field(collection)
        row = self._db.execute(
            "SELECT body FROM records WHERE collection = ? AND id = ?", (collection, record_id)
        ).fetchone()
        if row is None:
            raise ProviderRefused(f"There is no '{record_id[:60]}' in {collection}.", reason="not_found")
        return self._bodies.from_text(row[0], collection)

    def put(self, collection: str, record_id: str, body: Mapping[str, Any]) -> None:
        if not self._writable:
            raise TypeError(f"a query may not change {collection}")
        id_field = self._vocabulary.id_field(collection)
        if body.get(id_field) != record_id:
            raise ValueError(f"{collection} '{record_id}' carries another {id_field}: {body.get(id_field)!r}")
        self._db.execute(
            "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
            (collection, record_id, self._bodies.to_text(body, collection)),
        )

    def where(self, collection: str, **equals: JSON) -> list[dict[str, Any]]:
        self._vocabulary.id_field(collection)
        narrowed = {name: value for name, value in equals.items() if _comparable(value)}
        sql = f"SELECT body FROM records WHERE collection = '{word(collection)}'"
        for name in narrowed:
            sql += f" AND json_extract(body, '$.{word(name)}') IS ?"
        rows = self._db.execute(
            f"{sql} ORDER BY id", tuple(self._bodies.looked_up(value) for value in narrowed.values())
        )
        # SQLite narrows; Python has the last word, since to SQLite true is 1 and a missing field is null.
        bodies = (self._bodies.from_text(row[0], collection) for row in rows)
        return [body for body in bodies if all(_same(body.get(name), value) for name, value in equals.items())]


def _comparable(value: JSON) -> bool:
    return value is None or isinstance(value, str) or (isinstance(value, int) and abs(value) < 2**53)


def _same(left: JSON, right: JSON) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def word(name: str) -> str:
    """A name that is safe inside SQL, where index expressions can't take parameters."""
    if not name.isidentifier() or not name.isascii():
        raise ValueError(f"'{name}' can't be the name of a collection or field")
    return name


def to_text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def from_text(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text)
    return value
