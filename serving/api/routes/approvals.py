"""Approvals: what waits for people, and their votes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from core.errors import InvalidInput
from core.states import ReviewStatus
from core.wire import ApprovalDetail, ApprovalSummary, Decide, DecidedView, Page
from engine.decisions import Decision
from ledger.database import Ledger
from serving.api.deps import Caller, Reader, RequestKey, Rooms
from serving.api.views import approval_detail, approval_summary

router = APIRouter(prefix="/api/v1/approvals", tags=["approvals"])


@router.get("")
async def queue(
    house: Rooms,
    person: Reader,
    status: Annotated[list[ReviewStatus] | None, Query()] = None,
    tool: Annotated[list[str] | None, Query()] = None,
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Page[ApprovalSummary]:
    """By due time, the next one first. `effect.reconcile` is the tool of what nobody knows whether it happened."""
    cursor = _cursor(after)

    def read(ledger: Ledger) -> Page[ApprovalSummary]:
        rows = ledger.reviews.queue(status=status or [ReviewStatus.OPEN], tools=tool or (), after=cursor, limit=limit)
        last = f"{rows[-1].due_at.isoformat()}~{rows[-1].id}" if len(rows) == limit else ""
        items = [approval_summary(house, ledger, row) for row in rows]
        return Page[ApprovalSummary](items=items, next=last, total=ledger.reviews.waiting())

    return await house.database.read(person.workspace, read)


def _cursor(after: str) -> tuple[datetime, str] | None:
    if not after:
        return None
    due, _, review = after.partition("~")
    try:
        return datetime.fromisoformat(due), review
    except ValueError as error:
        raise InvalidInput("That is no cursor of this list.", field="after", hint="Use `next` of a page.") from error


@router.get("/{approval_id}")
async def one(house: Rooms, person: Reader, approval_id: str) -> ApprovalDetail:
    """With everything that a person has to see; `seen` goes back with the decision."""
    return await house.database.read(
        person.workspace, lambda ledger: approval_detail(house, ledger, ledger.reviews.get(approval_id))
    )


@router.post("/{approval_id}/claim")
async def claim(house: Rooms, person: Caller, approval_id: str) -> ApprovalSummary:
    """Holds it for five minutes; again, to renew."""
    await house.desk.claim(person, approval_id)
    return await _summary(house, person, approval_id)


@router.post("/{approval_id}/release")
async def release(house: Rooms, person: Caller, approval_id: str) -> ApprovalSummary:
    await house.desk.release(person, approval_id)
    return await _summary(house, person, approval_id)


async def _summary(house: Rooms, person: Caller, approval_id: str) -> ApprovalSummary:
    return await house.database.read(
        person.workspace, lambda ledger: approval_summary(house, ledger, ledger.reviews.get(approval_id))
    )


@router.post("/{approval_id}/decide")
async def decide(house: Rooms, person: Caller, approval_id: str, body: Decide, key: RequestKey = None) -> DecidedView:
    """Casts a vote. The same key and decision again give the same answer."""
    decided = await house.desk.decide(person, approval_id, Decision.model_validate(body.model_dump()), key)
    return DecidedView(
        approval=decided.review_id,
        status=str(decided.status),
        action=decided.action_id,
        waiting_for=decided.waiting_for,
    )
