"""The figures of a run: how many cases ended how, who is waited for and why, what it cost, how long it took."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, select

from core.money import Money
from core.states import CaseStatus, ReviewStatus
from ledger.tables import CaseRow, CostRow, DecisionRow, ReviewRow, TraceRow, VoteRow

_BEGUN = "plan.written"
"""The first thing that a segment writes: before it, the case waited in the queue."""


class Why(BaseModel):
    """A rule that asked for people, and in how many of the cases."""

    rule: str
    reason: str
    cases: int


class Waiting(BaseModel):
    """Cases that wait for the same people."""

    groups: str
    """`desk`, or `desk and finance` where both have to agree."""
    cases: int
    due_at: datetime
    """When the first of them is due."""
    why: list[Why]
    """The most frequent first; a case may be there for several reasons."""


class CostLine(BaseModel):
    """One component in one currency."""

    component: str
    closed: Money
    """Of closed cases, summed exactly."""
    unfinished: Money
    """Of the others, so far."""


class Spread(BaseModel):
    """Durations in seconds; zero where there is none to tell."""

    p50: float = 0.0
    p95: float = 0.0
    most: float = 0.0

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """Nearest rank: each figure is one that was measured."""
        if not seconds:
            return cls()
        ranked = sorted(seconds)
        rank = {p: -(-len(ranked) * p // 100) - 1 for p in (50, 95)}
        return cls(p50=ranked[rank[50]], p95=ranked[rank[95]], most=ranked[-1])


class Figures(BaseModel):
    cases: int
    by_status: dict[str, int]
    outcomes: dict[str, int]
    """Of closed cases, the most frequent first."""
    unattended: dict[str, int]
    """The same, of those that no person decided anything in."""
    waiting: list[Waiting]
    costs: list[CostLine]
    cycle: Spread
    """From request to closed."""
    queued: Spread
    """From request to the first plan, over all cases."""
    cycle_s: list[float]

    @property
    def closed(self) -> int:
        return self.by_status.get(CaseStatus.CLOSED, 0)

    @property
    def alone(self) -> int:
        """Closed without a person."""
        return sum(self.unattended.values())

    @property
    def parked(self) -> int:
        """Cases that wait for people."""
        return sum(each.cases for each in self.waiting)


def figures(session: Session, since: datetime | None = None, until: datetime | None = None) -> Figures:
    """Over all cases of the session's workspace, without copies of cases; or over those opened in a window."""
    counts = _counts(since, until)
    found = select(CaseRow.id, CaseRow.status, CaseRow.outcome, CaseRow.opened_at)
    cases = list(session.exec(found.where(*counts)))
    decided = set(session.exec(select(ReviewRow.case_id).join(VoteRow, col(VoteRow.review_id) == col(ReviewRow.id))))
    closed = [(case, outcome) for case, status, outcome, _ in cases if status == CaseStatus.CLOSED]
    ended = select(CaseRow.opened_at, CaseRow.closed_at).where(CaseRow.status == CaseStatus.CLOSED, *counts)
    cycle = [(then - opened).total_seconds() for opened, then in session.exec(ended) if then is not None]
    return Figures(
        cases=len(cases),
        by_status=_counted(status for _, status, _, _ in cases),
        outcomes=_counted(outcome for _, outcome in closed),
        unattended=_counted(outcome for case, outcome in closed if case not in decided),
        waiting=_waiting(session, counts),
        costs=_costs(session, {case for case, _ in closed}, {case for case, _, _, _ in cases}),
        cycle=Spread.of(cycle),
        queued=_queued(session, {case: opened for case, _, _, opened in cases}),
        cycle_s=sorted(cycle),
    )


def _counts(since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    """Which cases do."""
    found: list[ColumnElement[bool]] = [col(CaseRow.simulated).is_(False)]
    if since is not None:
        found.append(col(CaseRow.opened_at) >= since)
    if until is not None:
        found.append(col(CaseRow.opened_at) < until)
    return found


def _counted(words: Iterable[object]) -> dict[str, int]:
    return dict(Counter(str(word) for word in words).most_common())


def _waiting(session: Session, counts: list[ColumnElement[bool]]) -> list[Waiting]:
    """Each case once, by the first of its open questions."""
    found = (
        select(ReviewRow)
        .join(CaseRow, col(CaseRow.id) == col(ReviewRow.case_id))
        .where(ReviewRow.status == ReviewStatus.OPEN, *counts)
        .order_by(col(ReviewRow.id))
    )
    first: dict[str, ReviewRow] = {}
    for review in session.exec(found):
        first.setdefault(review.case_id, review)
    rules = _rules(session)
    alike: dict[str, list[ReviewRow]] = defaultdict(list)
    for review in first.values():
        alike[" and ".join(sorted({str(each["group"]) for each in review.reviewers}))].append(review)
    rows = []
    for groups, reviews in alike.items():
        why = Counter(each for review in reviews for each in rules.get(review.action_id, {("", review.reason)}))
        rows.append(
            Waiting(
                groups=groups,
                cases=len(reviews),
                due_at=min(review.due_at for review in reviews),
                why=[Why(rule=rule, reason=reason, cases=many) for (rule, reason), many in why.most_common()],
            )
        )
    return sorted(rows, key=lambda row: -row.cases)


def _rules(session: Session) -> dict[str, set[tuple[str, str]]]:
    """Action to the rules by which policy wants people for it; none for questions of the house's own."""
    found = (
        select(DecisionRow.action_id, DecisionRow.body)
        .join(ReviewRow, col(ReviewRow.action_id) == col(DecisionRow.action_id))
        .where(ReviewRow.status == ReviewStatus.OPEN)
        .order_by(col(DecisionRow.id))
    )
    return {
        action: {
            (str(match["rule"]), str(match["reason"]))
            for match in body["matches"]
            if match["decides"] == "review" and not match["monitor"]
        }
        for action, body in session.exec(found)
    }


def _costs(session: Session, closed: set[str], counted: set[str]) -> list[CostLine]:
    found = select(CostRow.component, CostRow.currency, CostRow.case_id, func.sum(CostRow.amount_minor))
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for component, currency, case, minor in session.exec(
        found.group_by(CostRow.component, CostRow.currency, CostRow.case_id)
    ):
        if case in counted:
            sums[component, currency][case not in closed] += int(minor)
    return [
        CostLine(
            component=component,
            closed=Money(amount_minor=done, currency=currency),
            unfinished=Money(amount_minor=so_far, currency=currency),
        )
        for (component, currency), (done, so_far) in sorted(sums.items())
    ]


def _queued(session: Session, opened: dict[str, datetime]) -> Spread:
    begun = select(TraceRow.case_id, func.min(TraceRow.at)).where(TraceRow.type == _BEGUN).group_by(TraceRow.case_id)
    return Spread.of(
        [(at - opened[case]).total_seconds() for case, at in session.exec(begun) if case in opened and at is not None]
    )
