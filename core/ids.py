"""Identifiers, and the one canonical form that digests are made of."""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any

import rfc8785

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no i, l, o, u


def new_id(prefix: str) -> str:
    """`case_01k3…`: 48 bits of milliseconds, then 80 random bits, so ids sort by their birth."""
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    text = ""
    for _ in range(26):
        number, rest = divmod(number, 32)
        text = _ALPHABET[rest] + text
    return f"{prefix}_{text}"


def canonical(value: Any) -> bytes:
    """RFC 8785 canonical JSON of plain data (dicts, lists, strings, ints, booleans, None)."""
    return rfc8785.dumps(value)


def digest(value: Any) -> str:
    """Hex SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()
