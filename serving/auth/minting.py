"""Who may make, see and end which tokens.

People make their own; whoever administers makes those of service accounts, which never decide, and is from then on a
party to what such an account opens. Nobody gets a token of another human being, and no token makes a wider one.
"""

from __future__ import annotations

from datetime import timedelta

from core.access_settings import AuthSettings
from core.errors import Conflict, Forbidden, InvalidInput, NotFound
from core.people import SERVICE, Permission, Person, held_to
from core.wire_people import NewToken
from ledger.database import Ledger
from ledger.tables import PersonRow, TokenRow

ADMIN = "admin"
_MOST = 100
"""Good tokens of one account."""


def mint(ledger: Ledger, by: Person, wanted: NewToken, settings: AuthSettings) -> tuple[str, TokenRow]:
    """The token, which nobody can show again, and its row. Raises `Forbidden`, `InvalidInput`, `NotFound`, `Conflict`.

    It ends no later than the token that it was made with.
    """
    _whole(by, "makes no other tokens")
    owner = _owner(ledger, by, wanted.person or by.id)
    holder = Person(id=owner.id, workspace=owner.workspace, roles=frozenset(owner.roles))
    scopes = held_to(wanted.scopes)
    kinds = frozenset(wanted.kinds) or None
    for word in sorted(scopes or ()):
        if word in [*Permission] and Permission(word) not in holder.granted:
            raise Forbidden(
                f"{owner.id} may not {word} themselves.", hint="A token is never wider than its person.", scope=word
            )
    if kinds and (scopes is None or scopes & {*Permission} != {Permission.SUBMIT}):
        raise InvalidInput(
            "A token can be held to kinds only where all that it may do is submit.",
            field="kinds",
            hint="Send 'submit' as its scope: what it reads are the cases that it opened.",
        )
    if len(ledger.people.tokens.good(owner.id)) >= _MOST:
        raise Conflict(f"{owner.id} has {_MOST} tokens.", hint="Revoke some of them first.")
    token, row = ledger.people.tokens.issue(
        by.workspace,
        owner.id,
        _lifetime(ledger, by, wanted, settings),
        name=wanted.name,
        scopes=scopes,
        kinds=kinds,
        by=by.id,
    )
    if owner.id != by.id:
        ledger.people.keep(by.workspace, owner.id, by.id)
    _note(ledger, "token.issued", by, row)
    return token, row


def tokens_of(ledger: Ledger, by: Person, person: str) -> list[TokenRow]:
    """Those that open something still. Raises `Forbidden`."""
    if person != by.id:
        _administers(by, "see the tokens of others")
    return ledger.people.tokens.good(person)


def end(ledger: Ledger, by: Person, token_id: str) -> None:
    """Ends one token: one's own, or anybody's for whoever administers. Raises `NotFound`, `Forbidden`."""
    row = ledger.people.tokens.get(token_id)
    if row.person != by.id:
        if ADMIN not in by.roles or by.scopes is not None:
            raise NotFound("There is no such token of yours.", hint="GET /api/v1/tokens lists yours.")
        _administers(by, "end the tokens of others")
    if row.id != by.token:
        _whole(by, "ends only itself")
    if row.revoked_at is None:
        ledger.people.tokens.revoke(row)
        _note(ledger, "token.revoked", by, row)


def suspend(ledger: Ledger, by: Person, name: str) -> None:
    """Shuts somebody out at once; only a grant, which others decide on, lets them in again."""
    _administers(by, "suspend anybody")
    if name == by.id:
        raise Forbidden("Nobody suspends themselves.", hint="Ask another one who administers.")
    ledger.people.suspend(by.workspace, name)
    ended = ledger.people.revoke(name)
    ledger.audit.append("person.suspended", {"person": name, "by": by.id, "tokens": ended})


def _owner(ledger: Ledger, by: Person, name: str) -> PersonRow:
    if SERVICE in by.roles:
        raise Forbidden("A service account makes no tokens.", hint="Whoever administers makes them.")
    owner = ledger.people.get(by.workspace, name)
    if name == by.id:
        return owner
    _administers(by, "make tokens for others")
    if SERVICE not in owner.roles:
        raise Forbidden(
            f"{name} is a person: people make their own tokens.",
            hint="Let them sign in, or have whoever holds the data folder make it: countersign people token",
        )
    return owner


def _lifetime(ledger: Ledger, by: Person, wanted: NewToken, settings: AuthSettings) -> timedelta:
    days = wanted.days or min(settings.token_days, settings.token_days_at_most)
    if days > settings.token_days_at_most:
        raise InvalidInput(
            f"A token is good for {settings.token_days_at_most} days at most.", field="days", hint="Ask for fewer."
        )
    lifetime = timedelta(days=days)
    if by.token and (ends := ledger.people.tokens.get(by.token).expires_at) is not None:
        lifetime = min(lifetime, ends - ledger.now)
    return lifetime


def _administers(by: Person, what: str) -> None:
    if ADMIN not in by.roles:
        raise Forbidden(f"{by.id} may not {what}.", hint="It takes the role admin.", missing_role=ADMIN)
    _whole(by, f"does not {what}")
    if by.withheld:
        raise Forbidden(f"{by.id} may {what} only when they sign in with the house's issuer.", hint="Sign in there.")


def _whole(by: Person, says: str) -> None:
    if by.scopes is not None or by.kinds is not None:
        raise Forbidden(f"A token that is held to scopes {says}.", hint="Come with a whole one, or sign in.")


def _note(ledger: Ledger, what: str, by: Person, row: TokenRow) -> None:
    told = {"token": row.id, "person": row.person, "by": by.id, "with": by.token, "scopes": row.scopes or []}
    until = row.expires_at.isoformat() if row.expires_at else ""
    ledger.audit.append(what, {**told, "kinds": row.kinds or [], "until": until})
