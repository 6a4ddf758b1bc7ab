"""What a search compares has an end."""

from __future__ import annotations

import pytest

from core.errors import InvalidInput
from engine.sieve import Sieve


def test_a_search_finds_what_is_held_at_any_depth() -> None:
    kept = {"graph": "returns", "tags": ["a", {"b": [1, 2]}], "who": {"team": "north", "seat": 3}}
    for wanted, found in (
        ({}, True),
        ({"graph": "returns"}, True),
        ({"graph": "other"}, False),
        ({"tags": ["a"]}, True),
        ({"tags": [{"b": [2]}]}, True),
        ({"tags": [{"b": [3]}]}, False),
        ({"who": {"team": "north"}}, True),
        ({"who": "north"}, False),
        ({"absent": None}, False),
    ):
        assert Sieve(wanted, None).passes(kept, {}) is found
        assert Sieve(None, wanted).passes({}, kept) is found


def test_a_search_that_would_compare_without_end_is_refused() -> None:
    many = {"a": [0] * 30_000}
    assert Sieve({"a": [0] * 1_000}, None).passes(many, {})
    with pytest.raises(InvalidInput, match="compares too much"):
        Sieve({"a": [1] * 1_000 + [0]}, None).passes({"a": [0] * 30_000 + [1]}, {})
    sieve = Sieve({"a": [1]}, None)
    rows = (sieve.passes(many, {}) for _ in range(100))
    with pytest.raises(InvalidInput, match="compares too much"):
        any(rows)
