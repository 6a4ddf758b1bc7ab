"""Traces: the event log of the workspace in pages. `/api/v1/events` is the same as a stream."""

from __future__ import annotations

from fastapi import APIRouter

from core.wire import Page, TraceEntry
from ledger.database import Ledger
from serving.api.deps import Reader, Rooms
from serving.api.pages import After, Limit, following
from serving.api.views import trace_entry

router = APIRouter(prefix="/api/v1/traces", tags=["traces"])


@router.get("")
async def traces(house: Rooms, person: Reader, after: After = 0, limit: Limit = 200) -> Page[TraceEntry]:
    """What happened in all cases, oldest first."""

    def read(ledger: Ledger) -> Page[TraceEntry]:
        rows = ledger.trace.since(after, limit)
        items = [trace_entry(row) for row in rows]
        return Page[TraceEntry](items=items, next=following(items[-1].seq if items else "", len(rows), limit))

    return await house.database.read(person.workspace, read)
