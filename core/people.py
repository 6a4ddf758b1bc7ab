"""Who may do what. Roles are words in policy files; permissions are what code asks for."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from core.errors import Forbidden

HOME = "default"
"""The workspace in which the house itself is governed: its policy, its people."""


class Permission(StrEnum):
    SUBMIT = "submit"  # open a case, and read those that one opened
    READ = "read"  # cases, traces, queue, KPIs
    CLAIM = "claim"  # take a review to look at
    DECIDE = "decide"  # vote; the review's reviewer sets say who counts
    OPERATE = "operate"  # pause, resume, retry, cancel
    AUDIT = "audit"  # read the audit chain
    GOVERN = "govern"  # ask for a change of policy or of roles; others decide on it


_REVIEW = frozenset({Permission.READ, Permission.CLAIM, Permission.DECIDE})

ROLES: dict[str, frozenset[Permission]] = {
    "viewer": frozenset({Permission.READ}),
    "service": frozenset({Permission.SUBMIT}),
    "operator": _REVIEW | {Permission.SUBMIT, Permission.OPERATE},  # decides what the house itself asks
    "compliance": frozenset({Permission.READ, Permission.AUDIT, Permission.GOVERN}),
    "admin": frozenset({Permission.READ, Permission.AUDIT, Permission.GOVERN}),
}
"""What each role of the house carries. Any other role is a reviewer group named by a policy file."""


class Person(BaseModel):
    """An authenticated caller: a human, or a service account."""

    model_config = ConfigDict(frozen=True)

    id: str
    workspace: str = HOME
    roles: frozenset[str] = frozenset()

    @property
    def permissions(self) -> frozenset[Permission]:
        found: frozenset[Permission] = frozenset()
        for role in self.roles:
            found |= ROLES.get(role, _REVIEW)
        return found


def may(person: Person, permission: Permission) -> bool:
    return permission in person.permissions


def require(person: Person, permission: Permission) -> None:
    """Raises `Forbidden`, naming a role that would do."""
    if may(person, permission):
        return
    holders = sorted(role for role, has in ROLES.items() if permission in has)
    if permission in (Permission.CLAIM, Permission.DECIDE):
        holders = []  # operators do it too, but only where they are asked
    missing = " or ".join(holders)
    hint = f"It takes the role {missing}." if holders else "It takes a role that the policy asks for."
    raise Forbidden(f"{person.id} may not {permission}.", hint=hint, missing_role=missing)
