"""Cases as MCP tools: open one, look at one, list them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from core.actions import JSON, Effect
from core.people import Permission, Person, may
from core.states import CaseStatus
from core.wire import CaseDetail, CaseSummary, Page
from ledger.database import Ledger
from serving.api.views import case_detail, case_summary, readable
from serving.house import House
from serving.mcp.offer import Asked, CaseId, Key, Offer, Told, Wait, until


class Submit(Asked):
    kind: Annotated[str, Field(min_length=1, max_length=64, description="The name of a kind of business task.")]
    payload: Annotated[dict[str, JSON], Field(description="What the case starts from, by the kind's schema.")]
    key: Annotated[Key, Field(description="The same key again opens no second case.")] = ""
    wait_s: Wait = 0


class One(Asked):
    case_id: CaseId


class Which(Asked):
    status: tuple[CaseStatus, ...] = ()
    kind: Annotated[str, Field(max_length=64)] = ""
    before: Annotated[str, Field(max_length=64, description="`next` of the page before.")] = ""
    limit: Annotated[int, Field(ge=1, le=100)] = 20


async def look(house: House, person: Person, case_id: str) -> CaseDetail:
    return await house.database.read(
        person.workspace, lambda ledger: case_detail(house, ledger, readable(ledger, person, case_id))
    )


async def _submit(house: House, person: Person, asked: Submit, told: Told) -> CaseDetail:
    case, _ = await house.submit(person, asked.kind, asked.payload, asked.key or None)

    async def moves() -> bool:
        return await house.database.read(person.workspace, lambda ledger: ledger.cases.moves(case.id))

    await until(house, moves, lambda still: not still, asked.wait_s, told, f"{case.id} is worked on")
    return await look(house, person, case.id)


async def _look(house: House, person: Person, asked: One, _told: Told) -> CaseDetail:
    return await look(house, person, asked.case_id)


async def _list(house: House, person: Person, asked: Which, _told: Told) -> Page[CaseSummary]:
    def read(ledger: Ledger) -> Page[CaseSummary]:
        opened_by = "" if may(person, Permission.READ) else person.id
        rows = ledger.cases.find(
            status=[str(each) for each in asked.status],
            kind=asked.kind,
            before=asked.before,
            opened_by=opened_by,
            limit=asked.limit,
        )
        items = [case_summary(ledger, row) for row in rows]
        return Page[CaseSummary](items=items, next=rows[-1].id if len(rows) == asked.limit else "")

    return await house.database.read(person.workspace, read)


OFFERS: tuple[Offer[Any], ...] = (
    Offer(
        "submit_case",
        "Open a case",
        "Opens a case of a kind; an agent works on it. Give a key, and a second call with it opens no second case.",
        Submit,
        CaseDetail,
        Effect.IRREVERSIBLE,
        Permission.SUBMIT,
        _submit,
        idempotent=False,
    ),
    Offer(
        "get_case",
        "Look at a case",
        "A case with its plan, what was done in it, and what waits for people.",
        One,
        CaseDetail,
        Effect.READ,
        None,
        _look,
    ),
    Offer(
        "list_cases",
        "List cases",
        "Cases, newest first; of all that you may read, or those that you opened.",
        Which,
        Page[CaseSummary],
        Effect.READ,
        None,
        _list,
    ),
)
