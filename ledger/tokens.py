"""Bearer tokens: random, kept as their hash only, held to scopes, ended one by one."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from core.errors import NotFound, Unauthenticated
from core.ids import new_id
from core.people import Person
from ledger.prepared import Prepared
from ledger.tables import PersonRow, TokenRow

_HINT = "Make one with: countersign people add NAME --role ROLE"
LOCAL = "local"
"""The name of the token by which whoever runs the server finds it from the same machine."""


def digest_of(token: str) -> str:
    """Of 256 random bits a plain hash is enough: there is nothing to guess, and no time to learn from."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Known(NamedTuple):
    """Whose a token is, and what it is good for."""

    person: Person
    expires_at: datetime | None
    last_used_at: datetime | None


_any_select: Any = select  # more columns than its type knows
_LOOK: Prepared[tuple[Any, ...]] = Prepared(
    _any_select(
        TokenRow.id,
        col(TokenRow.scopes),
        col(TokenRow.kinds),
        TokenRow.expires_at,
        TokenRow.revoked_at,
        TokenRow.last_used_at,
        PersonRow.workspace,
        PersonRow.id,
        col(PersonRow.roles),
        PersonRow.active,
    )
    .select_from(TokenRow)
    .outerjoin(
        PersonRow,
        (col(PersonRow.workspace) == col(TokenRow.workspace)) & (col(PersonRow.id) == col(TokenRow.person)),
    )
    .where(col(TokenRow.digest) == bindparam("digest"))
)


class Tokens:
    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    def issue(
        self,
        workspace: str,
        person: str,
        lifetime: timedelta | None,
        *,
        name: str = "",
        scopes: Collection[str] | None = None,
        kinds: Collection[str] | None = None,
        by: str = "",
    ) -> tuple[str, TokenRow]:
        """The token itself, which nobody can show again, and its row."""
        token = f"cs_{secrets.token_urlsafe(32)}"
        row = TokenRow(
            workspace=workspace,
            digest=digest_of(token),
            id=new_id("token"),
            person=person,
            name=name,
            scopes=sorted(scopes) if scopes is not None else None,
            kinds=sorted(kinds) if kinds is not None else None,
            issued_by=by,
            created_at=self._now,
            expires_at=self._now + lifetime if lifetime else None,
        )
        self._session.add(row)
        return token, row

    def get(self, token_id: str) -> TokenRow:
        """By its id. Raises `NotFound`."""
        row = self._session.exec(select(TokenRow).where(TokenRow.id == token_id)).first()
        if row is None:
            raise NotFound("There is no such token.", hint="GET /api/v1/tokens lists yours.")
        return row

    def good(self, person: str = "") -> list[TokenRow]:
        """Those that open something still, of one person or of all, the newest first."""
        wanted = select(TokenRow).where(col(TokenRow.revoked_at).is_(None))
        if person:
            wanted = wanted.where(TokenRow.person == person)
        rows = self._session.exec(wanted.order_by(col(TokenRow.created_at).desc(), col(TokenRow.id)))
        return [row for row in rows if row.expires_at is None or row.expires_at > self._now]

    def revoke(self, row: TokenRow) -> None:
        if row.revoked_at is None:
            row.revoked_at = self._now
            self._session.add(row)

    def used(self, token_id: str) -> None:
        row = self.get(token_id)
        row.last_used_at = self._now
        self._session.add(row)

    def look(self, digest: str) -> Known:
        """One read by the primary key. Raises `Unauthenticated`, saying which of the reasons it is."""
        found = _LOOK.first(self._session, digest=digest)
        if found is None:
            raise Unauthenticated("This token is not known here.", hint=_HINT)
        token_id, scopes, kinds, expires_at, revoked_at, last_used_at, workspace, person, roles, active = found
        if revoked_at is not None:
            raise Unauthenticated("This token was revoked.", hint=_HINT)
        if expires_at is not None and expires_at <= self._now:
            raise Unauthenticated("This token has expired.", hint=_HINT)
        if person is None or not active:
            raise Unauthenticated("The person of this token is not active.", hint=_HINT)
        who = Person(
            id=person,
            workspace=workspace,
            roles=frozenset(roles),
            scopes=None if scopes is None else frozenset(scopes),
            kinds=None if kinds is None else frozenset(kinds),
            token=token_id,
        )
        return Known(who, expires_at, last_used_at)
