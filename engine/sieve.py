"""Which threads hold what a client searches for, with an end to how long is looked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import InvalidInput

_MOST = 500_000
"""Comparisons in one search: well under a second."""


class Sieve:
    """Holds for one search. Raises `InvalidInput` where it would look without end."""

    def __init__(self, metadata: Mapping[str, Any] | None, values: Mapping[str, Any] | None) -> None:
        self._metadata = metadata or {}
        self._values = values or {}
        self._left = _MOST

    def passes(self, metadata: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
        return self._holds(metadata, self._metadata) and self._holds(values, self._values)

    def _holds(self, whole: Any, part: Any) -> bool:
        """Whether all that is in `part` is there, at any depth."""
        self._left -= 1
        if self._left < 0:
            raise InvalidInput(
                "The search compares too much.",
                field="metadata",
                hint="Search for less, or with 'ids' or 'status' among fewer threads.",
            )
        if isinstance(part, Mapping):
            return isinstance(whole, Mapping) and all(
                key in whole and self._holds(whole[key], each) for key, each in part.items()
            )
        if isinstance(part, list):
            return isinstance(whole, list) and all(any(self._holds(other, each) for other in whole) for each in part)
        return bool(whole == part)
