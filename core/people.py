"""Who may do what. Roles are words in policy files; permissions are what code asks for."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from core.errors import Forbidden, InvalidInput

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


class Surface(StrEnum):
    """The ways in, by which a token can be held to one of them."""

    API = "api"  # /api/v1
    THREADS = "threads"  # assistants, threads and runs
    CHAT = "chat"  # /v1
    MCP = "mcp"


SERVICE = "service"
"""The role that makes an account a machine's, whatever other roles it has."""

OF_PEOPLE = frozenset({Permission.CLAIM, Permission.DECIDE, Permission.GOVERN})
"""What takes a human being: no service account has it, and no token of one."""

OF_PARTIES = OF_PEOPLE | {Permission.SUBMIT, Permission.OPERATE}
"""What makes somebody a party to a case, or its judge. The rest is looking."""

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
    scopes: frozenset[str] | None = None
    """What the token that they came with is held to: permissions and surfaces; None for all that they may."""
    kinds: frozenset[str] | None = None
    """The kinds of business task that it may open cases of; None for all."""
    token: str = ""
    """The id of that token; empty for whoever signed in elsewhere, and inside of the house."""
    withheld: frozenset[Permission] = frozenset()
    """What their roles carry and this way of coming in does not."""

    @property
    def granted(self) -> frozenset[Permission]:
        """What their roles carry, whatever they came with."""
        found: frozenset[Permission] = frozenset()
        for role in self.roles:
            found |= ROLES.get(role, _REVIEW)
        return found - OF_PEOPLE if SERVICE in self.roles else found

    @property
    def permissions(self) -> frozenset[Permission]:
        return self.granted & _words(self.scopes, Permission) - self.withheld

    def enters(self, surface: Surface) -> bool:
        return surface in _words(self.scopes, Surface)


W = TypeVar("W", bound=StrEnum)


_SCOPES: frozenset[str] = frozenset([*Permission, *Surface])


def _words(scopes: frozenset[str] | None, sort: type[W]) -> frozenset[W]:
    """Scopes are words of two sorts. Where there is none of a sort, it is not held to any of them.

    A word that nobody knows was written by another version: what it was to allow is not known either.
    """
    every = frozenset(sort)
    if not (scopes or frozenset()) <= _SCOPES:
        return frozenset()
    return frozenset(word for word in every if word in (scopes or ())) or every


def held_to(scopes: Iterable[str] | None) -> frozenset[str] | None:
    """Scopes as somebody asks for them; None and none at all are the same. Raises `InvalidInput`."""
    asked = frozenset(scopes or ())
    if unknown := sorted(asked - _SCOPES):
        known = ", ".join([*Permission, *Surface])
        raise InvalidInput(f"'{unknown[0][:40]}' is no scope.", field="scopes", hint=f"There are: {known}.")
    return asked or None


def may(person: Person, permission: Permission) -> bool:
    return permission in person.permissions


def require(person: Person, permission: Permission) -> None:
    """Raises `Forbidden`, naming a role that would do."""
    if may(person, permission):
        return
    if permission in person.withheld & person.granted:
        raise Forbidden(
            f"{person.id} may {permission} only when they sign in with the house's issuer.",
            hint="Come with its access token, or with a token that you made after you had signed in.",
        )
    if permission in person.granted:
        raise Forbidden(
            f"This token may not {permission}, though {person.id} may.",
            hint=f"It is held to: {', '.join(sorted(person.scopes or ()))}. Come with another one.",
            missing_scope=str(permission),
        )
    holders = sorted(role for role, has in ROLES.items() if permission in has)
    if permission in (Permission.CLAIM, Permission.DECIDE):
        holders = []  # operators do it too, but only where they are asked
    missing = " or ".join(holders)
    hint = f"It takes the role {missing}." if holders else "It takes a role that the policy asks for."
    if SERVICE in person.roles and permission in OF_PEOPLE:
        hint = "It takes a person: a service account never does it."
    raise Forbidden(f"{person.id} may not {permission}.", hint=hint, missing_role=missing)


def require_kind(person: Person, kind: str) -> None:
    """Raises `Forbidden` where the token is held to other kinds of business task."""
    if person.kinds is not None and kind not in person.kinds:
        raise Forbidden(
            f"This token may not open a case of {kind[:60]}.", hint=f"It is held to: {', '.join(sorted(person.kinds))}."
        )
