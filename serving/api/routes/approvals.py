"""Approvals: what waits for people, and their votes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from core.errors import CountersignError, InvalidInput, NotFound
from core.people import Permission, Person, require
from core.wire import ApprovalSummary, Problem
from core.wire_approvals import (
    ApprovalBatch,
    ApprovalBatchDone,
    ApprovalBatchItem,
    ApprovalDetail,
    ApprovalPage,
    BatchOne,
    ClaimAgain,
    Claimed,
    Decide,
    DecidedView,
    QueueAsked,
    QueueFilter,
    ReasonCodes,
    SavedFilters,
    SavedFilterView,
    SaveFilter,
)
from engine.decisions import Choice, Decided, Decision
from engine.in_batch import require_fit
from ledger.database import Ledger
from ledger.desk_tables import SavedFilterRow
from ledger.desk_work import SHARED
from ledger.tables import ReviewRow
from serving.api.deps import Caller, Reader, RequestKey, Rooms
from serving.api.etags import UNCHANGED, IfMatch, IfNoneMatch, tagged, versions
from serving.api.keyed import KeyedRoute
from serving.api.queue import window
from serving.api.views import approval_detail, approval_summary, reason_codes
from serving.house import House

router = APIRouter(prefix="/api/v1/approvals", tags=["approvals"], route_class=KeyedRoute)

FilterName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Shared = Annotated[bool, Query(description="The filter that all share, and not one's own.")]


@router.get("")
async def queue(house: Rooms, person: Reader, asked: Annotated[QueueAsked, Query()]) -> ApprovalPage:
    """A window over the approvals, by due time if nothing else is asked for, the next one first.

    `effect.reconcile` is the tool of what nobody knows whether it happened.
    """
    return await house.database.read(person.workspace, lambda ledger: window(house, ledger, person, asked))


@router.get("/reasons")
async def reasons(house: Rooms, person: Reader, kind: Annotated[str, Query(max_length=64)]) -> ReasonCodes:
    """The codes with which an action of a kind may be rejected, and their words."""
    if kind not in house.kinds:
        raise NotFound(f"There is no kind '{kind[:60]}'.", hint=f"There are: {', '.join(house.kinds)}.")
    return ReasonCodes(kind=kind, codes=dict(reason_codes(house, kind)))


# saved filters


@router.get("/filters")
async def filters(house: Rooms, person: Reader) -> SavedFilters:
    """One's own, then those that all share."""

    def read(ledger: Ledger) -> SavedFilters:
        return SavedFilters(items=[_filter(row) for row in ledger.desk_work.filters(person.id)])

    return await house.database.read(person.workspace, read)


@router.put("/filters/{name}", responses={201: {"description": "It is new.", "model": SavedFilterView}})
async def save_filter(
    house: Rooms, person: Reader, name: FilterName, body: SaveFilter, response: Response
) -> SavedFilterView:
    """Keeps a filter under a name, in the place of the one that has it."""
    owner = _owner(person, body.shared)

    def save(ledger: Ledger) -> tuple[SavedFilterView, bool]:
        wanted = body.wanted.model_dump(mode="json", exclude_unset=True)
        row, new = ledger.desk_work.save_filter(owner, name, wanted, person.id)
        if body.shared:
            ledger.audit.append("filter.shared", {"name": name, "by": person.id, "wanted": wanted})
        return _filter(row), new

    found, new = await house.database.write(person.workspace, save)
    response.status_code = 201 if new else 200
    return found


@router.delete("/filters/{name}", status_code=204)
async def drop_filter(house: Rooms, person: Reader, name: FilterName, shared: Shared = False) -> None:
    owner = _owner(person, shared)
    await house.database.write(person.workspace, lambda ledger: ledger.desk_work.drop_filter(owner, name))


def _owner(person: Person, shared: bool) -> str:
    if shared:
        require(person, Permission.OPERATE)
    return SHARED if shared else person.id


def _filter(row: SavedFilterRow) -> SavedFilterView:
    return SavedFilterView(
        name=row.name,
        wanted=QueueFilter.model_validate(row.wanted),
        shared=row.owner == SHARED,
        saved_by=row.saved_by,
        saved_at=row.saved_at,
    )


# many at once


@router.post("/batch")
async def batch(house: Rooms, person: Caller, body: ApprovalBatch) -> ApprovalBatchDone:
    """One thing with up to 100 approvals, each for itself: one that is refused holds up no other.

    Nothing that moves money, or can't be taken back, is approved here.
    """
    seen: set[str] = set()
    items = []
    for one_of in body.items:
        items.append(await _one_of(house, person, body, one_of, twice=one_of.id in seen))
        seen.add(one_of.id)
    return ApprovalBatchDone(items=items, refused=sum(item.problem is not None for item in items))


async def _one_of(
    house: House, person: Person, body: ApprovalBatch, item: BatchOne, *, twice: bool
) -> ApprovalBatchItem:
    try:
        if twice:
            raise InvalidInput("It stands in this batch twice.", field="items", hint="Name each one once.")
        match body.do:
            case "claim":
                row = await house.desk.claim(person, item.id)
                found = await _summary(house, person, item.id)
                return ApprovalBatchItem(id=item.id, status=200, approval=found, claim=row.claim_token)
            case "release":
                await house.desk.release(person, item.id)
                return ApprovalBatchItem(id=item.id, status=200, approval=await _summary(house, person, item.id))
            case _:
                decided = await _decide_one(house, person, body, item)
                return ApprovalBatchItem(id=item.id, status=200, decided=_decided(decided))
    except CountersignError as error:
        return ApprovalBatchItem(id=item.id, status=error.status, problem=Problem.model_validate(error.problem()))


async def _decide_one(house: House, person: Person, body: ApprovalBatch, item: BatchOne) -> Decided:
    require(person, Permission.DECIDE)
    choice = Choice(body.do)
    review = await _known_code(house, person, item.id, choice, body.reason_code)
    action = await house.database.read(person.workspace, lambda ledger: ledger.effects.action(review.action_id))
    require_fit(action, choice, house.tools.specs())
    decision = Decision(choice=choice, seen=item.seen, reason_code=body.reason_code, note=body.note, to=body.to)
    return await house.desk.decide(person, item.id, decision)


# one


@router.get("/{approval_id}", response_model=ApprovalDetail, responses=UNCHANGED)
async def one(house: Rooms, person: Reader, approval_id: str, if_none_match: IfNoneMatch = None) -> Response:
    """With everything that a person has to see; `seen` goes back with the decision."""

    def read(ledger: Ledger) -> tuple[ApprovalDetail, int]:
        review = ledger.reviews.get(approval_id)
        return approval_detail(house, ledger, review), review.version

    return tagged(*await house.database.read(person.workspace, read), if_none_match)


@router.post("/{approval_id}/claim")
async def claim(house: Rooms, person: Caller, approval_id: str, body: ClaimAgain | None = None) -> Claimed:
    """Holds it for five minutes; again, to renew, as long as its person is at work on it."""
    row = await house.desk.claim(person, approval_id, body.claim if body else "")
    found = await _summary(house, person, approval_id)
    return Claimed(**found.model_dump(), claim=row.claim_token)


@router.post("/{approval_id}/release")
async def release(house: Rooms, person: Caller, approval_id: str) -> ApprovalSummary:
    """Lets go of it."""
    await house.desk.release(person, approval_id)
    return await _summary(house, person, approval_id)


@router.post("/{approval_id}/decide")
async def decide(
    house: Rooms, person: Caller, approval_id: str, body: Decide, key: RequestKey = None, if_match: IfMatch = None
) -> DecidedView:
    """Casts a vote, answers with words, or passes the question on. The same key and decision give the same answer."""
    choice = Choice(body.choice)
    require(person, Permission.DECIDE)
    await _known_code(house, person, approval_id, choice, body.reason_code)
    decision = Decision(**body.model_dump(), versions=versions(if_match))
    return _decided(await house.desk.decide(person, approval_id, decision, key))


@router.post("/{approval_id}/undo")
async def undo(house: Rooms, person: Caller, approval_id: str) -> DecidedView:
    """Takes back what one decided, while its effect waits. `approval` is the question that is open now."""
    return _decided(await house.desk.undo(person, approval_id))


async def _known_code(house: House, person: Person, approval_id: str, choice: Choice, code: str) -> ReviewRow:
    """The approval. Raises `InvalidInput` where its kind knows no such reason."""

    def look(ledger: Ledger) -> tuple[ReviewRow, str]:
        review = ledger.reviews.get(approval_id)
        return review, ledger.cases.get(review.case_id).kind

    review, kind = await house.database.read(person.workspace, look)
    known = reason_codes(house, kind)
    if choice is Choice.REJECT and code and code not in known:
        raise InvalidInput(
            f"'{code[:64]}' is no reason here.", field="reason_code", hint=f"There are: {', '.join(known)}."
        )
    return review


async def _summary(house: House, person: Person, approval_id: str) -> ApprovalSummary:
    return await house.database.read(
        person.workspace, lambda ledger: approval_summary(house, ledger, ledger.reviews.get(approval_id))
    )


def _decided(decided: Decided) -> DecidedView:
    return DecidedView(
        approval=decided.review_id,
        status=str(decided.status),
        action=decided.action_id,
        waiting_for=decided.waiting_for,
    )
