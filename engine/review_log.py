"""What the review desk writes beside the review itself: the question to people, each step of it, and the wake-up."""

from __future__ import annotations

from typing import Any

from ledger.database import Ledger
from ledger.tables import CaseRow, ReviewRow, VoteRow

EXPIRY_TIMER = "review.expiry"

_TOLD = ("review", "action", "groups", "due_at")
"""What others hear of a question: not its reason, which may speak of somebody."""


def put_question(ledger: Ledger, case: CaseRow, review: ReviewRow) -> None:
    """A review was opened: its timer is set, and everybody hears of it."""
    ledger.timers.set(case_id=case.id, purpose=EXPIRY_TIMER, due_at=review.due_at, review_id=review.id)
    body = {
        "review": review.id,
        "action": review.action_id,
        "groups": [str(each["group"]) for each in review.reviewers],
        "reason": review.reason,
        "due_at": review.due_at.isoformat(),
    }
    ledger.audit.append("review.opened", body, case_id=case.id)
    ledger.trace.add(case.id, "review.opened", body)
    ledger.outbox.tell(case, "review.requested", {name: body[name] for name in _TOLD})


def log_step(ledger: Ledger, review: ReviewRow, entry: str, vote: VoteRow | None = None, **more: Any) -> None:
    body: dict[str, Any] = {"review": review.id, "action": review.action_id, **more}
    if vote is not None:
        body |= {
            "by": vote.person,
            "choice": str(vote.choice),
            "reason_code": vote.reason_code,
            "note": vote.note,
            "seen": vote.seen,
        }
    ledger.audit.append(entry, body, case_id=review.case_id)
    ledger.trace.add(review.case_id, entry, body)


def wake_up(ledger: Ledger, case: CaseRow, review: ReviewRow) -> None:
    """The graph that waits for this review looks at what was decided. The event itself carries no authority."""
    payload = {"review_id": review.id, "interrupt_id": review.interrupt_id}
    event_id = f"{review.id}:{review.status}:{review.version}"
    ledger.cases.post(case, source="desk", event_id=event_id, event="review.decided", payload=payload)
