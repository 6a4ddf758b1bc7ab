"""Kinds of business task on threads."""

from __future__ import annotations

from typing import Any

from engine.served import Served


def served_kinds(house: Any) -> dict[str, Served]:
    """Each kind that can be run on a thread, by its name. `house` is the house that it is bound in."""
    return {}
