"""HTTP models of people and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Word = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.@-]+$")]


class TokenView(BaseModel):
    """A token without the token itself."""

    id: str
    person: str
    name: str
    scopes: list[str] | None
    """Permissions and surfaces that it is held to; null for all that its person may."""
    kinds: list[str] | None
    issued_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """To some minutes."""


class NewToken(BaseModel):
    """What is wanted. Without scopes it may what its person may."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] = ""
    scopes: list[Word] = Field(default=[], max_length=20)
    kinds: list[Word] = Field(default=[], max_length=50)
    days: int | None = Field(default=None, ge=1, le=3650)
    person: Word | None = None
    """The service account that it is for; by default oneself."""


class MadeToken(TokenView):
    token: str
    """Shown only now."""


class PersonView(BaseModel):
    id: str
    roles: list[str]
    active: bool
    service: bool
    """A machine's account: it never decides."""
    kept_by: str
    """Who says which roles they have: the house, or the issuer that they sign in with."""
    keepers: list[str]
    """People who were given a token of it."""


class WantedRoles(BaseModel):
    """All the roles that somebody has then; none ends their access."""

    model_config = ConfigDict(extra="forbid")

    roles: list[Word] = Field(max_length=20)
    note: Annotated[str, StringConstraints(max_length=2000)] = ""
