"""What the shop's file holds of people: ciphertext, and beside it what records are looked up by.

The shop stands for a system outside, but its file lies in the house's folder and is copied with it. Each record is
sealed as a whole under the shop's own data key. Of its plain fields numbers and identifiers stay, so that indexes work;
any other text becomes a keyed mark, by which equal ones are found and nothing is told.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from core.actions import JSON
from core.personal import is_clear
from core.sealing import DataKey, MasterRing, missing

_OWNER = "shop"
_SEALED = "$sealed"


class Bodies:
    """How records and results are written. Without a key they are written in the clear."""

    def __init__(self, key: DataKey | None) -> None:
        self._key = key
        self._marks = hmac.digest(key.secret, b"countersign shop marks", "sha256") if key else b""

    def to_text(self, body: Mapping[str, Any], place: str) -> str:
        text = json.dumps(body, separators=(",", ":"), allow_nan=False)
        if self._key is None:
            return text
        beside = {name: self.looked_up(value) for name, value in body.items() if not isinstance(value, dict | list)}
        return json.dumps(beside | {_SEALED: self._key.seal(text.encode(), place)}, separators=(",", ":"))

    def from_text(self, text: str, place: str) -> dict[str, Any]:
        """Raises `Tampered`."""
        value: dict[str, Any] = json.loads(text)
        if self._key is not None and _SEALED in value:
            value = json.loads(self._key.open(value[_SEALED], place))
        return value

    def looked_up(self, value: JSON) -> JSON:
        """A plain value as it stands in a record, for queries."""
        if self._key is None or not isinstance(value, str) or is_clear(value):
            return value
        return "~" + hmac.new(self._marks, value.encode(), hashlib.sha256).hexdigest()[:32]


def bodies(db: sqlite3.Connection, masters: MasterRing | None) -> Bodies:
    """Inside a transaction: the file's key, made if there is none, and wrapped by the master key in force.

    Raises `KeyMissing`.
    """
    there = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'sealed_key'").fetchone()
    row = db.execute("SELECT master, wrapped FROM sealed_key").fetchone() if there else None
    if masters is None:
        if row is not None:
            raise missing([row[0]], None)
        return Bodies(None)
    if not there:
        db.execute("CREATE TABLE sealed_key (master TEXT NOT NULL, wrapped TEXT NOT NULL)")
    key = masters.unwrap(_OWNER, *row) if row is not None else DataKey.new(_OWNER)
    if row is None or row[0] != masters.current.id:
        db.execute("DELETE FROM sealed_key")
        db.execute("INSERT INTO sealed_key VALUES (?, ?)", masters.wrap(key))
    return Bodies(key)
