"""What becomes of a review when its time is over: it is denied, or others take over from those who are late.

Each group has a time of its own, so one that may take a day is not cut off when another one is late after an hour.
"""

from __future__ import annotations

from core.states import ReviewStatus
from engine.votes import unfilled, valid_voters
from ledger.database import Ledger
from ledger.tables import ReviewRow


def lapse(ledger: Ledger, review: ReviewRow) -> ReviewStatus:
    """What an open review becomes now that its `due_at` has come; `OPEN` if it waits for others, or longer."""
    action = ledger.effects.proposed(ledger.effects.action(review.action_id))
    voters = valid_voters(ledger, action, review)
    asked, dues = ledger.reviews.asked(review), ledger.reviews.dues(review)
    # Two groups may compete for one voter: a group that nobody takes over from has the first claim.
    waiting = unfilled(asked, voters, sorted(range(len(asked)), key=lambda n: asked[n].late is not None))
    late = [n for n in waiting if dues[n] <= ledger.now]
    if any(asked[n].late is None for n in late):
        return ReviewStatus.EXPIRED
    ledger.reviews.hand_over(review, late)
    filled = [n for n in range(len(asked)) if n not in waiting]
    asked_now, dues = ledger.reviews.asked(review), ledger.reviews.dues(review)
    waiting = unfilled(asked_now, voters, [*filled, *waiting])  # who has voted may sit for those who take over
    if waiting:
        review.due_at = min(dues[n] for n in waiting)
        ledger.timers.set(case_id=review.case_id, purpose="review.expiry", due_at=review.due_at, review_id=review.id)
    names = list(dict.fromkeys(asked[n].group for n in late))
    if names:
        review.reason = f"Escalated from {' and '.join(names)}. {review.reason}"
    body = {
        "review": review.id,
        "action": review.action_id,
        "late": names,
        "groups": [each.group for each in asked_now],
        "due_at": review.due_at.isoformat(),
    }
    entry = "review.escalated" if names else "review.prolonged"
    ledger.audit.append(entry, body, case_id=review.case_id)
    ledger.trace.add(review.case_id, entry, body)
    return ReviewStatus.OPEN if waiting else ReviewStatus.APPROVED
