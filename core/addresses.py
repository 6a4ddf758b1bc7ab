"""Addresses of other processes, and where a secret may travel in the clear."""

from __future__ import annotations

import ipaddress

import httpx

from core.errors import SetupError


def check_address(url: str, token: str) -> bool:
    """Whether a URL is on this machine. Raises `SetupError` where the token would travel in the clear."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise SetupError(f"'{url[:80]}' is no URL: {error}.", hint="Write it like https://shop.example.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise SetupError(f"'{url[:80]}' is no http URL.", hint="Write it like https://shop.example.")
    local = _is_loopback(parsed.host)
    if token and parsed.scheme == "http" and not local:
        raise SetupError(f"The token would travel to {parsed.host} in the clear.", hint="Use https.")
    return local


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
