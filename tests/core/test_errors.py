"""The tree of errors: what it draws is what there is, and each member can be told over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from core import errors
from core.errors import Busy, Conflict, CountersignError, InvalidInput, KeyReused, ProviderRefused, StaleState


def tree(of: type[CountersignError], depth: int = 0) -> Iterator[tuple[type[CountersignError], int]]:
    yield of, depth
    for child in of.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child, depth + 1)


FAMILY = list(tree(CountersignError))
STATUS: dict[str, int] = {
    "InvalidInput": 422,
    "TooLarge": 413,
    "PolicyInvalid": 422,
    "Unauthenticated": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "Conflict": 409,
    "Busy": 429,
    "DatabaseUnavailable": 503,
    "UnsupportedMedia": 415,
    "MethodNotAllowed": 405,
    "PreconditionFailed": 412,
    "WrongHost": 421,
    "NotServed": 501,
    "SignInUnavailable": 503,
    "SetupError": 500,
    "ProviderError": 502,
    "ModelError": 502,
}


def test_the_drawing_shows_every_error_in_its_place() -> None:
    drawn = [
        (line.index(match[1]) // 4, match[1])
        for line in (errors.__doc__ or "").splitlines()
        if (match := re.search(r"[├└]── (\w+)", line))
    ]
    assert sorted(drawn) == sorted((depth + 1, each.__name__) for each, depth in FAMILY if depth)


@pytest.mark.parametrize("error", [each for each, _ in FAMILY], ids=lambda e: e.__name__)
def test_each_has_a_status_a_title_and_a_stable_word(error: type[CountersignError]) -> None:
    told = error("It broke.", hint="Mend it.")
    inherited = next((STATUS[base.__name__] for base in error.__mro__ if base.__name__ in STATUS), 500)
    assert error.status == inherited
    assert error is CountersignError or error.title != CountersignError.title
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", told.code)
    problem = told.problem()
    assert problem["type"] == f"urn:countersign:{told.code}"
    assert problem["status"] == error.status
    assert (problem["title"], problem["detail"], problem["hint"]) == (error.title, "It broke.", "Mend it.")
    assert str(told) == "It broke. Mend it."


def test_no_two_share_a_word() -> None:
    codes = [each("").code for each, _ in FAMILY]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    ("error", "members"),
    [
        (InvalidInput("Too many.", field="lines.0.quantity"), {"field": "lines.0.quantity"}),
        (Busy("Wait.", retry_after=7), {"retry_after": 7}),
        (StaleState("It moved.", present="closed"), {"present": "closed"}),
        (KeyReused("Used.", present="case_1"), {"present": "case_1"}),
        (ProviderRefused("No.", reason="already_refunded"), {"reason": "already_refunded"}),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_a_machine_needs_travels_as_members(error: CountersignError, members: dict[str, Any]) -> None:
    assert error.problem().items() >= members.items()


def test_without_a_hint_there_is_none() -> None:
    assert "hint" not in Conflict("No.").problem()
    assert str(Conflict("No.")) == "No."
