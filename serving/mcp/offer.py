"""What is offered as an MCP tool: typed arguments, a typed result, and what the call changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.actions import JSON, Effect
from core.errors import InvalidInput
from core.people import Permission, Person
from serving.house import House

MOST_WAIT_S = 60
"""How long one call may wait for people or for a segment. Who wants to wait longer asks again."""
_TELL_EVERY_S = 1.0

Key = Annotated[str, Field(max_length=200, pattern=r"^[\x21-\x7e]*$")]
CaseId = Annotated[str, Field(min_length=1, max_length=64, description="Such as case_01k3…")]
Wait = Annotated[int, Field(ge=0, le=MOST_WAIT_S, description="Seconds to wait for it to settle.")]


class Asked(BaseModel):
    """Arguments of a call. What is not named is refused."""

    model_config = ConfigDict(extra="forbid")


class Told(Protocol):
    """Tells the client how far a call has come: seconds that passed, of how many, and what it waits for."""

    async def __call__(self, passed: float, of: float, what: str) -> None: ...


A = TypeVar("A", bound=BaseModel)
V = TypeVar("V")


@dataclass(frozen=True)
class Offer(Generic[A]):
    name: str
    title: str
    about: str
    """For the client's model: what it is for, and what the answer means."""
    args: type[A]
    result: type[BaseModel]
    effect: Effect
    needs: Permission | None
    """Who does not have it is not shown the tool. What a call may do is decided where it is done."""
    run: Callable[[House, Person, A, Told], Awaitable[BaseModel]]
    idempotent: bool = True
    """Called again with the same arguments, it changes nothing more."""
    open_world: bool = False
    """Something leaves the house."""

    def parse(self, args: dict[str, JSON]) -> A:
        """Raises `InvalidInput`."""
        try:
            return self.args.model_validate(args)
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(
                f"{path or self.name}: {first['msg']}", field=path, hint="Correct it and call again."
            ) from error


async def until(
    house: House,
    look: Callable[[], Awaitable[V]],
    settled: Callable[[V], bool],
    wait_s: float,
    told: Told,
    what: str,
) -> V:
    """Looks until it has settled, woken by news, for so long at most; the last look in any case."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        ticket = house.stream.ticket()
        found = await look()
        passed = loop.time() - began
        if settled(found) or passed >= wait_s:
            return found
        await told(min(passed, wait_s), wait_s, what)
        with suppress(TimeoutError):  # another process may have done it, and its news is late
            await asyncio.wait_for(ticket.wait(), min(_TELL_EVERY_S, wait_s - passed))


Offers = dict[str, Offer[Any]]
