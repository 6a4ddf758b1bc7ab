"""The audit chain: its entries as they were hashed, and whether it holds."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from core.people import Permission, require
from core.wire import Page
from core.wire_accounts import AuditEntry, AuditVerdict
from ledger.database import Ledger
from serving.api.deps import Caller, Rooms
from serving.api.pages import After, Limit, following

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


@router.get("")
async def entries(
    house: Rooms,
    person: Caller,
    case: Annotated[str, Query(max_length=40, description="Of this case alone.")] = "",
    after: After = 0,
    limit: Limit = 200,
) -> Page[AuditEntry]:
    """Oldest first. `hash` is SHA-256 of the canonical JSON of workspace, seq, at, type, case_id, body and prev."""
    require(person, Permission.AUDIT)

    def read(ledger: Ledger) -> Page[AuditEntry]:
        rows = ledger.audit.entries(case_id=case, after=after, limit=limit)
        items = [
            AuditEntry(
                seq=row.seq,
                at=row.at,
                type=row.type,
                case_id=row.case_id,
                body=ledger.audit.told(row),
                text=row.body,
                prev=row.prev,
                hash=row.hash,
            )
            for row in rows
        ]
        return Page[AuditEntry](items=items, next=following(rows[-1].seq if rows else "", len(rows), limit))

    return await house.database.read(person.workspace, read)


@router.get("/verification")
async def verification(house: Rooms, person: Caller) -> AuditVerdict:
    """Goes through the whole chain of the workspace: each entry against its hash, and the last against the head."""
    require(person, Permission.AUDIT)

    def verify(ledger: Ledger) -> AuditVerdict:
        entries, broken = ledger.audit.verify(person.workspace)
        return AuditVerdict(
            workspace=person.workspace,
            entries=entries,
            holds=broken is None,
            broken_at=broken.seq if broken else None,
            why=broken.why if broken else "",
        )

    # In a thread, on SQLite too: it reads every entry.
    return await asyncio.to_thread(house.database.transact, person.workspace, verify, False)
