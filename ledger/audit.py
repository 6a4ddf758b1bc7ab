"""The audit chain: each entry carries the hash of the one before, so a change anywhere shows.

`hash = SHA-256(canonical JSON of {workspace, seq, at, type, case, body, prev})` over the stored text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from sqlmodel import Session, col, select

from core.ids import canonical, digest
from ledger.pen import Pen
from ledger.tables import AuditHeadRow, AuditRow

GENESIS = "0" * 64


class BrokenLink(BaseModel):
    """The first entry of a chain that does not hold, and why."""

    workspace: str
    seq: int
    why: str


def _hash(row: dict[str, Any]) -> str:
    return digest({key: row[key] for key in ("workspace", "seq", "at", "type", "case_id", "body", "prev")})


class AuditChain:
    def __init__(self, session: Session, workspace: str, now: datetime, pen: Pen) -> None:
        self._session = session
        self._workspace = workspace
        self._now = now
        self._pen = pen
        self._heads: dict[str, AuditHeadRow] = {}

    def append(self, entry: str, body: dict[str, Any], *, case_id: str = "", workspace: str = "") -> None:
        """Adds one link. The head's row is locked first, so writers follow one another."""
        head = self._head(workspace or self._workspace)
        row: dict[str, Any] = {
            "workspace": head.workspace,
            "seq": head.seq + 1,
            "at": self._now.astimezone(UTC).isoformat(timespec="microseconds"),
            "type": entry,
            "case_id": case_id,
            "body": canonical(body).decode(),
            "prev": head.hash,
        }
        row["hash"] = _hash(row)
        head.seq, head.hash = head.seq + 1, row["hash"]
        self._pen.add(AuditRow, row)

    def _head(self, workspace: str) -> AuditHeadRow:
        if workspace not in self._heads:
            head = self._session.get(AuditHeadRow, workspace, with_for_update=True)
            self._heads[workspace] = head or AuditHeadRow(workspace=workspace, seq=0, hash=GENESIS)
        return self._heads[workspace]

    def seal(self) -> None:
        """Writes the heads that moved."""
        self._session.add_all(self._heads.values())
        self._session.flush()

    def entries(self, *, case_id: str = "", after: int = 0, limit: int = 500) -> list[AuditRow]:
        found = select(AuditRow).where(AuditRow.workspace == self._workspace, AuditRow.seq > after)
        if case_id:
            found = found.where(AuditRow.case_id == case_id)
        return list(self._session.exec(found.order_by(col(AuditRow.seq)).limit(limit)))

    def workspaces(self) -> list[str]:
        """Those that have a chain, or what is left of one."""
        named = set(self._session.exec(select(AuditHeadRow.workspace)))
        return sorted(named | set(self._session.exec(select(AuditRow.workspace).distinct())))

    def verify(self, workspace: str) -> tuple[int, BrokenLink | None]:
        """How many entries hold, and the first that does not."""
        prev, expected = GENESIS, 1
        found = select(AuditRow).where(AuditRow.workspace == workspace).order_by(col(AuditRow.seq))
        for row in self._session.exec(found.execution_options(yield_per=1000)):
            broken = ""
            if row.seq != expected:
                broken = f"entry {expected} is missing"
            elif row.prev != prev:
                broken = "it does not carry the hash of the entry before"
            elif _hash(row.model_dump()) != row.hash:
                broken = "its content does not match its hash"
            if broken:
                return expected - 1, BrokenLink(workspace=workspace, seq=row.seq, why=broken)
            prev, expected = row.hash, expected + 1
        head = self._session.get(AuditHeadRow, workspace)
        if (head.seq, head.hash) != (expected - 1, prev) if head else expected > 1:
            why = f"the chain ends before its head at entry {head.seq}" if head else "the chain has no head"
            return expected - 1, BrokenLink(workspace=workspace, seq=expected, why=why)
        return expected - 1, None
