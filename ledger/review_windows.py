"""Windows over the queue of reviews: filtered, sorted, and read from any place of it in both directions.

A window is found by where its neighbour stands (due time and id), not by counting, so that what comes in or is decided
meanwhile moves nothing. Only a jump to a position counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, and_, exists, func, or_, text
from sqlmodel import Session, col, select

from core.errors import InvalidInput
from core.states import ReviewStatus
from ledger.desk_tables import EscalationRow
from ledger.tables import ActionRow, CaseRow, ReviewRow, VoteRow

_GREATEST = 2**53
_NO_MONEY = -1
"""Where it stands by amount: before all that moves some."""


@dataclass(frozen=True)
class Wanted:
    """Which reviews; what is empty does not narrow it."""

    status: tuple[str, ...] = (ReviewStatus.OPEN,)
    tools: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    case: str = ""
    subject: str = ""
    claimed_by: str = ""
    """Held by this person now."""
    voter: str = ""
    """This person could vote, as far as rows tell: with one of `voter_roles`, and no party to it."""
    voter_roles: frozenset[str] = frozenset()
    anybodys: tuple[str, ...] = ()
    """Tools of questions that whoever opened the case may answer too."""
    due_before: datetime | None = None
    least: int | None = None
    most: int | None = None
    currency: str = ""


class Place(NamedTuple):
    """Where a review stands in the order."""

    key: datetime | int
    id: str

    def __str__(self) -> str:
        key = self.key if isinstance(self.key, int) else self.key.isoformat()
        return f"{key}~{self.id}"


class Found(NamedTuple):
    review: ReviewRow
    action: ActionRow
    case: CaseRow


class Order(NamedTuple):
    """`due`, `opened` or `amount`, and which end comes first."""

    by: str
    falling: bool

    @property
    def key(self) -> Any:
        match self.by:
            case "opened":
                return col(ReviewRow.opened_at)
            case "amount":
                return func.coalesce(
                    ReviewRow.amount_minor, text(str(_NO_MONEY)), type_=BigInteger
                )  # as its index has it
            case _:
                return col(ReviewRow.due_at)

    def place(self, review: ReviewRow) -> Place:
        match self.by:
            case "opened":
                return Place(review.opened_at, review.id)
            case "amount":
                return Place(_NO_MONEY if review.amount_minor is None else review.amount_minor, review.id)
            case _:
                return Place(review.due_at, review.id)

    def read(self, cursor: str, field: str) -> Place | None:
        """Raises `InvalidInput` for what is no place in this order."""
        if not cursor:
            return None
        key, _, review = cursor.partition("~")
        try:
            if self.by == "amount":
                if abs(amount := int(key[:20])) > _GREATEST:
                    raise ValueError("more than there can be")
                return Place(amount, review)
            at = datetime.fromisoformat(key)
            if at.tzinfo is None:
                raise ValueError("a time without its offset")
            return Place(at, review)
        except ValueError as error:
            hint = "Use `next` or `prev` of a page that was sorted alike."
            raise InvalidInput("That is no cursor of this list.", field=field, hint=hint) from error

    def beyond(self, place: Place, *, back: bool) -> ColumnElement[bool]:
        """What follows a place, or comes before it."""
        rises = self.falling is back
        key, here = self.key, col(ReviewRow.id)
        if rises:  # the first comparison is for the index
            return and_(key >= place.key, or_(key > place.key, here > place.id))
        return and_(key <= place.key, or_(key < place.key, here < place.id))

    def by_it(self, *, back: bool) -> list[Any]:
        falls = self.falling is not back
        return [each.desc() if falls else each.asc() for each in (self.key, col(ReviewRow.id))]


class ReviewWindows:
    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    def page(
        self,
        wanted: Wanted,
        order: Order,
        *,
        after: Place | None = None,
        before: Place | None = None,
        at: int = 0,
        limit: int = 200,
    ) -> list[Found]:
        """So many, in order: after a place, before one, or from a position on."""
        back = before is not None and after is None
        ids = self._joined(select(ReviewRow.id), wanted).where(*self._which(wanted))
        if after is not None:
            ids = ids.where(order.beyond(after, back=False))
        if before is not None:
            ids = ids.where(order.beyond(before, back=True))
        some = ids.order_by(*order.by_it(back=back)).offset(at).limit(limit)
        found = select(ReviewRow, ActionRow, CaseRow)  # of those alone the rows are read
        found = found.join(ActionRow, col(ActionRow.id) == col(ReviewRow.action_id))
        found = found.join(CaseRow, col(CaseRow.id) == col(ReviewRow.case_id))
        found = found.where(col(ReviewRow.id).in_(list(self._session.exec(some))))
        rows = self._session.exec(found.order_by(*order.by_it(back=back)))
        read = [Found(*row) for row in rows]
        return read[::-1] if back else read

    def count(self, wanted: Wanted, order: Order | None = None, before: Place | None = None) -> int:
        """How many there are, or stand before a place."""
        found = self._joined(select(func.count()).select_from(ReviewRow), wanted).where(*self._which(wanted))
        if order is not None and before is not None:
            found = found.where(order.beyond(before, back=True))
        return int(self._session.exec(found).one())

    @staticmethod
    def _joined(found: Any, wanted: Wanted) -> Any:
        """With the tables that the filter asks."""
        if wanted.tools or wanted.voter:
            found = found.join(ActionRow, col(ActionRow.id) == col(ReviewRow.action_id))
        if wanted.kinds or wanted.subject or wanted.voter:
            found = found.join(CaseRow, col(CaseRow.id) == col(ReviewRow.case_id))
        return found

    def _which(self, wanted: Wanted) -> list[ColumnElement[bool]]:
        review, which = ReviewRow, list[ColumnElement[bool]]()
        for column, values in (
            (col(review.status), wanted.status),
            (col(review.id), wanted.ids),
            (col(ActionRow.tool), wanted.tools),
            (col(CaseRow.kind), wanted.kinds),
            (col(review.case_id), (wanted.case,) if wanted.case else ()),
            (col(CaseRow.subject), (wanted.subject,) if wanted.subject else ()),
            (col(review.currency), (wanted.currency,) if wanted.currency else ()),
        ):
            if values:
                which.append(column.in_(values))
        for word, names in (("group", wanted.groups), ("role", wanted.roles)):
            if names:
                which.append(or_(*(_asks(word, name) for name in names)))
        if wanted.claimed_by:
            which += [col(review.claimed_by) == wanted.claimed_by, col(review.claimed_until) > self._now]
        if wanted.due_before is not None:
            which.append(col(review.due_at) < wanted.due_before)
        if wanted.least is not None:
            which.append(col(review.amount_minor) >= wanted.least)
        if wanted.most is not None:
            which.append(col(review.amount_minor) <= wanted.most)
        return [*which, *(self._for(wanted) if wanted.voter else ())]

    def _for(self, wanted: Wanted) -> list[ColumnElement[bool]]:
        review, who = ReviewRow, wanted.voter
        voted = exists().where(col(VoteRow.review_id) == col(review.id), col(VoteRow.person) == who)
        passed = exists().where(
            col(EscalationRow.action_id) == col(review.action_id),
            col(EscalationRow.person) == who,
            col(EscalationRow.undone_at).is_(None),
        )
        held = and_(col(review.claimed_until) > self._now, col(review.claimed_by) != who)
        return [
            col(review.status) == ReviewStatus.OPEN,
            col(review.due_at) > self._now,
            or_(*(_asks("role", role) for role in sorted(wanted.voter_roles))) if wanted.voter_roles else _NEVER,
            or_(col(CaseRow.opened_by) != who, col(ActionRow.tool).in_(wanted.anybodys)),
            col(ActionRow.proposer) != who,
            ~voted,
            ~passed,
            or_(col(review.claimed_until).is_(None), ~held),
        ]


_NEVER = col(ReviewRow.id) == ""


def _asks(word: str, name: str) -> ColumnElement[bool]:
    return col(ReviewRow.asked_of).contains(f" {word}:{name} ", autoescape=True)
