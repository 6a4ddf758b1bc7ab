"""Adds decisions up by case: sums that every figure of a backtest is made of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.actions import JSON, ToolSpec
from core.money import Money
from core.states import ReviewStatus
from core.verdicts import ReviewerSet
from policies.backtest.records import Asked, Recorded
from policies.backtest.replay import Replayed
from policies.backtest.resampling import Sums
from policies.book import Book

Key = tuple[str, ...]
"""What is summed, and of what: `("automatic", "USD", "approved")` is minor units."""

REFUSED = (ReviewStatus.REJECTED.value, ReviewStatus.EXPIRED.value)
UNANSWERED = "nobody yet"
NOT_ASKED = "nobody was asked"
_DECIDED = (ReviewStatus.APPROVED, ReviewStatus.REJECTED, ReviewStatus.EDITED)


@dataclass(frozen=True)
class Changed:
    """One decision that comes out otherwise."""

    case_id: str
    tool: str
    at: datetime
    then: str
    now: str
    rules_then: tuple[str, ...]
    rules_now: tuple[str, ...]
    spent: Money | None
    answer: str
    """What people had said; empty where nobody was asked."""


@dataclass
class _Case:
    sums: Sums[Key] = field(default_factory=Sums)
    asked_then: bool = False
    asked_now: bool = False
    whole: bool = True
    """All of its decisions could be replayed."""


@dataclass
class Tally:
    """`new` is the book that is tried; its deadlines are held against how long people took."""

    new: Book
    cases: dict[str, _Case] = field(default_factory=lambda: defaultdict(_Case))
    matrix: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    other_reviewers: int = 0
    changed: list[Changed] = field(default_factory=list)

    def lost(self, record: Recorded) -> None:
        """A decision that could not be replayed. What people did with it counts all the same."""
        case = self.cases[record.case_id]
        case.whole = False
        self._people(case.sums, record)

    def add(self, record: Recorded, now: Replayed) -> None:
        case = self.cases[record.case_id]
        sums = case.sums
        then = [ReviewerSet.model_validate(each) for each in record.body.get("reviewers", ())]
        case.asked_then |= record.verdict == "review"
        case.asked_now |= now.verdict == "review"
        self.matrix[record.tool][record.verdict, now.verdict] += 1
        sums["decisions",] += 1
        sums["allowed then",] += record.verdict == "allow"
        sums["allowed now",] += now.verdict == "allow"
        self._reviews(sums, "then", then)
        self._reviews(sums, "now", now.reviewers)
        self._people(sums, record)
        same_people = {each.group: each.people for each in then} == {each.group: each.people for each in now.reviewers}
        if record.verdict == now.verdict and same_people:
            return
        self.other_reviewers += record.verdict == now.verdict
        sums["changed",] += 1
        answer = answered(record)
        if record.verdict != now.verdict:
            self._money(sums, record, now, answer)
        self.changed.append(
            Changed(
                *(
                    record.case_id,
                    record.tool,
                    record.at,
                    _said(record.verdict, then),
                    _said(now.verdict, now.reviewers),
                ),
                tuple(_enforced(record)),
                *(now.rules, now.spent, "" if answer == NOT_ASKED else answer),
            )
        )

    def _reviews(self, sums: Sums[Key], when: str, asked: Sequence[ReviewerSet]) -> None:
        if not asked:
            return
        sums["reviews", when] += 1
        sums["due", when, together(each.group for each in asked)] += 1
        for each in asked:
            sums["seats", when, each.group] += each.people

    def _people(self, sums: Sums[Key], record: Recorded) -> None:
        """How long people took, and whether they would have kept the deadlines of then and of now."""
        for asked in record.asked:
            groups = {str(each["group"]): str(each["role"]) for each in asked.reviewers}
            for vote in asked.votes:
                group = next((name for name, role in groups.items() if role in vote.roles), "")
                if group and vote.dwell_s > 0:
                    sums["votes", group] += 1
                    sums["dwell", group] += vote.dwell_s
            self._fate(sums, asked)

    def _fate(self, sums: Sums[Key], asked: Asked) -> None:
        """Late is who let it expire, and who had to give it to others."""
        first = {str((each.get("stands_for") or [each["group"]])[0]): each for each in asked.reviewers}
        groups, late = together(first), any(each.get("stands_for") for each in asked.reviewers)
        late = late or asked.status == ReviewStatus.EXPIRED
        sums["missed",] += late
        if not late and (asked.status not in _DECIDED or asked.decided_at is None):
            return  # still open, or taken back: nobody knows how long it would have taken
        sums["fate", groups] += 1
        sums["late then", groups] += late
        sums["late now", groups] += late or any(
            _took(asked, each) > timedelta(seconds=self.new.reviewers[name].within_s)
            for name, each in first.items()
            if name in self.new.reviewers
        )

    def _money(self, sums: Sums[Key], record: Recorded, now: Replayed, answer: str) -> None:
        if now.spent is None:
            return
        minor, currency = now.spent.amount_minor, now.spent.currency
        if now.verdict == "allow":
            sums["automatic", currency, answer] += minor
            sums["automatic cases", currency, answer] += 1
            sums["refused", currency] += _refused(record, self.new.vocabulary.specs[record.tool], now.spent, answer)
        elif now.verdict == "review":
            sums["asked", currency] += minor
        else:
            sums["denied", currency] += minor

    def settle(self) -> list[Mapping[Key, float]]:
        """The sums of each case."""
        for case in self.cases.values():
            if case.whole:
                case.sums["cases",] = 1
                case.sums["alone then",] = not case.asked_then
                case.sums["alone now",] = not case.asked_now
        return [case.sums for case in self.cases.values()]


def _took(asked: Asked, group: Mapping[str, JSON]) -> timedelta:
    """Until the last of its people voted; until the end where it came without all of them."""
    ats = sorted(vote.at for vote in asked.votes if group["role"] in vote.roles)
    seats = int(group["people"])
    end = ats[seats - 1] if len(ats) >= seats else asked.decided_at or asked.opened_at
    return end - asked.opened_at


def _enforced(record: Recorded) -> list[str]:
    """The rules that made the verdict of then."""
    matches = record.body["matches"]
    return [match["rule"] for match in matches if match["decides"] == record.verdict and not match["monitor"]]


def together(groups: Iterable[str]) -> str:
    return " and ".join(sorted(groups))


def answered(record: Recorded) -> str:
    """What people said of an action in the end: a review status, or that they said nothing."""
    if not record.asked:
        return NOT_ASKED if record.verdict != "review" else UNANSWERED
    last = record.asked[-1]
    if last.status == ReviewStatus.EDITED:
        return last.status if last.ended not in REFUSED else str(last.ended)
    return last.status if last.status in (*_DECIDED, ReviewStatus.EXPIRED) else UNANSWERED


def _refused(record: Recorded, spec: ToolSpec[object], spent: Money, answer: str) -> int:  # type: ignore[type-var]
    """Minor units that people refused: all of it, or what an edit took off."""
    if answer in REFUSED:
        return spent.amount_minor
    if answer != ReviewStatus.EDITED or record.asked[-1].edited_args is None:
        return 0
    left = spec.spends(spec.parse(record.asked[-1].edited_args))
    if left is None or left.currency != spent.currency:
        return spent.amount_minor
    return max(0, spent.amount_minor - left.amount_minor)


def _said(verdict: str, reviewers: Sequence[ReviewerSet]) -> str:
    if verdict != "review":
        return verdict
    named = (f"{each.group} ({each.people})" if each.people > 1 else each.group for each in reviewers)
    return f"review by {' and '.join(named)}"
