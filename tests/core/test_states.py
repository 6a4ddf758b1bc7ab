"""The tables of states: every move that is in them is made, every other one is refused with the present state."""

from __future__ import annotations

from itertools import product

import pytest

from core.errors import StaleState
from core.states import CASE_MOVES, FINISHED, REVIEW_MOVES, CaseStatus, ReviewStatus, move_case, move_review

C, R = CaseStatus, ReviewStatus


@pytest.mark.parametrize(("now", "to"), list(product(C, C)), ids=str)
def test_moves_of_a_case(now: CaseStatus, to: CaseStatus) -> None:
    if to in CASE_MOVES[now]:
        assert move_case(now, to) is to
    else:
        with pytest.raises(StaleState) as refused:
            move_case(now, to)
        assert refused.value.extra["present"] == now.value


@pytest.mark.parametrize(("now", "to"), list(product(R, R)), ids=str)
def test_moves_of_a_review(now: ReviewStatus, to: ReviewStatus) -> None:
    if to in REVIEW_MOVES[now]:
        assert move_review(now, to) is to
    else:
        with pytest.raises(StaleState, match=f"is {now}"):
            move_review(now, to)


def test_what_must_never_be_possible() -> None:
    assert {state for state in C if not CASE_MOVES[state]} == FINISHED
    assert all(C.CANCELLED in CASE_MOVES[state] for state in C if state not in FINISHED)
    decided = {R.EDITED, R.EXPIRED, R.SUPERSEDED}
    assert all(REVIEW_MOVES[state] == frozenset() for state in decided)
    taken_back = {R.APPROVED, R.REJECTED, R.RESPONDED}  # the facts moved, or nothing has followed: never open again
    assert all(REVIEW_MOVES[state] == {R.SUPERSEDED} for state in taken_back)
    assert C.CLOSED not in CASE_MOVES[C.WAITING]  # only a segment closes a case


def test_every_case_can_come_to_an_end() -> None:
    for start in C:
        reached, todo = {start}, [start]
        while todo:
            more = CASE_MOVES[todo.pop()] - reached
            reached |= more
            todo += more
        assert reached & FINISHED
