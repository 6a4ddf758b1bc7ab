"""People, and the tokens that they come with."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from core.errors import InvalidInput, NotFound, Unauthenticated
from core.people import Person
from ledger.tables import PersonRow, TokenRow

_HINT = "Make one with: countersign people add NAME --role ROLE"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class People:
    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    def add(self, workspace: str, person: str, roles: frozenset[str]) -> PersonRow:
        if not person or not all(part.isalnum() or part in "-_.@" for part in person) or len(person) > 64:
            raise InvalidInput(f"'{person[:80]}' can't be a name here.", hint="Use letters, digits and - _ . @")
        row = self._session.get(PersonRow, (workspace, person))
        if row is None:
            row = PersonRow(workspace=workspace, id=person, created_at=self._now)
        row.roles, row.active = sorted(roles), True
        self._session.add(row)
        self._session.flush()
        return row

    def everyone(self) -> list[PersonRow]:
        return list(self._session.exec(select(PersonRow).order_by(col(PersonRow.id))))

    def get(self, workspace: str, person: str) -> PersonRow:
        row = self._session.get(PersonRow, (workspace, person))
        if row is None or not row.active:
            raise NotFound(f"There is nobody named {person[:64]}.", hint=_HINT)
        return row

    def new_token(self, workspace: str, person: str, lifetime: timedelta | None) -> str:
        """256 random bits, shown once; only its SHA-256 is stored."""
        token = f"cs_{secrets.token_urlsafe(32)}"
        expires = self._now + lifetime if lifetime else None
        self._session.add(
            TokenRow(
                workspace=workspace, digest=_digest(token), person=person, created_at=self._now, expires_at=expires
            )
        )
        return token

    def revoke(self, person: str) -> int:
        found = self._session.exec(
            select(TokenRow).where(TokenRow.person == person, col(TokenRow.revoked_at).is_(None))
        )
        rows = list(found)
        for row in rows:
            row.revoked_at = self._now
            self._session.add(row)
        return len(rows)

    def revoke_token(self, token: str) -> None:
        """Ends this one token, if there is such a one."""
        row = self._session.get(TokenRow, _digest(token))
        if row is not None and row.revoked_at is None:
            row.revoked_at = self._now
            self._session.add(row)

    def who(self, token: str) -> Person:
        """The person of a token. Raises `Unauthenticated`, saying which of the reasons it is."""
        row = self._session.get(TokenRow, _digest(token))
        if row is None:
            raise Unauthenticated("This token is not known here.", hint=_HINT)
        if row.revoked_at is not None:
            raise Unauthenticated("This token was revoked.", hint=_HINT)
        if row.expires_at is not None and row.expires_at <= self._now:
            raise Unauthenticated("This token has expired.", hint=_HINT)
        person = self._session.get(PersonRow, (row.workspace, row.person))
        if person is None or not person.active:
            raise Unauthenticated("The person of this token is not active.", hint=_HINT)
        return Person(id=person.id, workspace=person.workspace, roles=frozenset(person.roles))
