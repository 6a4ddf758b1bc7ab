"""Decisions and what people said of them, as they were recorded: for those who try another policy on the past.

A ledger may hold years, so everything is read in pages by primary key, inside the caller's one transaction:
what is read first and what is read last are of the same moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, select
from sqlmodel import Session, col

from core.states import ReviewStatus
from ledger.columns import UtcTime
from ledger.prepared import Prepared
from ledger.tables import ActionRow, CaseRow, DecisionRow, ReviewRow, Row, RunRow, VoteRow

PAGE = 1_000
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
_MOST_EDITS = 50
"""More than people ever make of one action."""


class Voted(NamedTuple):
    roles: Sequence[str]
    dwell_s: int
    at: datetime


class Asked(NamedTuple):
    """One time that people were asked. `ended` and `edited_args` follow the edits to their end."""

    status: str
    reviewers: Sequence[dict[str, Any]]
    opened_at: datetime
    decided_at: datetime | None
    votes: Sequence[Voted]
    ended: str
    edited_args: dict[str, Any] | None


class Decided(NamedTuple):
    """The first decision on one effect, with its action and everything that people were asked about it."""

    id: int
    workspace: str
    action_id: str
    case_id: str
    subject: str
    kind: str
    tool: str
    schema_version: int
    args: dict[str, Any]
    proposer: str
    at: datetime
    verdict: str
    body: dict[str, Any]
    asked: Sequence[Asked]


class Ran(NamedTuple):
    """One run; `reserved` is the id of the decision that let it run, so it tells which decisions saw it."""

    workspace: str
    reserved: int
    case_id: str
    subject: str
    proposer: str
    tool: str
    args: dict[str, Any]
    status: str
    started_at: datetime
    finished_at: datetime | None


def _columns(row: type[Row]) -> Any:
    return row.__table__.c  # type: ignore[attr-defined]


_D, _A, _C, _R, _V = (_columns(row) for row in (DecisionRow, ActionRow, CaseRow, RunRow, VoteRow))
_REAL = _C.simulated.is_(False)
"""Nothing of a copy of a case is a record of what happened."""
_WINDOW = (
    _REAL,
    _D.stage == "gate",
    _A.kind == bindparam("kind"),
    _D.at >= bindparam("since", type_=UtcTime),
    _D.at < bindparam("until", type_=UtcTime),
)
_PAGE: Prepared[Any] = Prepared(
    select(
        *(_D.id, _D.workspace, _D.action_id, _A.case_id, _C.subject, _A.kind, _A.tool, _A.schema_version, _A.args),
        *(_A.proposer, _D.at, _D.verdict, _D.body),
    )
    .join_from(_D.id.table, _A.id.table, _A.id == _D.action_id)
    .join(_C.id.table, _C.id == _A.case_id)
    .where(_D.id > bindparam("after"), *_WINDOW)
    .order_by(_D.id)
    .limit(bindparam("many"))
)
_HOW_MANY: Prepared[int] = Prepared(
    select(func.count())
    .select_from(_D.id.table.join(_A.id.table, _A.id == _D.action_id).join(_C.id.table, _C.id == _A.case_id))
    .where(*_WINDOW)
)
_REVIEWS: Prepared[ReviewRow] = Prepared(
    select(ReviewRow)
    .where(col(ReviewRow.action_id).in_(bindparam("actions", expanding=True)))
    .order_by(col(ReviewRow.opened_at), col(ReviewRow.id))
)
_VOTES: Prepared[Any] = Prepared(
    select(_V.review_id, _V.roles, _V.dwell_s, _V.at)
    .where(_V.review_id.in_(bindparam("reviews", expanding=True)))
    .order_by(_V.id)
)
_ARGS: Prepared[Any] = Prepared(select(_A.id, _A.args).where(_A.id.in_(bindparam("actions", expanding=True))))
_LET_RUN = (
    select(_D.action_id, func.max(_D.id).label("reserved"))
    .where(_D.stage == "execute")
    .group_by(_D.action_id)
    .subquery()
    .c
)
_RUNS: Prepared[Any] = Prepared(
    select(
        *(_R.workspace, _LET_RUN.reserved, _R.case_id, _R.subject, _R.proposer, _R.tool, _A.args),
        *(_R.status, _R.started_at, _R.finished_at),
    )
    .join_from(_R.action_id.table, _A.id.table, _A.id == _R.action_id)
    .join(_LET_RUN.reserved.table, _LET_RUN.action_id == _R.action_id)
    .where(
        _R.simulated.is_(False),
        _R.tool.in_(bindparam("tools", expanding=True)),
        _R.started_at > bindparam("since", type_=UtcTime),
    )
    .order_by(_LET_RUN.reserved)
)


def how_many(session: Session, kind: str, *, since: datetime | None = None, until: datetime | None = None) -> int:
    """At least as many decisions as `decisions` gives: an action that was proposed again counts again here."""
    return _HOW_MANY.first(session, kind=kind, since=since or _FIRST, until=until or _LAST) or 0


def decisions(
    session: Session, kind: str, *, since: datetime | None = None, until: datetime | None = None, page: int = PAGE
) -> Iterator[Decided]:
    """The first decision on each effect of a kind, of `since` and later, before `until`, in their order."""
    window = {"kind": kind, "since": since or _FIRST, "until": until or _LAST, "many": page}
    after, seen = 0, set[str]()
    while rows := _PAGE.all(session, after=after, **window):
        after = rows[-1].id
        fresh: dict[str, Any] = {}
        for row in rows:
            if row.action_id not in seen:
                seen.add(row.action_id)
                fresh[row.action_id] = row
        asked = _asked(session, list(fresh))
        for row in fresh.values():
            yield Decided._make((*row, asked.get(row.action_id, ())))


def _asked(session: Session, actions: Sequence[str]) -> dict[str, list[Asked]]:
    """What people were asked about these actions, each with what came of its edits."""
    rows = _by_action(session, actions)
    edits, frontier = dict(rows), [row.edited_to for found in rows.values() for row in found if row.edited_to]
    for _ in range(_MOST_EDITS):
        if not frontier:
            break
        more = _by_action(session, frontier)
        edits |= more
        frontier = [row.edited_to for found in more.values() for row in found if row.edited_to]
    reviews = [row.id for found in rows.values() for row in found]
    votes: dict[str, list[Voted]] = {}
    for review_id, *vote in _VOTES.all(session, reviews=reviews) if reviews else ():
        votes.setdefault(review_id, []).append(Voted._make(vote))
    ends = {row.id: _end(row, edits) for found in rows.values() for row in found}
    wanted = sorted({action for action, _ in ends.values() if action})
    args = dict(_ARGS.all(session, actions=wanted)) if wanted else {}
    return {
        action: [
            Asked(
                row.status,
                row.reviewers,
                row.opened_at,
                row.decided_at,
                votes.get(row.id, ()),
                ends[row.id][1],
                args.get(ends[row.id][0]),
            )
            for row in found
        ]
        for action, found in rows.items()
    }


def _by_action(session: Session, actions: Sequence[str]) -> dict[str, list[ReviewRow]]:
    found: dict[str, list[ReviewRow]] = {}
    for row in _REVIEWS.all(session, actions=list(actions)):
        found.setdefault(row.action_id, []).append(row)
    return found


def _end(row: ReviewRow, edits: dict[str, list[ReviewRow]]) -> tuple[str, str]:
    """The action that the last edit made, and what people said of it; its editor, where policy asked nobody else."""
    action = ""
    for _ in range(_MOST_EDITS):
        if not row.edited_to:
            break
        action = row.edited_to
        following = edits.get(action)
        if not following:
            return action, ReviewStatus.APPROVED.value
        row = following[-1]
    return action, str(row.status)


def runs(session: Session, tools: Sequence[str], *, since: datetime | None = None) -> Iterator[Ran]:
    """The runs of these tools that began after `since`, in the order in which they were let run."""
    for row in _RUNS.all(session, tools=list(tools), since=since or _FIRST):
        yield Ran(*row)
