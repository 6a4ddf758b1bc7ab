"""Effects after the fact: those of which nobody knows whether they happened, and those that are taken back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from core.wire import Page, UndoView, UnknownEffect
from engine.reversal import Undo
from engine.unknown import unknowns
from serving.api.deps import Caller, Reader, Rooms
from serving.api.keyed import KeyedRoute

router = APIRouter(prefix="/api/v1", tags=["effects"], route_class=KeyedRoute)


@router.get("/effects/unknown")
async def unknown(
    house: Rooms, person: Reader, limit: Annotated[int, Query(ge=1, le=500)] = 200
) -> Page[UnknownEffect]:
    """What may or may not have happened at a provider, the oldest first, with what the provider says of it now."""
    found = await unknowns(house.database, house.tools, person.workspace, limit)
    items = [
        UnknownEffect(
            action=each.action.id,
            case_id=each.run.case_id,
            tool=each.run.tool,
            described=each.action.described,
            key=each.run.key,
            started_at=each.run.started_at,
            problem=each.run.reason,
            approval=each.asked.id if each.asked is not None else "",
            provider_says=each.word,
            result=each.result,
        )
        for each in found
    ]
    return Page[UnknownEffect](items=items, next="", total=len(items))


@router.get("/cases/{case_id}/compensation")
async def compensation(house: Rooms, person: Reader, case_id: str) -> Page[UndoView]:
    """What the case did that can be taken back, the last effect first, and where each stands."""
    return _page(await house.compensation.standing(person.workspace, case_id))


@router.post("/cases/{case_id}/compensate", status_code=202)
async def compensate(house: Rooms, person: Caller, case_id: str) -> Page[UndoView]:
    """Has taken back what a finished case did: through policy, and people where policy asks for them."""
    return _page(await house.compensation.ask(person, case_id))


def _page(found: Sequence[Undo]) -> Page[UndoView]:
    items = [
        UndoView(
            action=each.effect.id,
            tool=each.effect.tool,
            described=each.effect.described,
            standing=each.standing,
            by=each.action.tool if each.action is not None else "",
            why=each.why,
        )
        for each in found
    ]
    return Page[UndoView](items=items, next="", total=len(items))
