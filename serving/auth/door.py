"""The one door: who comes with which token, and may they come in this way, and so often?

A token is one read by the primary key, kept for a second. A change that this process makes counts at once.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from core.errors import Busy, Forbidden, Unauthenticated
from core.people import OF_PARTIES, SERVICE, Person, Surface
from ledger.database import Database, Ledger
from ledger.tables import SYSTEM
from ledger.tokens import Known, digest_of
from ledger.trouble import RECORDS_AWAY
from serving.auth.oidc import SignIn
from serving.auth.rates import Rates
from serving.house import House

log = logging.getLogger("countersign.auth")

_REMEMBERED = 10_000
_LONGEST = 8_192
"""Characters of a token."""
_USED = timedelta(minutes=10)
"""How old the note of a token's last use may be before it is written again."""


class _Seen(NamedTuple):
    person: Person
    until: float
    epoch: int
    expires_at: datetime | None


class Door:
    """Holds no secret: of a token only its hash is kept."""

    def __init__(self, house: House) -> None:
        auth = house.settings.auth
        self._database: Database = house.database
        self._remembered_s = auth.remembered_s
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._asking = Rates(auth.requests_per_s, auth.requests_at_once)
        self._failing = Rates(auth.failures_per_minute / 60, auth.failures_at_once)
        self._away = timedelta(days=house.settings.oidc.signed_in_within_days)
        self._sign_in = SignIn(house.settings.oidc, house.database) if house.settings.oidc.issuer else None

    async def admit(self, headers: Mapping[str, str], address: str, path: str) -> Person:
        """The person behind a request. Raises `Unauthenticated`, `Forbidden`, `Busy`, `SignInUnavailable`."""
        token = token_in(headers)
        person = await self.who(token, address)
        surface = surface_of(path)
        if not person.enters(surface):
            raise Forbidden(
                f"This token is not for the {surface}.",
                hint=f"It is held to: {', '.join(sorted(person.scopes or ()))}. Come with another one.",
                missing_scope=str(surface),
            )
        if seconds := self._asking.wait(f"{person.workspace}/{person.id}"):
            raise Busy(f"{person.id} asks too often.", retry_after=seconds, hint="Wait, and ask less often.")
        return person

    async def who(self, token: str, address: str = "") -> Person:
        """The same without regard to what they ask for. Raises `Unauthenticated`, `Busy`, `SignInUnavailable`."""
        digest = digest_of(token)
        seen = self._seen.get(digest)
        if seen is not None and self._holds(seen):
            return seen.person
        where = _network(address)
        if seen is None and (seconds := self._failing.empty(where)):
            raise Busy("Too many wrong tokens came from your address.", retry_after=seconds, hint="Wait a little.")
        try:
            found = await self._look(token, digest)
        except (Unauthenticated, Forbidden):
            self._seen.pop(digest, None)
            self._failing.wait(where)
            if self._failing.empty(where):
                log.warning("wrong tokens come from %s: further ones are refused for a while", where or "somewhere")
            raise
        self._seen[digest] = found
        self._seen.move_to_end(digest)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return found.person

    def _holds(self, seen: _Seen) -> bool:
        if seen.epoch != self._database.people_epoch or seen.until <= time.monotonic():
            return False
        return seen.expires_at is None or seen.expires_at > self._database.clock.now()

    async def _look(self, token: str, digest: str) -> _Seen:
        until, epoch = time.monotonic() + self._remembered_s, self._database.people_epoch
        if self._sign_in is not None and token.count(".") == 2 and not token.startswith("cs_"):
            person, expires_at = await self._sign_in.person(token)
            return _Seen(person, until, epoch, expires_at)
        known, linked = await self._database.read(SYSTEM, lambda ledger: self._known(ledger, digest))
        person = known.person
        if not linked:
            person = person.model_copy(update={"withheld": OF_PARTIES})
        await self._note_use(known)
        return _Seen(person, until, epoch, known.expires_at)

    def _known(self, ledger: Ledger, digest: str) -> tuple[Known, bool]:
        """Where people sign in elsewhere, others only look: nobody is two parties under two names."""
        known = ledger.people.tokens.look(digest)
        person = known.person
        if self._sign_in is None or SERVICE in person.roles:
            return known, True
        seen = ledger.people.signed_in(person.workspace, person.id)
        away = seen is not None and ledger.now - seen > self._away
        if away and ledger.people.kept_by_issuer(person.workspace, person.id):
            raise Unauthenticated(
                f"{person.id} has not signed in for {self._away.days} days.",
                hint="Sign in with the house's issuer: it says whether you may come in still.",
            )
        return known, seen is not None

    async def _note_use(self, known: Known) -> None:
        last, now = known.last_used_at, self._database.clock.now()
        if last is not None and now - last < _USED:
            return
        try:
            await self._database.write(
                known.person.workspace, lambda ledger: ledger.people.tokens.used(known.person.token), durable=False
            )
        except RECORDS_AWAY as away:  # whoever asks is known all the same
            log.info("that a token was used can't be noted: %s", away)


def token_in(headers: Mapping[str, str]) -> str:
    """The token of a request: a bearer, or the API key of clients that send one. Raises `Unauthenticated`."""
    given, key = headers.get("authorization", ""), headers.get("x-api-key", "")
    scheme, _, token = given.partition(" ")
    token = token.strip() if scheme.lower() == "bearer" else ""
    if token and key and key != token:
        raise Unauthenticated("Two tokens are in the request.", hint="Send one of them.")
    token = token or key
    if not token:
        raise Unauthenticated(
            "There is no token in the request.", hint="Send the header 'Authorization: Bearer TOKEN'."
        )
    if len(token) > _LONGEST:
        raise Unauthenticated("No token is so long.", hint="Send the header 'Authorization: Bearer TOKEN'.")
    return token


def surface_of(path: str) -> Surface:
    first = path.lstrip("/").partition("/")[0]
    return {"api": Surface.API, "v1": Surface.CHAT, "mcp": Surface.MCP}.get(first, Surface.THREADS)


def _network(address: str) -> str:
    """What one sender has in hand: an address of IPv4, a network of IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:60]
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
