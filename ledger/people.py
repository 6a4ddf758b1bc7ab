"""People, the tokens that they come with, and those who sign in elsewhere."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property

from sqlalchemy import text
from sqlmodel import Session, col, select

from core.errors import Forbidden, InvalidInput, NotFound
from core.people import Person
from ledger.tables import IdentityRow, PersonRow, TokenRow
from ledger.tokens import Tokens, digest_of

_HINT = "Make one with: countersign people add NAME --role ROLE"
HOUSE, ISSUER = "house", "issuer"
"""Who keeps somebody's roles. What the house decided of a person wins over what an issuer says of them."""

_ALONE = text("SELECT pg_advisory_xact_lock(hashtext('countersign identities'), hashtext(:workspace))")


class People:
    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self._session, self._now)

    def add(self, workspace: str, person: str, roles: frozenset[str]) -> PersonRow:
        """Somebody with these roles and no others, from now on. The house keeps them then, whoever did before."""
        if not is_name(person):
            raise InvalidInput(f"'{person[:80]}' can't be a name here.", hint="Use letters, digits and - _ . @")
        row = self._session.get(PersonRow, (workspace, person))
        if row is None:
            row = PersonRow(workspace=workspace, id=person, created_at=self._now)
        row.roles, row.active, row.kept_by = sorted(roles), True, HOUSE
        self._session.add(row)
        self._session.flush()
        return row

    def everyone(self) -> list[PersonRow]:
        return list(self._session.exec(select(PersonRow).order_by(col(PersonRow.id))))

    def page(self, after: str, limit: int) -> list[PersonRow]:
        """By name, after one of them."""
        wanted = select(PersonRow).where(col(PersonRow.id) > after).order_by(col(PersonRow.id)).limit(limit)
        return list(self._session.exec(wanted))

    def named(self, workspace: str, person: str) -> list[PersonRow]:
        """The one of this name, active or not, or nobody."""
        row = self._session.get(PersonRow, (workspace, person))
        return [] if row is None else [row]

    def get(self, workspace: str, person: str) -> PersonRow:
        row = self._session.get(PersonRow, (workspace, person))
        if row is None or not row.active:
            raise NotFound(f"There is nobody named {person[:64]}.", hint=_HINT)
        return row

    def suspend(self, workspace: str, person: str) -> None:
        """Ends their access, and with it the weight of votes that have not run. Only a grant brings it back."""
        row = self.get(workspace, person)
        row.active = False
        self._session.add(row)

    def keep(self, workspace: str, account: str, keeper: str) -> None:
        """Notes that somebody was given a token of an account that is not their own."""
        row = self.get(workspace, account)
        row.keepers = sorted({*row.keepers, keeper})
        self._session.add(row)

    def keepers(self, workspace: str, account: str) -> list[str]:
        """Who was given a token of it, and so may be behind what it did."""
        row = self._session.get(PersonRow, (workspace, account))
        return [] if row is None else row.keepers

    # people who sign in elsewhere

    def identity(self, workspace: str, issuer: str, subject: str) -> PersonRow | None:
        """Who somebody is here, active or not; None where they were never here."""
        row = self._session.get(IdentityRow, (workspace, issuer, subject))
        return None if row is None else self._session.get(PersonRow, (workspace, row.person))

    def has_identity(self, workspace: str, person: str) -> bool:
        return self.signed_in(workspace, person) is not None

    def signed_in(self, workspace: str, person: str) -> datetime | None:
        """About when somebody did last; None for whoever has no identity elsewhere."""
        wanted = select(IdentityRow).where(IdentityRow.workspace == workspace, IdentityRow.person == person)
        row = self._session.exec(wanted).first()
        return None if row is None else row.seen_at

    def kept_by_issuer(self, workspace: str, person: str) -> bool:
        row = self._session.get(PersonRow, (workspace, person))
        return row is not None and row.kept_by == ISSUER

    def sign_in(self, workspace: str, issuer: str, subject: str, name: str, roles: frozenset[str]) -> PersonRow:
        """The person of an identity, made at first sight. Raises `Forbidden` where that name is another one's.

        Their roles follow what the issuer says, until the house itself grants some: those stay then.
        """
        row = self.identity(workspace, issuer, subject)
        if row is None:
            self._one_at_a_time(workspace)
            row = self.identity(workspace, issuer, subject)
        if row is None:
            if self._session.get(PersonRow, (workspace, name)) is not None:
                raise Forbidden(
                    f"There is a {name} here who does not sign in that way.",
                    hint="Whoever holds the data folder says that they are one: countersign people link",
                )
            self.link(workspace, issuer, subject, name)
            row = PersonRow(workspace=workspace, id=name, created_at=self._now, kept_by=ISSUER)
        if row.kept_by == ISSUER and row.active:
            row.roles = sorted(roles)
        if (known := self._session.get(IdentityRow, (workspace, issuer, subject))) is not None:
            known.seen_at = self._now
            self._session.add(known)
        self._session.add(row)
        self._session.flush()
        return row

    def _one_at_a_time(self, workspace: str) -> None:
        """Until this transaction ends nobody else is met for the first time. SQLite has one writer at a time anyway."""
        if self._session.get_bind().dialect.name == "postgresql":
            self._session.connection().execute(_ALONE, {"workspace": workspace})

    def link(self, workspace: str, issuer: str, subject: str, name: str) -> None:
        """Says that an identity is this person, and nobody else. Raises `InvalidInput`, `Forbidden`."""
        if not is_name(name):
            raise InvalidInput(f"'{name[:80]}' can't be a name here.", hint="Use letters, digits and - _ . @")
        if self.has_identity(workspace, name):
            raise Forbidden(f"{name} signs in as somebody else already.", hint="One person has one identity.")
        self._session.add(
            IdentityRow(
                workspace=workspace, issuer=issuer, subject=subject, person=name, since=self._now, seen_at=self._now
            )
        )

    # tokens, briefly

    def new_token(self, workspace: str, person: str, lifetime: timedelta | None) -> str:
        """256 random bits, shown once; only its SHA-256 is stored."""
        return self.tokens.issue(workspace, person, lifetime)[0]

    def revoke(self, person: str, name: str | None = None) -> int:
        """Ends all tokens of somebody, or those of one name."""
        wanted = select(TokenRow).where(TokenRow.person == person, col(TokenRow.revoked_at).is_(None))
        rows = list(self._session.exec(wanted if name is None else wanted.where(TokenRow.name == name)))
        for row in rows:
            self.tokens.revoke(row)
        return len(rows)

    def revoke_token(self, token: str) -> None:
        """Ends this one token, if there is such a one."""
        row = self._session.get(TokenRow, digest_of(token))
        if row is not None:
            self.tokens.revoke(row)

    def who(self, token: str) -> Person:
        """The person of a token. Raises `Unauthenticated`, saying which of the reasons it is."""
        return self.tokens.look(digest_of(token)).person


def is_name(text: str) -> bool:
    return 0 < len(text) <= 64 and all(part.isalnum() or part in "-_.@" for part in text)
