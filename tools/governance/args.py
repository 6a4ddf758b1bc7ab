"""Arguments and results of the governing tools."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
Note = Annotated[str, StringConstraints(max_length=2000)]


class _Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Publish(_Args):
    """A signed policy. What people approve is the bundle of this digest and no other."""

    kind: Kind
    version: Name
    bundle: Digest
    """SHA-256 of the signed policy, as it was handed in."""
    note: Note = ""
    """Why, for those who approve."""


class RollBack(_Args):
    """A version that was published before comes into force again."""

    kind: Kind
    version: Name
    digest: Digest
    """SHA-256 of that version's file."""
    note: Note = ""


class Grant(_Args):
    """The roles that a person has from then on; none takes their access away."""

    person: Name
    roles: list[Name] = Field(max_length=20)
    note: Note = ""


class Ask(_Args):
    question: Note


class Asked(BaseModel):
    question: str


class Check(_Args):
    """What would be published."""

    change: Publish | RollBack


class Checked(BaseModel):
    """What is known of a policy before it comes into force."""

    problems: list[str]
    """Why it can't; empty if it can."""
    direction: Literal["same", "tighter", "looser", "mixed", "unproved"]
    summary: str
    """What becomes different, in the words of the file."""


class Published(BaseModel):
    kind: str
    version: str
    digest: str
    in_force: str


class Granted(BaseModel):
    person: str
    roles: list[str]
