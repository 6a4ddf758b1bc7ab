"""The queue of approvals as MCP tools. A vote is the caller's, under the same checks as at the desk."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from core.actions import JSON, Effect
from core.people import Permission, Person, require
from core.states import ReviewStatus
from core.wire import ApprovalDetail, ApprovalSummary, DecidedView, Page
from engine.decisions import Choice, Decision
from ledger.database import Ledger
from serving.api.views import approval_detail, approval_summary
from serving.house import House
from serving.mcp.offer import Asked, Key, Offer, Told

ApprovalId = Annotated[str, Field(min_length=1, max_length=64, description="Such as rev_01k3…")]


class One(Asked):
    approval_id: ApprovalId


class Which(Asked):
    status: tuple[ReviewStatus, ...] = (ReviewStatus.OPEN,)
    tool: Annotated[tuple[str, ...], Field(max_length=20)] = ()
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class Decide(Asked):
    approval_id: ApprovalId
    choice: Literal["approve", "reject", "edit"]
    seen: Annotated[str, Field(max_length=64, description="`seen` of get_approval: what you have looked at.")]
    reason_code: Annotated[str, Field(max_length=64, description="Why it is rejected, such as wrong_amount.")] = ""
    note: Annotated[str, Field(max_length=4000)] = ""
    args: Annotated[dict[str, JSON] | None, Field(description="With edit: the arguments as they should be.")] = None
    key: Annotated[Key, Field(description="The same key and decision again cast no second vote.")] = ""


async def look(house: House, person: Person, approval_id: str) -> ApprovalDetail:
    require(person, Permission.READ)
    return await house.database.read(
        person.workspace, lambda ledger: approval_detail(house, ledger, ledger.reviews.get(approval_id))
    )


async def _look(house: House, person: Person, asked: One, _told: Told) -> ApprovalDetail:
    return await look(house, person, asked.approval_id)


async def _list(house: House, person: Person, asked: Which, _told: Told) -> Page[ApprovalSummary]:
    require(person, Permission.READ)

    def read(ledger: Ledger) -> Page[ApprovalSummary]:
        rows = ledger.reviews.queue(status=asked.status, tools=asked.tool, after=None, limit=asked.limit)
        items = [approval_summary(house, ledger, row) for row in rows]
        return Page[ApprovalSummary](items=items, total=ledger.reviews.waiting())

    return await house.database.read(person.workspace, read)


async def _summary(house: House, person: Person, approval_id: str) -> ApprovalSummary:
    return await house.database.read(
        person.workspace, lambda ledger: approval_summary(house, ledger, ledger.reviews.get(approval_id))
    )


async def _claim(house: House, person: Person, asked: One, _told: Told) -> ApprovalSummary:
    await house.desk.claim(person, asked.approval_id)
    return await _summary(house, person, asked.approval_id)


async def _release(house: House, person: Person, asked: One, _told: Told) -> ApprovalSummary:
    await house.desk.release(person, asked.approval_id)
    return await _summary(house, person, asked.approval_id)


async def _decide(house: House, person: Person, asked: Decide, _told: Told) -> DecidedView:
    decision = Decision(
        choice=Choice(asked.choice),
        seen=asked.seen,
        reason_code=asked.reason_code,
        note=asked.note,
        args=asked.args,
    )
    decided = await house.desk.decide(person, asked.approval_id, decision, asked.key or None)
    return DecidedView(
        approval=decided.review_id,
        status=str(decided.status),
        action=decided.action_id,
        waiting_for=decided.waiting_for,
    )


OFFERS: tuple[Offer[Any], ...] = (
    Offer(
        "list_approvals",
        "List what waits for people",
        "Approvals by due time, the next one first.",
        Which,
        Page[ApprovalSummary],
        Effect.READ,
        Permission.READ,
        _list,
    ),
    Offer(
        "get_approval",
        "Look at an approval",
        "What is asked, why policy asks, the evidence and the facts. `seen` goes back with a decision.",
        One,
        ApprovalDetail,
        Effect.READ,
        Permission.READ,
        _look,
    ),
    Offer(
        "claim_approval",
        "Take an approval to look at",
        "Holds it for five minutes, so that nobody else decides it meanwhile; again, to renew.",
        One,
        ApprovalSummary,
        Effect.REVERSIBLE,
        Permission.CLAIM,
        _claim,
    ),
    Offer(
        "release_approval",
        "Give an approval back",
        "Others may take it again.",
        One,
        ApprovalSummary,
        Effect.REVERSIBLE,
        Permission.CLAIM,
        _release,
        idempotent=False,
    ),
    Offer(
        "decide_approval",
        "Vote on an approval",
        "Casts the vote of whoever is signed in. Only a person whose role policy asks for may, and never on what they "
        "proposed or opened. It can't be taken back: ask the person first, and show them what get_approval shows.",
        Decide,
        DecidedView,
        Effect.IRREVERSIBLE,
        Permission.DECIDE,
        _decide,
        idempotent=False,
    ),
)
