"""Key figures: how many cases ended how, who is waited for and why, what it cost, how long it took."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from core.errors import InvalidInput
from core.wire import Moment
from core.wire_accounts import Kpis
from ledger.database import Ledger
from ledger.kpis import figures
from serving.api.deps import Reader, Rooms

router = APIRouter(prefix="/api/v1/kpis", tags=["kpis"])


@router.get("")
async def kpis(
    house: Rooms,
    person: Reader,
    since: Annotated[Moment | None, Query(description="Cases that were opened then or later.")] = None,
    until: Annotated[Moment | None, Query(description="Cases that were opened before.")] = None,
) -> Kpis:
    """Over the workspace's cases, without copies of cases. A window takes cases by when they were opened."""
    if since is not None and until is not None and since >= until:
        raise InvalidInput("The window ends before it begins.", field="until", hint="Let 'since' be the earlier one.")

    def read(ledger: Ledger) -> Kpis:
        found = figures(ledger.session, since, until).model_dump(exclude={"cycle_s"})
        return Kpis.model_validate({**found, "since": since, "until": until, "at": ledger.now})

    # In a thread, on SQLite too: it reads every case of the window.
    return await asyncio.to_thread(house.database.transact, person.workspace, read, False)
