"""The keys that an issuer signs with: read from it, kept for a while, and asked for anew when an unknown one shows up.

Nobody who sends tokens decides where keys come from, or how often they are fetched.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from core.access_settings import OidcSettings
from core.errors import SignInUnavailable, Unauthenticated

log = logging.getLogger("countersign.auth")

_MOST_BYTES, _MOST_KEYS = 500_000, 50
_SHORTEST_RSA = 2048
"""Bits."""


class _Key(NamedTuple):
    key: PyJWK
    listed_at: float


class IssuerKeys:
    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._keys: dict[str, _Key] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._failed = ""
        self._lock = asyncio.Lock()

    async def get(self, kid: str) -> PyJWK:
        """Raises `Unauthenticated` for a key that the issuer doesn't have, `SignInUnavailable` if it can't say."""
        if self._read_at is None or self._clock() - self._read_at > self._settings.keys_for_s:
            await self._read(self._tried_at)
        if found := self._good(kid):
            return found
        await self._read(self._tried_at)
        if found := self._good(kid):
            return found
        if self._failed:
            raise SignInUnavailable(
                "The key of this token is not known here, and its issuer can't be asked.",
                hint="Try again in a moment. Whoever came lately goes on.",
            )
        raise Unauthenticated("The issuer has no such key.", hint="Sign in anew.")

    def _good(self, kid: str) -> PyJWK | None:
        known = self._keys.get(kid)
        if known is None or self._read_at is None:
            return None
        if self._clock() - self._read_at > max(self._settings.keys_at_most_s, self._settings.keys_for_s):
            return None  # nobody has said for long that these keys are good
        gone_s = self._read_at - known.listed_at
        return known.key if gone_s <= (self._settings.grace_s if gone_s else 0) else None

    async def _read(self, tried_at: float | None) -> None:
        """Reads them anew, but for one who waited for another's reading, and not more often than is allowed."""
        async with self._lock:
            if self._tried_at != tried_at:
                return
            now = self._clock()
            if self._tried_at is not None and now - self._tried_at < self._settings.pause_s:
                return
            self._tried_at = now
            try:
                found = await self._fetch()
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                self._failed = str(error) or type(error).__name__
                log.warning("the keys of %s can't be read: %s", self._settings.issuer, self._failed)
                return
            self._failed, self._read_at = "", now
            for kid, key in found.items():
                self._keys[kid] = _Key(key, now)
            self._keys = {
                kid: known for kid, known in self._keys.items() if now - known.listed_at <= self._settings.grace_s
            }

    async def _fetch(self) -> dict[str, PyJWK]:
        """Raises `httpx.HTTPError`, `ValueError`."""
        async with httpx.AsyncClient(timeout=self._settings.timeout_s, follow_redirects=False) as http:
            url = self._settings.jwks_url
            if not url:
                issuer = self._settings.issuer
                said = await _json(http, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                if said.get("issuer") != issuer:
                    raise ValueError(f"it says that it is {str(said.get('issuer'))[:100]!r}")
                url = str(said.get("jwks_uri", ""))
                if not url.startswith(("https://", "http://")) or (issuer.startswith("https") and url[4] != "s"):
                    raise ValueError(f"its keys are at no safe address: {url[:100]!r}")
            return usable((await _json(http, url)).get("keys"))


async def _json(http: httpx.AsyncClient, url: str) -> Mapping[str, Any]:
    async with http.stream("GET", url) as response:
        response.raise_for_status()
        body = b""
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _MOST_BYTES:
                raise ValueError("its answer has no end")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("its answer is no object")
    return found


def usable(keys: Any) -> dict[str, PyJWK]:
    """Public keys that sign, by their id. What is none, such as a shared secret, is passed over."""
    found: dict[str, PyJWK] = {}
    for each in keys[:_MOST_KEYS] if isinstance(keys, list) else []:
        if not isinstance(each, dict) or each.get("kty") not in ("RSA", "EC", "OKP"):
            continue
        kid, use = each.get("kid"), each.get("use", "sig")
        if not isinstance(kid, str) or use != "sig":
            continue
        public = {name: value for name, value in each.items() if name not in ("d", "p", "q", "dp", "dq", "qi", "oth")}
        try:
            key = PyJWK(public)
        except (PyJWTError, ValueError, TypeError) as error:
            log.warning("a key of the issuer can't be used: %s", type(error).__name__)
            continue
        if each["kty"] == "RSA" and getattr(key.key, "key_size", 0) < _SHORTEST_RSA:
            log.warning("a key of the issuer is shorter than %d bits", _SHORTEST_RSA)
            continue
        found[kid] = key
    return found
