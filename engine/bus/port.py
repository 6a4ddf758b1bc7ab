"""The seam between the house and whatever carries events: what is delivered, what is answered, what is sent.

A bus delivers at least once and in any order. Who takes an event writes it down and then answers; only an answer
takes it off the bus. What can't be taken is kept apart with the reason, never dropped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.events import CloudEvent


@dataclass(frozen=True)
class Delivery:
    """A message as it came."""

    workspace: str
    person: str
    """In whose name it came: the bus vouches for it."""
    body: bytes
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """With lower-case names."""
    attempt: int = 1


@dataclass(frozen=True)
class Accepted:
    """It is written down."""


@dataclass(frozen=True)
class Refused:
    """It will never be taken: it is kept apart, with the reason."""

    reason: str


@dataclass(frozen=True)
class Again:
    """It can't be taken now."""

    reason: str


Answer = Accepted | Refused | Again

Take = Callable[[Sequence[Delivery]], Awaitable[list[Answer]]]
"""One answer for each, in order. If it raises, all of them are delivered again."""


class Unsent(Exception):
    """The bus did not confirm it: it may be out or not, and is sent again under the same id."""


@dataclass(frozen=True)
class Health:
    """`ok` is None where there is nothing that could be ill."""

    ok: bool | None
    detail: str
    waiting: int = 0
    """Messages that nobody has taken yet."""
    refused: int = 0
    """Messages that are kept apart."""


class Bus(Protocol):
    async def start(self, take: Take) -> None:
        """From now on what comes in is taken. Returns at once; a server that is away is waited for."""
        ...

    async def publish(self, event: CloudEvent) -> None:
        """Returns when it is kept at the other end. Raises `Unsent`."""
        ...

    async def health(self) -> Health: ...

    async def stop(self) -> None: ...
