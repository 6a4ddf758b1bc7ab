"""People who sign in elsewhere: what an access token of the issuer says, and who that is here.

Times are compared with the house's clock. What the house decided of a person wins over what a token says: who was
suspended stays out, and roles that the house granted are the ones that they have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import jwt
from jwt.exceptions import PyJWTError
from jwt.types import Options

from core.access_settings import OidcSettings
from core.errors import Forbidden, Unauthenticated
from core.people import HOME, Person
from ledger.database import Database, Ledger
from ledger.people import ISSUER, is_name
from ledger.tables import PersonRow
from serving.auth.issuer_keys import IssuerKeys

Claims = Mapping[str, Any]

_ACCESS = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""What a token of this use says that it is (RFC 9068), or says nothing."""
_OTHER_USE = frozenset({"id", "refresh", "logout", "offline"})
_OF_ID_TOKENS = ("nonce", "at_hash", "c_hash")
_GROUPS = 500
_NOTED = timedelta(hours=6)
"""How old the note of a sign-in may be before it is written again."""
_OPTIONS: Options = {
    "require": ["exp", "iat", "iss", "aud", "sub"],
    "verify_exp": False,  # these three by the house's clock, below
    "verify_nbf": False,
    "verify_iat": False,
}


class SignIn:
    def __init__(self, settings: OidcSettings, database: Database, keys: IssuerKeys | None = None) -> None:
        self._settings = settings
        self._database = database
        self._keys = keys or IssuerKeys(settings)

    async def person(self, token: str) -> tuple[Person, datetime]:
        """Who it is, and until when the token says so. Raises `Unauthenticated`, `Forbidden`, `SignInUnavailable`."""
        claims = await self.claims(token)
        workspace = self._workspace(claims)
        subject, name, roles = str(claims["sub"]), self._name(claims), self._roles(claims)
        issuer = self._settings.issuer
        row, late = await self._database.read(workspace, lambda ledger: _met(ledger, issuer, subject))
        if row is None and not roles:
            raise Forbidden(
                "None of your groups has a role here.", hint="Ask for one at the issuer, or the operator of this house."
            )
        new = row is None or (row.kept_by == ISSUER and row.active and set(row.roles) != roles)
        if row is None or new or late:
            row = await self._database.write(workspace, lambda ledger: self._follow(ledger, subject, name, roles, new))
        if not row.active:
            _no("You are not active here.", "An operator suspended you; only a grant brings you back.")
        ends = datetime.fromtimestamp(float(claims["exp"]) + self._settings.leeway_s, UTC)
        return Person(id=row.id, workspace=workspace, roles=frozenset(row.roles)), ends

    def _follow(self, ledger: Ledger, subject: str, name: str, roles: frozenset[str], new: bool) -> PersonRow:
        row = ledger.people.sign_in(ledger.workspace, self._settings.issuer, subject, name, roles)
        told = {"person": row.id, "roles": list(row.roles), "issuer": self._settings.issuer}
        if new:
            ledger.audit.append("person.signed_in", told)
        return row

    # what it says

    async def claims(self, token: str) -> Claims:
        """What a good token says. Raises `Unauthenticated`, `SignInUnavailable`."""
        header = _header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._settings.algorithms:
            _no("This token is not signed in a way that is taken here.")
        if not isinstance(kid, str) or not kid:
            _no("This token does not name its key.")
        if "crit" in header:
            _no("This token asks for what is not known here.")
        if str(header.get("typ", "jwt")).lower() not in _ACCESS:
            _no("This is no access token.")
        key = await self._keys.get(kid)  # where its header says that keys are (jku, x5u, jwk) is nobody's business
        if key.algorithm_name != algorithm:
            _no("This token is not signed as its key signs.")
        try:
            claims: Claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                options=_OPTIONS,
            )
        except jwt.InvalidSignatureError:
            _no("The signature of this token is not good.")
        except jwt.InvalidAudienceError:
            _no("This token is for somebody else.")
        except jwt.InvalidIssuerError:
            _no("This token is of another issuer.")
        except jwt.MissingRequiredClaimError as missing:
            _no(f"This token lacks the claim '{missing.claim}'.")
        except (PyJWTError, ValueError, TypeError, RecursionError):
            _no("This token can't be read.")
        self._in_time(claims)
        if str(claims.get("typ", "")).lower() in _OTHER_USE or any(name in claims for name in _OF_ID_TOKENS):
            _no("This is an ID token: it tells a client who you are, and opens nothing.")
        if "cnf" in claims:
            _no("This token is bound to a key that can't be seen here.")
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 200:
            _no("This token does not say who you are.")
        return claims

    def _in_time(self, claims: Claims) -> None:
        now, leeway = self._database.clock.now(), timedelta(seconds=self._settings.leeway_s)
        begins, ends = _time(claims, "iat"), _time(claims, "exp")
        if ends + leeway <= now:
            _no("This token has expired.")
        if max(begins, _time(claims, "nbf") if "nbf" in claims else begins) - leeway > now:
            _no("This token is not valid yet.", "Are the clocks of the issuer and of this house set by NTP?")
        if ends - begins > timedelta(seconds=self._settings.longest_s):
            _no("This token lives too long.", "The issuer gives shorter ones; see COUNTERSIGN_OIDC__LONGEST_S.")

    # who that is here

    def _workspace(self, claims: Claims) -> str:
        if not self._settings.workspace_claim:
            return HOME
        found = _at(claims, self._settings.workspace_claim)
        if not isinstance(found, str) or not is_name(found):
            raise Forbidden("This token names no workspace.", hint="The issuer puts one into it.")
        return found

    def _name(self, claims: Claims) -> str:
        claim = self._settings.id_claim
        found = _at(claims, claim)
        if not isinstance(found, str) or not is_name(found) or not found.isascii():  # no letter that looks like another
            raise Forbidden(
                f"The claim '{claim}' of this token is no name here.",
                hint="Letters, digits and - _ . @, at most 64; COUNTERSIGN_OIDC__ID_CLAIM names another one.",
            )
        if claim == "email" and claims.get("email_verified") is not True:
            raise Forbidden("Your address is not verified by the issuer.", hint="Verify it there, and sign in anew.")
        return found

    def _roles(self, claims: Claims) -> frozenset[str]:
        found = _at(claims, self._settings.groups_claim)
        groups = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
        known = self._settings.roles
        return frozenset(role for group in groups[:_GROUPS] if isinstance(group, str) for role in known.get(group, ()))


def _met(ledger: Ledger, issuer: str, subject: str) -> tuple[PersonRow | None, bool]:
    """Who they are here, and whether it is long ago that they were noted to have signed in."""
    row = ledger.people.identity(ledger.workspace, issuer, subject)
    seen = None if row is None else ledger.people.signed_in(ledger.workspace, row.id)
    return row, seen is not None and ledger.now - seen > _NOTED


def _header(token: str) -> Mapping[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (PyJWTError, ValueError, TypeError, RecursionError):
        _no("This token can't be read.")


def _time(claims: Claims, name: str) -> datetime:
    found = claims[name]
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        _no(f"The claim '{name}' is no time.")
    try:
        return datetime.fromtimestamp(found, UTC)
    except (OverflowError, ValueError, OSError):
        _no(f"The claim '{name}' is no time.")


def _at(claims: Claims, path: str) -> Any:
    """A claim, or one within objects (`realm_access.roles`)."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _no(why: str, hint: str = "Sign in anew, and send the access token.") -> NoReturn:
    raise Unauthenticated(why, hint=hint)
