"""Roles and permissions: what each role carries, and what somebody without it is told."""

from __future__ import annotations

import pytest

from core.errors import Forbidden
from core.people import ROLES, Permission, Person, may, require

P = Permission

MAY = {
    "viewer": {P.READ},
    "service": {P.SUBMIT},
    "operator": {P.SUBMIT, P.READ, P.OPERATE, P.CLAIM, P.DECIDE},
    "compliance": {P.READ, P.AUDIT, P.GOVERN},
    "admin": {P.READ, P.AUDIT, P.GOVERN},
    "returns_reviewer": {P.READ, P.CLAIM, P.DECIDE},
    "whatever_a_policy_names": {P.READ, P.CLAIM, P.DECIDE},
}


@pytest.mark.parametrize("role", MAY)
@pytest.mark.parametrize("permission", P)
def test_what_a_role_may(role: str, permission: Permission) -> None:
    who = Person(id="ann", roles=frozenset({role}))
    assert may(who, permission) == (permission in MAY[role])


def test_every_role_of_the_house_is_listed_above() -> None:
    assert set(ROLES) <= set(MAY)


def test_roles_add_up_and_nobody_has_any_without_one() -> None:
    assert Person(id="ann").permissions == frozenset()
    both = Person(id="ann", roles=frozenset({"service", "finance_controller"}))
    assert both.permissions == {P.SUBMIT, P.READ, P.CLAIM, P.DECIDE}


def test_governing_is_not_deciding() -> None:
    assert not may(Person(id="root", roles=frozenset({"admin"})), P.DECIDE)


@pytest.mark.parametrize(
    ("permission", "missing"), [(P.OPERATE, "operator"), (P.AUDIT, "admin or compliance"), (P.DECIDE, "")]
)
def test_who_may_not_is_told_which_role_it_takes(permission: Permission, missing: str) -> None:
    with pytest.raises(Forbidden) as no:
        require(Person(id="ann", roles=frozenset({"viewer"})), permission)
    assert no.value.detail == f"ann may not {permission}."
    assert no.value.extra["missing_role"] == missing
    assert missing in no.value.hint
    assert no.value.hint
