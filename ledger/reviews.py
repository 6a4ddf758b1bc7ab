"""Reviews and votes: what waits for people, who holds it, and what each of them said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func
from sqlmodel import Session, col, select

from core.errors import AlreadyDecided, LeaseLost, NotFound
from core.ids import digest, new_id
from core.money import Money
from core.states import ReviewStatus, move_review
from core.verdicts import Review as ReviewVerdict
from core.verdicts import ReviewerSet
from ledger.prepared import Prepared
from ledger.tables import ActionRow, ReviewRow, VoteRow

_REVIEW: Prepared[ReviewRow] = Prepared(select(ReviewRow).where(ReviewRow.id == bindparam("id")))
_LOCKED: Prepared[ReviewRow] = Prepared(select(ReviewRow).where(ReviewRow.id == bindparam("id")).with_for_update())
_OF_ACTION: Prepared[ReviewRow] = Prepared(
    select(ReviewRow)
    .where(ReviewRow.action_id == bindparam("action"))
    .order_by(col(ReviewRow.opened_at), col(ReviewRow.id))
)
_OF_CASE: Prepared[ReviewRow] = Prepared(
    select(ReviewRow).where(ReviewRow.case_id == bindparam("case")).order_by(col(ReviewRow.opened_at))
)
_VOTES: Prepared[VoteRow] = Prepared(
    select(VoteRow).where(VoteRow.review_id == bindparam("review")).order_by(col(VoteRow.id))
)


_KEPT = {
    *("case_id", "action_id", "interrupt_id", "reason", "book", "facts"),
    *("asked_of", "amount_minor", "currency"),
}
"""Of a question that is asked again."""


class Reviews:
    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now

    def get(self, review_id: str, *, lock: bool = False) -> ReviewRow:
        row = (_LOCKED if lock else _REVIEW).first(self._session, id=review_id)
        if row is None:
            raise NotFound(f"There is no approval '{review_id[:60]}'.", hint="countersign desk list shows the queue.")
        return row

    def open(
        self,
        *,
        case_id: str,
        action_id: str,
        interrupt_id: str,
        verdict: ReviewVerdict,
        money: Money | None = None,
    ) -> ReviewRow:
        """`money` is what leaves the company by the action, to find the review by."""
        asked = [each.model_copy(update={"stands_for": ()}) for each in verdict.reviewers]  # nobody is late yet
        row = ReviewRow(
            id=new_id("rev"),
            case_id=case_id,
            action_id=action_id,
            interrupt_id=interrupt_id,
            status=ReviewStatus.OPEN,
            reviewers=[each.model_dump(mode="json") for each in asked],
            reason=verdict.reason,
            book=verdict.book.model_dump(mode="json"),
            facts={path: fact.model_dump(mode="json") for path, fact in verdict.facts.items()},
            opened_at=self._now,
            due_at=self._now + timedelta(seconds=min(each.within_s for each in asked)),
            amount_minor=money.amount_minor if money else None,
            currency=money.currency if money else "",
        )
        row.asked_of = _asked_of(row.reviewers)
        self._session.add(row)
        self._session.flush()
        return row

    def ask_again(self, review: ReviewRow, later: Sequence[timedelta]) -> ReviewRow:
        """The same question once more, without a vote. `later` is for how long each set's time stood still."""
        dues = [due + by for due, by in zip(self.dues(review), later, strict=True)]
        reviewers = [
            each | {"since": (due - timedelta(seconds=each["within_s"])).isoformat()}
            for each, due in zip(review.reviewers, dues, strict=True)
        ]
        kept = review.model_dump(include=_KEPT)
        row = ReviewRow(
            **kept,
            id=new_id("rev"),
            status=ReviewStatus.OPEN,
            reviewers=reviewers,
            opened_at=self._now,
            due_at=min(dues),
        )
        self._session.add(row)
        self._session.flush()
        return row

    def of_action(self, action_id: str) -> list[ReviewRow]:
        return list(_OF_ACTION.all(self._session, action=action_id))

    def of_case(self, case_id: str, *, only_open: bool = False) -> list[ReviewRow]:
        rows = _OF_CASE.all(self._session, case=case_id)
        return [row for row in rows if not only_open or row.status == ReviewStatus.OPEN]

    def queue(
        self,
        *,
        status: Sequence[str] = (ReviewStatus.OPEN,),
        tools: Sequence[str] = (),
        after: tuple[datetime, str] | None = None,
        limit: int = 200,
    ) -> list[ReviewRow]:
        """By due time; `after` is the due time and id of the last one seen."""
        found = select(ReviewRow).where(col(ReviewRow.status).in_(status))
        if tools:
            asked = (col(ActionRow.id) == col(ReviewRow.action_id)) & col(ActionRow.tool).in_(tools)
            found = found.join(ActionRow, asked)
        if after is not None:
            due, last = after
            found = found.where(
                (col(ReviewRow.due_at) > due) | ((col(ReviewRow.due_at) == due) & (col(ReviewRow.id) > last))
            )
        return list(self._session.exec(found.order_by(col(ReviewRow.due_at), col(ReviewRow.id)).limit(limit)))

    def waiting(self) -> int:
        found = select(func.count()).select_from(ReviewRow).where(ReviewRow.status == ReviewStatus.OPEN)
        return int(self._session.exec(found).one())

    # claims

    def claim(self, review: ReviewRow, person: str, lease: timedelta) -> ReviewRow:
        """Takes or renews the lease. Raises `LeaseLost` naming the holder, `AlreadyDecided`."""
        self.still_open(review)
        held = review.claimed_until is not None and review.claimed_until > self._now
        if held and review.claimed_by != person:
            raise LeaseLost(
                f"{review.claimed_by} is looking at it.", hint="Take another one, or wait.", present=review.claimed_by
            )
        if not held or not review.claim_token:
            review.claim_token = new_id("claim")
            review.version += 1
        review.claimed_by, review.claimed_until = person, self._now + lease
        self._session.add(review)
        return review

    def release(self, review: ReviewRow, person: str) -> None:
        if review.claimed_by != person:
            raise LeaseLost(f"{person} does not hold it.", present=review.claimed_by)
        review.claimed_by, review.claim_token, review.claimed_until = "", "", None
        review.version += 1
        self._session.add(review)

    def still_open(self, review: ReviewRow) -> None:
        if review.status != ReviewStatus.OPEN:
            votes = self.votes(review.id)
            who = votes[-1].person if votes else "the clock"
            raise AlreadyDecided(
                f"It is {review.status} already, by {who}.",
                hint="Nothing is left to decide.",
                present=str(review.status),
            )

    # votes

    def vote(self, row: VoteRow) -> None:
        row.at = self._now
        self._session.add(row)
        self._session.flush()

    def votes(self, review_id: str) -> list[VoteRow]:
        return list(_VOTES.all(self._session, review=review_id))

    def settle(self, review: ReviewRow, to: ReviewStatus) -> None:
        review.status = move_review(ReviewStatus(review.status), to)
        review.decided_at = self._now
        review.version += 1
        self._session.add(review)

    def saw(self, review: ReviewRow, args: dict[str, Any]) -> str:
        """Digest of what a person is shown: the action, its arguments, the facts and the policy."""
        return digest(
            {
                "action": review.action_id,
                "args": args,
                "facts": {path: fact.get("value") for path, fact in review.facts.items()},
                "book": review.book,
            }
        )

    @staticmethod
    def asked(review: ReviewRow) -> tuple[ReviewerSet, ...]:
        return tuple(ReviewerSet.model_validate(each) for each in review.reviewers)

    # lateness

    @staticmethod
    def dues(review: ReviewRow) -> list[datetime]:
        """Until when each set has time, in the order in which they are asked."""
        return [
            (datetime.fromisoformat(each["since"]) if "since" in each else review.opened_at)
            + timedelta(seconds=each["within_s"])
            for each in review.reviewers
        ]

    def hand_over(self, review: ReviewRow, late: Sequence[int]) -> None:
        """In the place of these sets, who takes over from them; whoever holds the review lets go."""
        asked = self.asked(review)
        rows = list(review.reviewers)
        for n in late:
            following = asked[n].late
            assert following is not None
            stands_for = (*asked[n].stands_for, asked[n].group)
            taken = following.model_copy(update={"stands_for": stands_for})
            rows[n] = taken.model_dump(mode="json") | {"since": self._now.isoformat()}
        if late:
            review.claimed_by, review.claim_token, review.claimed_until = "", "", None
        self.ask_others(review, rows)

    def hand_on(self, review: ReviewRow, n: int, to: ReviewerSet) -> None:
        """In the place of one set, one of those that may take over from it."""
        asked, rows = self.asked(review)[n], list(review.reviewers)
        skipped = [each.group for each in asked.successors[: asked.successors.index(to)]]
        taken = to.model_copy(update={"stands_for": (*asked.stands_for, asked.group, *skipped)})
        rows[n] = taken.model_dump(mode="json") | {"since": self._now.isoformat()}
        self.ask_others(review, rows)

    def ask_too(self, review: ReviewRow, also: ReviewerSet) -> None:
        """One more set, whose people have to approve as well."""
        row = also.model_dump(mode="json") | {"since": self._now.isoformat()}
        self.ask_others(review, [*review.reviewers, row])

    def ask_others(self, review: ReviewRow, reviewers: list[dict[str, Any]]) -> None:
        review.reviewers, review.asked_of = reviewers, _asked_of(reviewers)
        review.version += 1
        self._session.add(review)


def _asked_of(reviewers: Sequence[dict[str, Any]]) -> str:
    """Migration 0007 has it too."""
    words = [word for each in reviewers for word in (f"group:{each['group']}", f"role:{each['role']}")]
    return f" {' '.join(dict.fromkeys(words))} "
