"""What makes a house unsafe: secrets that everybody knows, keys beside what they seal, doors without TLS.

In development the doctor tells of it; in production nothing starts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import SecretStr

from core.errors import SetupError
from core.settings import Settings

_KNOWN = frozenset(
    {"admin", "change-me", "change_me", "changeme", "countersign", "default", "demo", "dev", "example", "letmein"}
    | {"none", "pass", "passw0rd", "password", "postgres", "qwerty", "root", "secret", "test", "token"}
)
_SHORTEST = 24
"""Characters of a secret that no human being has to type."""
_SHORTEST_PASSWORD = 10


class Weakness(NamedTuple):
    says: str
    do: str


def require_safe(settings: Settings, *hosts: str) -> None:
    """Raises `SetupError` in production, with all that is to be mended. `hosts` are those that this process opens."""
    if settings.environment != "production":
        return
    found = list(weaknesses(settings, *hosts))
    if found:
        raise SetupError(
            f"Not safe enough for production: {'; '.join(each.says for each in found)}.",
            hint=" ".join(dict.fromkeys(each.do for each in found)),
        )


def weaknesses(settings: Settings, *hosts: str) -> Iterator[Weakness]:
    yield from _doors(settings, hosts or (settings.server.host,))
    yield from _database(settings)
    yield from _master_key(settings)
    for part, url, secret in (
        ("executor", settings.executor.url, settings.executor.token),
        ("shop", settings.shop.url, settings.shop.token),
    ):
        if url or secret.get_secret_value():
            yield from _neighbour(part, url, secret)
    for name, url in (("issuer", settings.oidc.issuer), ("jwks_url", settings.oidc.jwks_url)):
        if url and _in_the_clear(url):
            yield Weakness(
                f"the keys of people who sign in come over the network in the clear (oidc.{name})",
                f"Use https in COUNTERSIGN_OIDC__{name.upper()}.",
            )


def _doors(settings: Settings, hosts: tuple[str, ...]) -> Iterator[Weakness]:
    server = settings.server
    for host in hosts:
        if not is_loopback(host) and server.tls_cert is None and not server.behind_proxy:
            yield Weakness(
                f"it listens on {host} without TLS",
                "Set COUNTERSIGN_SERVER__TLS_CERT, or listen on 127.0.0.1, or end TLS in a proxy and say so: "
                "COUNTERSIGN_SERVER__BEHIND_PROXY=true.",
            )


def _database(settings: Settings) -> Iterator[Weakness]:
    url = settings.database.url.get_secret_value()
    if not url:
        return
    where = urlsplit(url)
    asked = parse_qs(where.query)
    host = where.hostname or (asked.get("host") or [""])[0]
    if not host or host.startswith("/"):
        return  # a socket of this machine: its owner is known by the system
    password = unquote(where.password or "") or (asked.get("password") or [""])[0]
    if (why := _weak(password, _SHORTEST_PASSWORD)) and not asked.get("sslcert"):
        yield Weakness(
            f"the password of the database {why}",
            "Give its login a random one, and set COUNTERSIGN_DATABASE__URL.",
        )


def _master_key(settings: Settings) -> Iterator[Weakness]:
    """Of production alone: where one tries it out, a house needs nothing that lies elsewhere."""
    keys = settings.keys
    if settings.environment != "production" or not keys.encrypt or keys.ring.get_secret_value():
        return
    if keys.path(settings.data).resolve().is_relative_to(settings.data.resolve()):
        yield Weakness(
            "the master key lies in the data folder: whoever has a copy of it reads everything",
            "Move it to where backups of the data don't go, and set COUNTERSIGN_KEYS__FILE, or COUNTERSIGN_KEYS__RING.",
        )


def _neighbour(part: str, url: str, secret: SecretStr) -> Iterator[Weakness]:
    name = f"COUNTERSIGN_{part.upper()}__"
    if why := _weak(secret.get_secret_value(), _SHORTEST):
        yield Weakness(f"the token of the {part} {why}", f"Set {name}TOKEN: openssl rand -base64 33 makes one.")
    if _in_the_clear(url):
        yield Weakness(f"the token of the {part} goes over the network in the clear", f"Use https in {name}URL.")


def _weak(secret: str, shortest: int) -> str:
    if not secret:
        return "is not set"
    if secret.lower() in _KNOWN:
        return "is one that everybody knows"
    if len(secret) < shortest or len(set(secret)) < 6:
        return "can be guessed"
    return ""


def _in_the_clear(url: str) -> bool:
    where = urlsplit(url)
    return where.scheme == "http" and not is_loopback(where.hostname or "")


def is_loopback(host: str) -> bool:
    """A name may lead anywhere, but for the one of this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
