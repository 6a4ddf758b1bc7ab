"""The shop's own database: records, and the append-only log of writes that happened.

A log row *is* the record of its idempotency key (`key` is unique in it), so that key, log and records
can't disagree: they are one SQLite transaction. `synchronous=FULL`, because a system of record must not
forget, after a power cut, a write that it has acknowledged; it costs a quarter of a millisecond.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from core.actions import JSON
from core.errors import KeyReused, OutcomeUnknown, ProviderRefused, ProviderUnavailable, SetupError
from core.ports import LoggedCall
from core.sealing import MasterRing
from tools.fulfillment.records import StoredRecords, Vocabulary, from_text, to_text, word
from tools.fulfillment.sealed import bodies

SCHEMA_VERSION = 1
APPLICATION_ID = 0x43734870  # "CsHp": tells a shop's file from any other SQLite file

_SCHEMA = """
CREATE TABLE records (collection TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (collection, id));
CREATE TABLE log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    operation TEXT NOT NULL,
    case_id TEXT NOT NULL,
    args_digest TEXT NOT NULL,
    result TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TRIGGER log_no_update BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_no_delete BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_no_replace BEFORE INSERT ON log
    WHEN EXISTS (SELECT 1 FROM log WHERE seq = NEW.seq OR key = NEW.key)
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TABLE delivered (subscriber TEXT PRIMARY KEY, seq INTEGER NOT NULL);
"""
_LOG = "log"
_LOG_COLUMNS = "seq, key, operation, case_id, args_digest, result, at"


class Store:
    """The database, for one thread at a time."""

    def __init__(
        self,
        path: Path | None,
        vocabulary: Vocabulary,
        busy_timeout_s: float = 5.0,
        masters: MasterRing | None = None,
    ) -> None:
        """With master keys what it writes is sealed. Raises `SetupError`."""
        self.vocabulary = vocabulary
        self.path = path
        self._masters = masters
        with ExitStack() as undo:
            try:
                if path is not None:
                    path.parent.mkdir(parents=True, exist_ok=True)
                self._db = sqlite3.connect(
                    path or ":memory:", timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
                )
                undo.callback(self._db.close)
                self._prepare()
            except (OSError, sqlite3.Error) as error:
                raise SetupError(
                    f"The shop's database {path} can't be opened: {error}.",
                    hint="Choose a folder that you can write to, and a file that is the shop's own.",
                ) from error
            undo.pop_all()

    def _prepare(self) -> None:
        with self._transaction("DEFERRED"):  # one view of both, while another process may be creating them
            (application,) = self._db.execute("PRAGMA application_id").fetchone()
            (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION_ID and tables:
            raise SetupError(f"{self.path} is not a shop's database.", hint="Choose another file for the shop.")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise SetupError(
                    f"{self.path} was written by a newer version (schema {version}, this one knows {SCHEMA_VERSION}).",
                    hint="Upgrade Countersign, or choose another folder.",
                )
            if version == 0:
                for statement in _statements(_SCHEMA):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._bodies = bodies(self._db, self._masters)
            for collection, name in sorted(self.vocabulary.indexes):
                self._db.execute(
                    f'CREATE INDEX IF NOT EXISTS "{word(collection)}_by_{word(name)}" ON records '
                    f"(json_extract(body, '$.{name}'), id) WHERE collection = '{collection}'"
                )

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        self._db.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:  # whatever went wrong, a cancelled caller included, half a write may not stay
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise OutcomeUnknown(f"The shop's database failed at its commit: {error}.") from error

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """A database that fails before its commit has done nothing."""
        try:
            yield
        except sqlite3.Error as error:
            raise ProviderUnavailable(f"The shop's database failed: {error}.") from error

    def read(self, query: str, args: Mapping[str, JSON], now: datetime) -> dict[str, JSON]:
        handler = self.vocabulary.queries.get(query)
        if handler is None:
            raise ProviderRefused(f"The shop knows no query '{query[:60]}'.", reason="unknown_query")
        with self._usable(), self._transaction("DEFERRED"):
            return _plain(handler(self._records(now, writable=False), _plain(args)))

    def write(
        self, operation: str, args: Mapping[str, JSON], args_digest: str, key: str, case_id: str, now: datetime
    ) -> dict[str, JSON]:
        """One transaction: the key's earlier result, or handler and log row together."""
        handler = self.vocabulary.operations.get(operation)
        if handler is None:
            raise ProviderRefused(f"The shop knows no operation '{operation[:60]}'.", reason="unknown_operation")
        with self._usable(), self._transaction():
            earlier = self.find(key)
            if earlier is not None:
                if (earlier.operation, earlier.args_digest, earlier.case_id) != (operation, args_digest, case_id):
                    raise KeyReused(
                        f"The key {key} was used before, for {earlier.operation} with other parameters.",
                        hint="Use a new key for a new call.",
                    )
                return earlier.result
            result = handler(self._records(now, writable=True), _plain(args))
            text = self._bodies.to_text(result, _LOG)
            self._db.execute(
                "INSERT INTO log (key, operation, case_id, args_digest, result, at) VALUES (?, ?, ?, ?, ?, ?)",
                (key, operation, case_id, args_digest, text, now.isoformat()),
            )
            return _plain(result)

    def _records(self, now: datetime | None, *, writable: bool) -> StoredRecords:
        return StoredRecords(self._db, self.vocabulary, now, writable=writable, bodies=self._bodies)

    def find(self, key: str) -> LoggedCall | None:
        with self._usable():
            row = self._db.execute(f"SELECT {_LOG_COLUMNS} FROM log WHERE key = ?", (key,)).fetchone()
        return self._logged(row) if row else None

    def log(self, after: int, limit: int) -> list[LoggedCall]:
        with self._usable():
            rows = self._db.execute(
                f"SELECT {_LOG_COLUMNS} FROM log WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
            ).fetchall()
        return [self._logged(row) for row in rows]

    def _logged(self, row: tuple[Any, ...]) -> LoggedCall:
        seq, key, operation, case_id, args_digest, result, at = row
        return LoggedCall(
            seq=seq,
            key=key,
            operation=operation,
            case_id=case_id,
            args_digest=args_digest,
            result=self._bodies.from_text(result, _LOG),
            at=at,
        )

    def load(self, records: Mapping[str, Iterable[Mapping[str, Any]]]) -> int:
        """Puts a whole world in, all or nothing; not a business write, so it is not in the log."""
        count = 0
        with self._usable(), self._transaction():
            target = self._records(None, writable=True)
            for collection, bodies in records.items():
                id_field = self.vocabulary.id_field(collection)
                for body in bodies:
                    target.put(collection, body[id_field], body)
                    count += 1
        return count

    def dump(self, collection: str) -> dict[str, dict[str, Any]]:
        with self._usable():
            rows = self._db.execute("SELECT id, body FROM records WHERE collection = ? ORDER BY id", (collection,))
            return {record_id: self._bodies.from_text(body, collection) for record_id, body in rows}

    def is_empty(self) -> bool:
        with self._usable():
            return not self._db.execute("SELECT EXISTS (SELECT 1 FROM records)").fetchone()[0]

    def delivered(self, subscriber: str) -> int:
        """The last log row that this subscriber has taken."""
        with self._usable():
            row = self._db.execute("SELECT seq FROM delivered WHERE subscriber = ?", (subscriber,)).fetchone()
        return int(row[0]) if row else 0

    def set_delivered(self, subscriber: str, seq: int) -> None:
        with self._usable():
            self._db.execute("INSERT OR REPLACE INTO delivered VALUES (?, ?)", (subscriber, seq))

    def close(self) -> None:
        self._db.close()


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As it would come over a wire: handlers and callers see the same, embedded or not, and share nothing."""
    return from_text(to_text(value))


def _statements(script: str) -> Iterator[str]:
    """`executescript` would commit the transaction that it runs in."""
    pending = ""
    for line in script.strip().splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
