"""Published policy, version by version, and the keys in which its signers are trusted. One house, one policy.

These rows belong to the home workspace and are read from every other one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, func
from sqlmodel import Session, col, select

from core.errors import Conflict, NotFound
from ledger.policy_tables import PolicyDraftRow, PolicyRow, SigningKeyRow
from ledger.prepared import SCOPED

_ANYWHERE: dict[str, Any] = {SCOPED: True}


def _everywhere(statement: Any) -> Any:
    return statement.execution_options(**_ANYWHERE)


_HEAD: Select[Any] = _everywhere(select(func.max(PolicyRow.id)))
_ALL: Select[Any] = _everywhere(select(PolicyRow).order_by(col(PolicyRow.id)))
_BY_KEY: Select[Any] = _everywhere(select(PolicyRow).where(PolicyRow.key == bindparam("key")))
_DRAFT: Select[Any] = _everywhere(select(PolicyDraftRow).where(PolicyDraftRow.digest == bindparam("digest")))
_KEYS: Select[Any] = _everywhere(select(SigningKeyRow).order_by(col(SigningKeyRow.added_at)))


def point(row: PolicyRow) -> str:
    """Names a point of the history: this publication, after all before it. No later one has the same name."""
    return hashlib.sha256(f"{row.follows}\n{row.digest}\n{row.key}".encode()).hexdigest()


class Policies:
    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    def head(self) -> int:
        """Rises with every publication."""
        return int(self._session.execute(_HEAD).scalar() or 0)

    def published(self, kind: str = "") -> list[PolicyRow]:
        """In the order of publication; of one kind, or of all."""
        rows: Sequence[PolicyRow] = self._session.execute(_ALL).scalars().all()
        return [row for row in rows if not kind or row.kind == kind]

    def by_key(self, key: str) -> PolicyRow | None:
        """What an earlier call with this idempotency key published."""
        found: PolicyRow | None = self._session.execute(_BY_KEY, {"key": key}).scalars().first()
        return found

    def last(self, kind: str) -> str:
        """The last point of a kind's history; empty before the first publication."""
        rows = self.published(kind)
        return point(rows[-1]) if rows else ""

    def version(self, kind: str, version: str) -> PolicyRow:
        """The last one of this number. Raises `NotFound`, naming those that there are."""
        rows = self.published(kind)
        for row in reversed(rows):
            if row.version == version:
                return row
        known = ", ".join(dict.fromkeys(row.version for row in rows))
        raise NotFound(f"There is no version '{version[:60]}' of {kind[:60]}.", hint=f"There are: {known}.")

    def publish(self, row: PolicyRow) -> None:
        row.at = self._now
        self._session.add(row)
        self._session.flush()

    # drafts

    def hand_in(self, digest: str, body: dict[str, Any], by: str) -> None:
        """Keeps a signed policy under its digest; once."""
        if self.draft(digest) is None:
            self._session.add(PolicyDraftRow(digest=digest, body=body, by=by, at=self._now))
            self._session.flush()

    def draft(self, digest: str) -> PolicyDraftRow | None:
        found: PolicyDraftRow | None = self._session.execute(_DRAFT, {"digest": digest}).scalars().first()
        return found

    # keys

    def keys(self) -> list[SigningKeyRow]:
        rows: Sequence[SigningKeyRow] = self._session.execute(_KEYS).scalars().all()
        return list(rows)

    def trusted(self) -> dict[str, list[str]]:
        """The public keys of each name that are not revoked."""
        found: dict[str, list[str]] = {}
        for row in self.keys():
            if row.revoked_at is None:
                found.setdefault(row.name, []).append(row.public)
        return found

    def trust(self, name: str, public: str) -> None:
        """Raises `Conflict` where the key is somebody's already."""
        if any(row.public == public for row in self.keys()):
            raise Conflict("This key is in the list already.", hint="A key is one person's, and is not used again.")
        self._session.add(SigningKeyRow(name=name, public=public, added_at=self._now))
        self._session.flush()

    def revoke(self, name: str, public: str = "") -> int:
        """Trusts a name's key, or all of them, no more. Returns how many."""
        rows = [
            row for row in self.keys() if row.name == name and row.revoked_at is None and public in ("", row.public)
        ]
        for row in rows:
            row.revoked_at = self._now
            self._session.add(row)
        return len(rows)
