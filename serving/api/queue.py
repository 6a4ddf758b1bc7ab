"""The approvals queue as pages: a window found in the ledger, narrowed by what only code can tell, and counted."""

from __future__ import annotations

from typing import NamedTuple

from core.errors import Conflict, InvalidInput
from core.people import Person
from core.states import ReviewStatus
from core.wire_approvals import ApprovalPage, QueueAsked, QueueFilter
from engine import incidents
from engine.votes import barred
from ledger.database import Ledger
from ledger.review_windows import Found, Order, Place, ReviewWindows, Wanted
from serving.api.views import approval_summary
from serving.house import House

_LOOKED_THROUGH = 5_000
"""Of so many approvals one request looks for a text; `next` goes on from there."""


class _Window(NamedTuple):
    rows: list[Found]
    next: str
    prev: str


def window(house: House, ledger: Ledger, person: Person, asked: QueueAsked) -> ApprovalPage:
    """Raises `InvalidInput` for a cursor of another list, `NotFound` for a filter that is not there."""
    if asked.filter:
        saved = ledger.desk_work.filter(person.id, asked.filter)
        given = asked.model_dump(exclude_unset=True)
        asked = QueueAsked.model_validate({**saved.wanted, **given})
    order = Order(asked.sort.removeprefix("-"), asked.sort.startswith("-"))
    after, before = order.read(asked.after, "after"), order.read(asked.before, "before")
    if sum(map(bool, (asked.after, asked.before, asked.at))) > 1:
        raise InvalidInput("A window begins at one place.", field="after", hint="Send one of after, before and at.")
    windows, wanted = ledger.desk_work.windows, wanted_by(person, asked)
    if asked.text:
        found = _searched(windows, wanted, order, after, before, asked)
    else:
        found = _read(windows, wanted, order, after, before, asked)
    rows = found.rows
    if asked.for_me:
        rows = [row for row in rows if _no_party(ledger, person, row)]
    total = position = None
    if asked.counted and not asked.text:
        total = windows.count(wanted)
        position = windows.count(wanted, order, order.place(found.rows[0].review)) if found.rows else None
    items = [approval_summary(house, ledger, row.review, row.action, row.case) for row in rows]
    return ApprovalPage(items=items, next=found.next, prev=found.prev, total=total, position=position)


def _no_party(ledger: Ledger, person: Person, row: Found) -> bool:
    """What no query can tell: whom the arguments name, and who holds tokens of whom."""
    try:
        return person.id not in barred(ledger, ledger.effects.proposed(row.action))
    except Conflict:  # it is not the action that was proposed: nobody decides it
        return False


def wanted_by(person: Person, asked: QueueFilter) -> Wanted:
    ids = tuple(asked.id) if isinstance(asked, QueueAsked) else ()
    # Whoever names single ones wants to see what became of them.
    status = tuple(map(str, asked.status)) or (() if ids else (ReviewStatus.OPEN,))
    return Wanted(
        status=status,
        tools=tuple(asked.tool),
        kinds=tuple(asked.kind),
        groups=tuple(asked.group),
        roles=tuple(asked.role),
        ids=ids,
        case=asked.case,
        subject=asked.subject,
        claimed_by=person.id if asked.mine else "",
        voter=person.id if asked.for_me else "",
        voter_roles=person.roles,
        anybodys=tuple(sorted(incidents.QUESTIONS)),
        due_before=asked.due_before,
        least=asked.least,
        most=asked.most,
        currency=asked.currency,
    )


def _read(
    windows: ReviewWindows, wanted: Wanted, order: Order, after: Place | None, before: Place | None, asked: QueueAsked
) -> _Window:
    rows = windows.page(wanted, order, after=after, before=before, at=asked.at, limit=asked.limit)
    if not rows:
        return _Window([], "", "")
    first, last = (str(order.place(row.review)) for row in (rows[0], rows[-1]))
    full = len(rows) == asked.limit
    goes_on = before is not None or full
    began_later = after is not None or asked.at > 0 or (before is not None and full)
    return _Window(rows, last if goes_on else "", first if began_later else "")


def _searched(
    windows: ReviewWindows, wanted: Wanted, order: Order, after: Place | None, before: Place | None, asked: QueueAsked
) -> _Window:
    """What an action would do is stored sealed, so no index finds a text in it: it is read, so much at a time."""
    if before is not None or asked.at:
        raise InvalidInput("A text is searched for from the front.", field="text", hint="Go on with `next`.")
    words, found, looked = asked.text.casefold(), list[Found](), 0
    place, ends = after, False
    while not ends and len(found) < asked.limit and looked < _LOOKED_THROUGH:
        rows = windows.page(wanted, order, after=place, limit=500)
        ends, looked = len(rows) < 500, looked + len(rows)
        for row in rows:
            place = order.place(row.review)
            if words in row.action.described.casefold():
                found.append(row)
                if len(found) == asked.limit:
                    ends = False
                    break
    return _Window(found, "" if ends or place is None else str(place), "")
