"""Policy: what is in force, what was published, and the door by which a signed policy is handed in."""

from __future__ import annotations

from fastapi import APIRouter

from core.errors import NotFound
from core.people import HOME
from core.wire import HandedIn, PolicyVersionView, PolicyView
from ledger.database import Ledger
from policies.bundle import Bundle
from serving.api.deps import Caller, Reader, Rooms
from serving.api.keyed import KeyedRoute

router = APIRouter(prefix="/api/v1/policies", tags=["policies"], route_class=KeyedRoute)


@router.get("")
async def policies(house: Rooms, _person: Reader) -> list[PolicyView]:
    """Each kind's policy in force, its versions, and what compliance has to look after."""

    def read(ledger: Ledger) -> list[PolicyView]:
        alarms = house.office.alarms(ledger.now)
        rows = ledger.policies.published()
        found = []
        for kind in house.kinds:
            book = house.judge.at(kind, ledger.now)
            if book is None:
                continue
            versions = [
                PolicyVersionView(
                    version=row.version,
                    digest=row.digest,
                    source=row.source,
                    signed_by=[str(each["name"]) for each in row.signatures],
                    case_id=row.case_id,
                    at=row.at,
                )
                for row in reversed(rows)
                if row.kind == kind
            ]
            view = PolicyView(
                kind=kind,
                policy=book.name,
                version=book.version,
                digest=book.digest,
                in_force=str(book.in_force),
                owner=book.owner,
                rules=len(book.rules),
                alarms=[alarm for alarm in alarms if book.name in alarm or f" {kind}:" in alarm],
                versions=versions,
            )
            found.append(view)
        return found

    return await house.database.read(HOME, read)


@router.post("/drafts", status_code=201)
async def hand_in(house: Rooms, person: Caller, bundle: Bundle) -> HandedIn:
    """Keeps a signed policy under its digest. It has no force: a case of governance names it, and people decide."""
    return HandedIn(bundle=await house.office.hand_in(person, bundle))


@router.get("/drafts/{digest}")
async def draft(house: Rooms, _person: Reader, digest: str) -> Bundle:
    """A signed policy that was handed in, whole: what those who approve it approve."""
    row = await house.database.read(HOME, lambda ledger: ledger.policies.draft(digest))
    if row is None:
        raise NotFound("There is no such draft.", hint="The case that asks for it names it: 'bundle'.")
    return Bundle.model_validate(row.body)
