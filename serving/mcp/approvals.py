"""The queue of approvals as MCP tools. A vote is the caller's, under the same checks as at the desk."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from core.actions import Effect
from core.people import Permission, Person, require
from core.wire import ApprovalSummary
from core.wire_approvals import ApprovalDetail, ApprovalPage, Claimed, DecidedView, QueueAsked
from core.wire_approvals import Decide as DecideBody
from serving.api.routes import approvals as routes
from serving.api.views import approval_detail
from serving.house import House
from serving.mcp.offer import Asked, Key, Offer, Told

ApprovalId = Annotated[str, Field(min_length=1, max_length=64, description="Such as rev_01k3…")]


class One(Asked):
    approval_id: ApprovalId


class Which(QueueAsked):
    limit: int = Field(default=20, ge=1, le=100)


class Decide(DecideBody):
    """A vote, words instead of one, or the question passed on."""

    approval_id: ApprovalId
    key: Annotated[Key, Field(description="The same key and decision again cast no second vote.")] = ""


async def look(house: House, person: Person, approval_id: str) -> ApprovalDetail:
    require(person, Permission.READ)
    return await house.database.read(
        person.workspace, lambda ledger: approval_detail(house, ledger, ledger.reviews.get(approval_id))
    )


async def _look(house: House, person: Person, asked: One, _told: Told) -> ApprovalDetail:
    return await look(house, person, asked.approval_id)


async def _list(house: House, person: Person, asked: Which, _told: Told) -> ApprovalPage:
    require(person, Permission.READ)
    return await routes.queue(house, person, asked)


async def _claim(house: House, person: Person, asked: One, _told: Told) -> Claimed:
    return await routes.claim(house, person, asked.approval_id)


async def _release(house: House, person: Person, asked: One, _told: Told) -> ApprovalSummary:
    return await routes.release(house, person, asked.approval_id)


async def _decide(house: House, person: Person, asked: Decide, _told: Told) -> DecidedView:
    body = DecideBody.model_validate(asked.model_dump(exclude={"approval_id", "key"}))
    return await routes.decide(house, person, asked.approval_id, body, asked.key or None)


OFFERS: tuple[Offer[Any], ...] = (
    Offer(
        "list_approvals",
        "List what waits for people",
        "Approvals by due time, the next one first.",
        Which,
        ApprovalPage,
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
        Claimed,
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
        "Casts the vote of whoever is signed in: approve, reject with a reason_code, edit with other args, respond "
        "with a note for the agent, or escalate. `seen` is get_approval's. Only a person whose role policy asks for "
        "may, and never on what they proposed or opened. Ask the person first, and show them what get_approval shows.",
        Decide,
        DecidedView,
        Effect.IRREVERSIBLE,
        Permission.DECIDE,
        _decide,
        idempotent=False,
    ),
)
