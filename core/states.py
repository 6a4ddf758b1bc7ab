"""The states of a case, a review and a run, as pure tables: a move that is not here is refused."""

from __future__ import annotations

from enum import StrEnum

from core.errors import StaleState


class CaseStatus(StrEnum):
    OPEN = "open"  # an event waits for its segment
    RUNNING = "running"  # a segment runs, or died and will be run again
    WAITING = "waiting"  # for a person, or for an event from outside
    PAUSED = "paused"  # a person stopped it
    CLOSED = "closed"  # the work is done; `outcome` says how
    FAILED = "failed"  # it can't go on by itself; people look at it
    CANCELLED = "cancelled"


class Desired(StrEnum):
    """What people want of a case; read at the start of a segment and before every effect."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


class ReviewStatus(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EDITED = "edited"  # approved with other arguments: those are a new action
    RESPONDED = "responded"  # answered with words, which are no approval: the agent plans anew
    EXPIRED = "expired"
    SUPERSEDED = "superseded"  # the case was cancelled, or the facts moved


class RunStatus(StrEnum):
    """Of the one execution that an action can have."""

    INTENT = "intent"  # reserved; the call may have been made
    DONE = "done"
    FAILED = "failed"  # the provider refused: nothing happened there
    UNKNOWN = "unknown"  # people reconcile


C = CaseStatus
CASE_MOVES: dict[CaseStatus, frozenset[CaseStatus]] = {
    C.OPEN: frozenset({C.RUNNING, C.PAUSED, C.CANCELLED, C.FAILED}),
    C.RUNNING: frozenset({C.OPEN, C.RUNNING, C.WAITING, C.PAUSED, C.CLOSED, C.FAILED, C.CANCELLED}),
    C.WAITING: frozenset({C.RUNNING, C.OPEN, C.PAUSED, C.FAILED, C.CANCELLED}),
    C.PAUSED: frozenset({C.OPEN, C.CANCELLED}),
    C.FAILED: frozenset({C.OPEN, C.CANCELLED}),
    C.CLOSED: frozenset(),
    C.CANCELLED: frozenset(),
}

FINISHED = frozenset({CaseStatus.CLOSED, CaseStatus.CANCELLED})

R = ReviewStatus
REVIEW_MOVES: dict[ReviewStatus, frozenset[ReviewStatus]] = {
    R.OPEN: frozenset({R.APPROVED, R.REJECTED, R.EDITED, R.RESPONDED, R.EXPIRED, R.SUPERSEDED}),
    # What was approved may not carry any more; what was said may be taken back before anything followed.
    **{state: frozenset({R.SUPERSEDED}) for state in (R.APPROVED, R.REJECTED, R.RESPONDED)},
    **{state: frozenset() for state in (R.EDITED, R.EXPIRED, R.SUPERSEDED)},
}


def move_case(now: CaseStatus, to: CaseStatus) -> CaseStatus:
    """The new state. Raises `StaleState` with the present one."""
    if to not in CASE_MOVES[now]:
        raise StaleState(f"A case that is {now} can't become {to}.", present=now.value)
    return to


def move_review(now: ReviewStatus, to: ReviewStatus) -> ReviewStatus:
    """The new state. Raises `StaleState` with the present one."""
    if to not in REVIEW_MOVES[now]:
        raise StaleState(f"A review that is {now} can't become {to}.", present=now.value)
    return to
