"""Roles and permissions: what each role carries, and what somebody without it is told."""

from __future__ import annotations

import pytest

from core.errors import Forbidden, InvalidInput
from core.people import ROLES, Permission, Person, Surface, held_to, may, require, require_kind

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
    both = Person(id="ann", roles=frozenset({"compliance", "finance_controller"}))
    assert both.permissions == {P.READ, P.AUDIT, P.GOVERN, P.CLAIM, P.DECIDE}


@pytest.mark.parametrize("role", MAY)
def test_a_service_account_never_decides_whatever_its_other_roles(role: str) -> None:
    both = Person(id="bot", roles=frozenset({"service", role}))
    assert both.permissions == (MAY[role] | {P.SUBMIT}) - {P.CLAIM, P.DECIDE, P.GOVERN}
    with pytest.raises(Forbidden) as no:
        require(both, P.DECIDE)
    assert "a service account never" in no.value.hint


def test_a_token_is_held_to_its_scopes_and_opens_nothing_that_its_person_may_not() -> None:
    roles = frozenset({"operator"})
    both = Person(id="ann", roles=roles, scopes=held_to(["read", "audit", "chat"]))
    assert both.permissions == {P.READ}
    assert [surface for surface in Surface if both.enters(surface)] == [Surface.CHAT]
    with pytest.raises(Forbidden, match="This token may not decide, though ann may") as no:
        require(both, P.DECIDE)
    assert no.value.extra["missing_scope"] == "decide"
    only_a_door = Person(id="ann", roles=roles, scopes=held_to(["api"]))
    assert only_a_door.permissions == Person(id="ann", roles=roles).permissions
    assert held_to([]) is held_to(None) is None
    with pytest.raises(InvalidInput, match="'everything' is no scope"):
        held_to(["everything"])


def test_a_token_may_be_held_to_kinds() -> None:
    require_kind(Person(id="web"), "returns")
    require_kind(Person(id="web", kinds=frozenset({"returns"})), "returns")
    with pytest.raises(Forbidden, match="a case of governance"):
        require_kind(Person(id="web", kinds=frozenset({"returns"})), "governance")


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
