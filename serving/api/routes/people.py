"""People: who there is, a change of their roles, which others decide on, and the way to shut somebody out at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from core.errors import NotFound
from core.people import SERVICE, Permission, require
from core.wire import CaseSummary, Page
from core.wire_people import PersonView, WantedRoles
from ledger.database import Ledger
from ledger.tables import PersonRow
from serving.api.deps import Caller, Reader, RequestKey, Rooms
from serving.api.views import case_summary
from serving.auth import minting

router = APIRouter(prefix="/api/v1/people", tags=["people"])


def _view(row: PersonRow) -> PersonView:
    known = row.model_dump(include=set(PersonView.model_fields))
    return PersonView(**known, service=SERVICE in row.roles)


@router.get("")
async def everyone(
    house: Rooms,
    person: Reader,
    after: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Page[PersonView]:
    """By name, with the roles that they have now."""
    rows = await house.database.read(person.workspace, lambda ledger: ledger.people.page(after, limit))
    return Page[PersonView](items=[_view(row) for row in rows], next=rows[-1].id if len(rows) == limit else "")


@router.get("/{person_id}")
async def one(house: Rooms, person: Reader, person_id: str) -> PersonView:
    def find(ledger: Ledger) -> PersonView:
        row = next(iter(ledger.people.named(person.workspace, person_id)), None)
        if row is None:
            raise NotFound(f"There is nobody named {person_id[:64]}.", hint="GET /api/v1/people lists them.")
        return _view(row)

    return await house.database.read(person.workspace, find)


@router.post(
    "/{person_id}/roles",
    status_code=201,
    responses={200: {"description": "The same key had asked for it.", "model": CaseSummary}},
)
async def grant(
    house: Rooms, person: Caller, person_id: str, body: WantedRoles, response: Response, key: RequestKey = None
) -> CaseSummary:
    """Asks for somebody to have these roles and no others. Opens a case: people decide, and who asks has no vote."""
    require(person, Permission.GOVERN)
    change = {"person": person_id, "roles": body.roles, "note": body.note}
    case, new = await house.submit(person, "governance", {"do": "people.grant", "change": change}, key)
    if not new:
        response.status_code = 200
    response.headers["Location"] = f"/api/v1/cases/{case.id}"
    return await house.database.read(person.workspace, lambda ledger: case_summary(ledger, ledger.cases.get(case.id)))


@router.post("/{person_id}/suspend", status_code=204)
async def suspend(house: Rooms, person: Caller, person_id: str) -> None:
    """Shuts somebody out at once, and ends their tokens; what they voted for has no weight unless it ran already."""
    await house.database.write(person.workspace, lambda ledger: minting.suspend(ledger, person, person_id))
