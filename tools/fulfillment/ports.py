"""The one way to a system of record: reads by name, writes by name under an idempotency key.

The port is neutral of the business: what queries and operations mean is a `Dialect`, and the typed
tools of a kind give each of them a schema. The embedded shop, the same shop over HTTP and every
adapter pass one conformance suite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel

from core.actions import JSON
from core.errors import ProviderRefused
from core.ports import LoggedCall


class FoundCall(BaseModel):
    """An earlier call, found by its key."""

    key: str
    operation: str
    args_digest: str
    result: dict[str, JSON]


class Shop(Protocol):
    async def read(self, query: str, args: Mapping[str, JSON]) -> dict[str, JSON]:
        """Raises `ProviderRefused` (reason `not_found`, …) or `ProviderUnavailable`."""
        ...

    async def write(self, operation: str, args: Mapping[str, JSON], *, key: str, case_id: str) -> dict[str, JSON]:
        """Does it once for each key: the same key and arguments give the stored result.

        Raises `KeyReused` for the same key with other arguments, `ProviderRefused` with reason
        `concurrent_request` while a call with this key is under way, `stale_status` where
        `expected_status` in the arguments is not the present one, or the operation's own reason;
        `ProviderUnavailable` where nothing happened; `OutcomeUnknown` where it may have.
        """
        ...

    async def find(self, key: str) -> FoundCall | None:
        """The call with this key, or None if there was none. Raises `ProviderUnavailable`."""
        ...

    async def log(self, after: int = 0, limit: int = 1000) -> list[LoggedCall]:
        """The shop's own append-only log of writes that happened, oldest first."""
        ...


class Records(Protocol):
    """The shop's records inside one of its transactions."""

    def get(self, collection: str, record_id: str) -> dict[str, Any]:
        """Raises `ProviderRefused` with reason `not_found`."""
        ...

    def put(self, collection: str, record_id: str, body: Mapping[str, Any]) -> None: ...

    def where(self, collection: str, **equals: JSON) -> list[dict[str, Any]]:
        """Records whose top-level fields equal these, in order of their ids."""
        ...

    def new_id(self, prefix: str) -> str:
        """A fresh id, such as `ret_…`."""
        ...

    @property
    def now(self) -> datetime: ...


Handler = Callable[[Records, Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Dialect:
    """What a kind's system of record understands. A handler raises `ProviderRefused` to say no."""

    name: str
    collections: Mapping[str, str]
    """Collection name to the field that holds a record's id."""
    queries: Mapping[str, Handler] = field(default_factory=dict)
    operations: Mapping[str, Handler] = field(default_factory=dict)
    indexes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Collection name to the top-level fields that `where` is asked for."""


def expect(record: Mapping[str, Any], name: str, expected: JSON) -> None:
    """Compare-and-set for handlers: refuses a write that was decided on another state than the present one.

    None means that the caller expects nothing in particular.
    """
    if expected is not None and record[name] != expected:
        raise ProviderRefused(
            f"The {name} is {record[name]}, not {expected}.",
            reason="stale_status",
            hint="Read it again, and decide on what it is now.",
            present=record[name],
        )
