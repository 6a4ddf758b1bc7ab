"""Both databases of a till as they lie on disk, read without any code of the product."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

Row = dict[str, Any]

TABLES = {
    "case": 'SELECT id, subject, opened_by, opened_at, status FROM "case"',
    "action": "SELECT * FROM action",
    "decision": "SELECT * FROM decision ORDER BY id",
    "review": "SELECT * FROM review ORDER BY opened_at, rowid",
    "vote": "SELECT * FROM vote ORDER BY id",
    "run": "SELECT * FROM run ORDER BY started_at",
    "audit": "SELECT * FROM audit WHERE workspace = 'default' ORDER BY seq",
    "audit_head": "SELECT * FROM audit_head WHERE workspace = 'default'",
}
APPEND_ONLY = ("action", "decision", "vote", "audit")
_KEYS = {"decision": "id", "vote": "id", "audit": "seq", "run": "action_id", "audit_head": "workspace"}
_JSON = ("args", "body", "reviewers", "book", "facts", "roles", "result")
_TEXT = ("audit",)
"""Tables whose body is kept as the text that was hashed."""


@dataclass
class Rows:
    """The rows of each table by their key. A row that may not change, and did, is in `changed`."""

    tables: dict[str, dict[Any, Row]] = field(default_factory=dict)
    effects: dict[str, Row] = field(default_factory=dict)
    """The provider's own log, by idempotency key."""
    changed: list[str] = field(default_factory=list)
    _raw: dict[tuple[str, Any], tuple[Any, ...]] = field(default_factory=dict)

    def read(self, folder: Path) -> None:
        """Reads what is there now; what was read before is only compared."""
        with closing(_open(folder / "ledger.db")) as db:
            db.execute("BEGIN")
            for table, query in TABLES.items():
                self._take(table, db.execute(query))
        with closing(_open(folder / "shop.db")) as db:
            calls = db.execute("SELECT * FROM log ORDER BY seq")
            names = [column[0] for column in calls.description]
            for values in calls:
                row = dict(zip(names, values, strict=True))
                if row["key"] not in self.effects:
                    self.effects[row["key"]] = row | {
                        "result": json.loads(row["result"]),
                        "at": datetime.fromisoformat(row["at"]),
                    }

    def _take(self, table: str, found: sqlite3.Cursor) -> None:
        names = [column[0] for column in found.description]
        key = names.index(_KEYS.get(table, "id"))
        before, now = self.tables.get(table, {}), {}
        for values in found:
            known = self._raw.get((table, values[key]))
            if known == values:
                now[values[key]] = before[values[key]]
                continue
            if known is not None and table in APPEND_ONLY:
                self.changed.append(f"{table} {values[key]} was rewritten")
            self._raw[table, values[key]] = values
            now[values[key]] = _parsed(table, dict(zip(names, values, strict=True)))
        if table in APPEND_ONLY:
            self.changed += [f"{table} {gone} was deleted" for gone in before if gone not in now]
        self.tables[table] = now

    def of(self, table: str, **same: Any) -> list[Row]:
        return [row for row in self.tables[table].values() if all(row[name] == each for name, each in same.items())]

    def __getitem__(self, table: str) -> Mapping[Any, Row]:
        return self.tables[table]


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)


def _parsed(table: str, row: Row) -> Row:
    for name, value in row.items():
        if value is None or table in _TEXT:
            continue
        if name in _JSON:
            row[name] = json.loads(value)
        elif name == "at" or name.endswith("_at"):
            row[name] = datetime.fromisoformat(value)
    return row
