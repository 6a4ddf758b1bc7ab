"""What routes need: the house, and the person who asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from core.errors import Unauthenticated
from core.people import Permission, Person, require
from ledger.tables import SYSTEM
from serving.house import House

_bearer = HTTPBearer(auto_error=False, description="A token of `countersign people add`.")


def the_house(request: Request) -> House:
    house: House = request.app.state.house
    return house


Rooms = Annotated[House, Depends(the_house)]


async def caller(house: Rooms, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Person:
    if given is None:
        raise Unauthenticated(
            "There is no token in the request.", hint="Send the header 'Authorization: Bearer TOKEN'."
        )
    return await house.database.read(SYSTEM, lambda ledger: ledger.people.who(given.credentials))


Caller = Annotated[Person, Depends(caller)]


def reader(person: Caller) -> Person:
    require(person, Permission.READ)
    return person


Reader = Annotated[Person, Depends(reader)]
RequestKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$"),
]
