"""What every way to a shop checks before a call leaves, so that all of them refuse the same."""

from __future__ import annotations

from collections.abc import Mapping

from rfc8785 import CanonicalizationError

from core.actions import JSON
from core.errors import InvalidInput
from core.ids import digest

MAX_BODY = 1_000_000
"""Bytes of one request over HTTP."""
MAX_NAME = 255
"""Characters of a key or a case id."""


def call_digest(args: Mapping[str, JSON], key: str, case_id: str) -> str:
    """The digest of a write's arguments. Raises `InvalidInput` for a key, a case or arguments that can't travel."""
    for name, value in (("key", key), ("case_id", case_id)):  # both are sent as HTTP headers
        if not 0 < len(value) <= MAX_NAME or not value.isascii() or not value.isprintable() or value != value.strip():
            raise InvalidInput(f"A {name} is 1 to {MAX_NAME} printable ASCII characters.", field=name)
    try:
        return digest(dict(args))
    except (CanonicalizationError, RecursionError) as error:
        raise InvalidInput(
            f"The arguments are not plain JSON: {error}.", field="args", hint="Use text, and whole numbers below 2^53."
        ) from error
