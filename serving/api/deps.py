"""What routes need: the house, and the person who asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from core.people import Permission, Person, require
from serving.auth.door import Door, token_in
from serving.house import House

_bearer = HTTPBearer(auto_error=False, description="A token of the house, or an access token of its issuer.")
_key = APIKeyHeader(name="X-Api-Key", auto_error=False, description="The same token, for clients that send it so.")


async def the_house(request: Request) -> House:
    house: House = request.app.state.house
    return house


async def the_door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


Rooms = Annotated[House, Depends(the_house)]


async def caller(
    request: Request,
    door: Annotated[Door, Depends(the_door)],
    _given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    _or_key: Annotated[str | None, Depends(_key)],
) -> Person:
    """Who asks. The two dependencies say in the OpenAPI document how a token is sent; the door reads it."""
    return await door.admit(request.headers, request.client.host if request.client else "", request.url.path)


Caller = Annotated[Person, Depends(caller)]


async def reader(person: Caller) -> Person:
    require(person, Permission.READ)
    return person


Reader = Annotated[Person, Depends(reader)]
RequestKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$"),
]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=20, description="The id of the last event that was read.")
]


async def admitted(request: Request) -> Person:
    """Whoever asked, as they are now: for what goes on long after it was asked for. Raises `Unauthenticated`."""
    return await (await the_door(request)).who(token_in(request.headers))
