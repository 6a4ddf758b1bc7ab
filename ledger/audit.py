"""The audit chain: each entry carries the hash of the one before, so a change anywhere shows.

`hash = SHA-256(canonical JSON of {workspace, seq, at, type, case, body, prev})` over the stored text. Of a body, what
may be about a person is stored sealed, so the chain is one of ciphertexts: who verifies it needs no key, and it holds
after the key of a case was destroyed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Insert, LargeBinary, Table, bindparam, case, cast, func
from sqlalchemy import select as table_select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session, col, select

from core.errors import SetupError
from core.ids import canonical, digest
from core.personal import is_clear, texts
from core.sealing import FORM
from ledger.columns import open_texts, seal_texts
from ledger.keys import Keys
from ledger.pen import Pen
from ledger.tables import AuditHeadRow, AuditRow

GENESIS = "0" * 64
_PLACE = "audit.body"
_TEXTS = ("at", "type", "case_id", "body", "prev", "hash")


class BrokenLink(BaseModel):
    """The first entry of a chain that does not hold, and why."""

    workspace: str
    seq: int
    why: str


def _hash(row: dict[str, Any]) -> str:
    return digest({key: row[key] for key in ("workspace", "seq", "at", "type", "case_id", "body", "prev")})


_HEADS: Table = AuditHeadRow.__table__  # type: ignore[attr-defined]
_HEAD = table_select(_HEADS.c.seq, _HEADS.c.hash).where(_HEADS.c.workspace == bindparam("chain")).with_for_update()


@cache
def _first(dialect: str) -> Insert:
    insert = sqlite.insert(_HEADS) if dialect == "sqlite" else postgresql.insert(_HEADS)
    return insert.on_conflict_do_nothing()


@cache
def _upsert(dialect: str) -> Insert:
    insert = sqlite.insert(_HEADS) if dialect == "sqlite" else postgresql.insert(_HEADS)
    moved = {"seq": insert.excluded.seq, "hash": insert.excluded.hash}
    return insert.on_conflict_do_update(index_elements=["workspace"], set_=moved)


class AuditChain:
    def __init__(self, session: Session, workspace: str, now: datetime, pen: Pen) -> None:
        self._session = session
        self._workspace = workspace
        self._now = now
        self._pen = pen
        self._new: list[dict[str, Any]] = []
        """Entries of this transaction, not linked yet: a chain's head is locked right before the commit only."""

    def append(self, entry: str, body: dict[str, Any], *, case_id: str = "", workspace: str = "") -> None:
        """Adds one entry, linked when the transaction is about to end."""
        self._new.append(
            {
                "workspace": workspace or self._workspace,
                "at": self._now.astimezone(UTC).isoformat(timespec="microseconds"),
                "type": entry,
                "case_id": case_id,
                "body": canonical(self._sealed(body, case_id, workspace or self._workspace)).decode(),
            }
        )

    def _sealed(self, body: dict[str, Any], case_id: str, workspace: str) -> Any:
        keys: Keys | None = self._session.info.get("keys")
        if keys is None or all(is_clear(text) for text in texts(body)):
            return body
        return seal_texts(body, _PLACE, keys.of_case(self._session, workspace, case_id))

    def told(self, row: AuditRow) -> dict[str, Any]:
        """What an entry says, for people: its stored text is what the hash is of."""
        body: dict[str, Any] = json.loads(row.body)
        return open_texts(body, _PLACE, self._session.info.get("keys")) if FORM in row.body else body

    def _head(self, workspace: str) -> tuple[int, str]:
        """The last link's number and hash, locked. The first head is made first: there has to be a row to lock."""
        connection = self._session.connection()
        head = connection.execute(_HEAD, {"chain": workspace}).first()
        if head is None:
            connection.execute(_first(connection.dialect.name), {"workspace": workspace, "seq": 0, "hash": GENESIS})
            head = connection.execute(_HEAD, {"chain": workspace}).one()
        return int(head.seq), str(head.hash)

    def seal(self) -> None:
        """Links what is new. The heads' rows are locked, in one order for all, so writers follow one another.

        Raises `SetupError` where somebody put an entry ahead of the head: what is done without a record is not done.
        """
        heads: dict[str, tuple[int, str]] = {
            name: self._head(name) for name in sorted({row["workspace"] for row in self._new})
        }
        for row in self._new:
            seq, prev = heads[row["workspace"]]
            row |= {"seq": seq + 1, "prev": prev}
            row["hash"] = _hash(row)
            heads[row["workspace"]] = (seq + 1, row["hash"])
        new, self._new = self._new, []
        if new and self._pen.insert(AuditRow, new) != len(new):
            raise SetupError(
                f"The audit chain of {', '.join(heads)} can't go on: there is one already where the next belongs.",
                hint="Nothing was changed. The owner of the tables looks with 'countersign audit verify' "
                "at what lies behind the chain's head, and takes it away.",
            )
        moved = [{"workspace": name, "seq": seq, "hash": link} for name, (seq, link) in heads.items()]
        if moved:
            connection = self._session.connection()
            connection.execute(_upsert(connection.dialect.name), moved)

    def entries(self, *, case_id: str = "", after: int = 0, limit: int = 500) -> list[AuditRow]:
        """As they are stored; `told` opens what they say."""
        found = select(AuditRow).where(AuditRow.workspace == self._workspace, AuditRow.seq > after)
        if case_id:
            found = found.where(AuditRow.case_id == case_id)
        return list(self._session.exec(found.order_by(col(AuditRow.seq)).limit(limit)))

    def workspaces(self) -> list[str]:
        """Those that have a chain, or what is left of one."""
        named = {_text(name) for name in self._session.exec(select(self._raw(AuditHeadRow.workspace)).distinct())}
        return sorted(named | {_text(name) for name in self._session.exec(select(self._raw(AuditRow.workspace)))})

    def verify(self, workspace: str) -> tuple[int, BrokenLink | None]:
        """How many entries hold, and the first that does not."""
        prev, expected, stray = GENESIS, 1, False
        for row in self._stored(workspace):
            broken = ""
            if row["seq"] < expected:
                stray = True
                continue
            if row["seq"] != expected:
                broken = "it is missing"
            elif row["body"] is None:
                broken = "the database can't read it any more"
            elif row["prev"] != prev:
                broken = "it does not carry the hash of the entry before"
            elif _hash(row) != row["hash"]:
                broken = "its content does not match its hash"
            if broken:
                return expected - 1, BrokenLink(workspace=workspace, seq=expected, why=broken)
            prev, expected = row["hash"], expected + 1
        head = self._session.get(AuditHeadRow, workspace)
        if (head.seq, head.hash) != (expected - 1, prev) if head else expected > 1:
            why = f"the chain does not end with it, as its head says ({head.seq})" if head else "the chain has no head"
            first = min(expected, head.seq + 1) if head else 1
            return first - 1, BrokenLink(workspace=workspace, seq=first, why=why)
        if stray:
            why = "there is an entry beside the chain, under a number that is taken or below 1"
            return expected - 1, BrokenLink(workspace=workspace, seq=expected, why=why)
        return expected - 1, None

    def _stored(self, workspace: str) -> Iterator[dict[str, Any]]:
        """The rows as they lie in the table, whatever became of their bytes; the last one may be unreadable."""
        try:
            yield from self._rows(workspace)
        except DatabaseError:  # the file is damaged: find out where
            if not self._sqlite:
                raise
            for seq in count(1):
                try:
                    found = list(self._rows(workspace, seq))
                except DatabaseError:
                    found = [{"seq": seq, "body": None}]
                yield from found
                if not found or found[0]["body"] is None:
                    return

    def _rows(self, workspace: str, only: int = 0) -> Iterator[dict[str, Any]]:
        """Computed, `workspace` and `seq` are read from the table, and not from what its index remembers."""
        texts = [self._raw(getattr(AuditRow, name)).label(name) for name in _TEXTS]
        seq = (col(AuditRow.seq) + 0).label("seq")
        own = self._raw(AuditRow.workspace) == (workspace.encode() if self._sqlite else workspace)
        found = select(seq, *texts).where(own).order_by(seq)
        if only:
            found = found.where(AuditRow.workspace == workspace, AuditRow.seq == only)
        for row in self._session.execute(found.execution_options(yield_per=1000)):
            yield {"workspace": workspace, "seq": row.seq or 0} | {name: _text(getattr(row, name)) for name in _TEXTS}

    def _raw(self, column: Any) -> Any:
        """Text of SQLite as its bytes: a changed byte may leave no text, and that has to be told, not raised."""
        return case((func.typeof(column) == "text", cast(column, LargeBinary)), else_=None) if self._sqlite else column

    @property
    def _sqlite(self) -> bool:
        return self._session.get_bind().dialect.name == "sqlite"


def _text(stored: Any) -> str:
    return stored.decode(errors="backslashreplace") if isinstance(stored, bytes) else str(stored)
