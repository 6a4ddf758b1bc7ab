"""The queue is a function of the snapshot and of the set of events since it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.wire import ApprovalSummary, TraceEntry
from desk.store import CLOSED, QueueState

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
BASE = 40


def row(name: str, due_s: int = 600, **fields: Any) -> ApprovalSummary:
    usual = {
        "case_id": f"case_{name}", "kind": "k", "subject": "s", "tool": "t", "described": "d", "money": None,
        "reason": "r", "groups": ["g"], "roles": ["x"], "people": 1, "status": "open", "opened_at": START,
        "due_at": START + timedelta(seconds=due_s), "claimed_by": "", "claimed_until": None, "high_risk": False,
        "version": 1,
    }  # fmt: skip
    return ApprovalSummary.model_validate({"id": name, **usual, **fields})


def event(seq: int, kind: str, name: str, **body: Any) -> TraceEntry:
    at = START + timedelta(seconds=seq)
    return TraceEntry(seq=seq, case_id=f"case_{name}", type=kind, body={"review": name, **body}, at=at)


def snapshot(*rows: ApprovalSummary, whole: bool = True, total: int | None = None, last: int = BASE) -> QueueState:
    return QueueState().snapshot(rows, total=total or len(rows), whole=whole, last_event=last)


NAMES = ("a", "b", "c", "d")


@st.composite
def histories(draw: st.DrawFn) -> list[TraceEntry]:
    """What a server may send after the snapshot of a, b, c and d: in order, and possible."""
    opened, entries = set(NAMES), []
    for seq in range(BASE + 1, BASE + 1 + draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(["review.claimed", "review.released", "case.moved", *CLOSED]))
        name = draw(st.sampled_from(sorted(opened))) if opened else "e"
        if not opened:
            kind = "case.moved"
        if kind in CLOSED:
            opened.discard(name)
        entries.append(event(seq, kind, name, by=draw(st.sampled_from(["anna", "ben"]))))
    return entries


def first() -> QueueState:
    return snapshot(*(row(name, due_s=60 * i) for i, name in enumerate(NAMES)))


@given(histories(), st.data())
def test_duplicates_and_another_order_change_nothing(history: list[TraceEntry], data: st.DataObject) -> None:
    straight = first().with_events(history)
    twice = data.draw(st.permutations(history * 2))
    cuts = data.draw(st.integers(0, len(twice)))
    crooked = first().with_events(twice[:cuts]).with_events(twice[cuts:])
    assert crooked.rows == straight.rows
    assert {name: each.status for name, each in crooked.closed.items()} == {
        name: each.status for name, each in straight.closed.items()
    }
    assert not crooked.stale
    assert not straight.stale
    assert crooked.last_heard == straight.last_heard == history[-1].seq


@given(histories(), st.data())
def test_a_gap_asks_for_a_snapshot_and_shows_nothing_that_is_known_to_be_closed(
    history: list[TraceEntry], data: st.DataObject
) -> None:
    lost = data.draw(st.integers(0, len(history) - 1))
    heard = history[:lost] + history[lost + 1 :]
    state = first().with_events(heard)
    assert state.stale == (lost < len(history) - 1)
    closed = {entry.body["review"] for entry in heard if entry.type in CLOSED}
    assert not closed & {each.id for each in state.rows}
    assert not state.with_events([history[lost]]).stale


@given(histories(), st.integers(0, 20))
def test_a_snapshot_taken_in_between_changes_nothing_in_the_end(history: list[TraceEntry], at: int) -> None:
    before, straight = history[:at], first().with_events(history)
    middle = first().with_events(before)
    last = before[-1].seq if before else BASE
    fresh = middle.snapshot(middle.rows, total=len(middle.rows), whole=True, last_event=last)
    assert fresh.with_events(history).rows == straight.rows


def test_a_late_snapshot_brings_nothing_back_that_was_seen_closing() -> None:
    state = snapshot(row("a"), row("b")).with_events([event(41, "review.approved", "a", by="ben")])
    again = state.snapshot([row("a"), row("b")], total=2, whole=True, last_event=40)
    assert [each.id for each in again.rows] == ["b"]
    assert again.total == 1
    assert again.closed["a"].by == "ben"


def test_a_new_approval_is_counted_at_once_and_listed_by_the_next_snapshot() -> None:
    state = snapshot(row("a")).with_events([event(41, "review.opened", "z")])
    assert state.unknown == {"z"}
    assert (state.stale, state.total) == (True, 2)
    fresh = state.snapshot([row("a"), row("z", due_s=5)], total=2, whole=True, last_event=41)
    assert [each.id for each in fresh.rows] == ["z", "a"]
    assert not fresh.stale


def test_an_approval_that_is_due_beyond_the_window_is_only_counted() -> None:
    later = (START + timedelta(days=2)).isoformat()
    state = snapshot(row("a"), whole=False, total=500).with_events([event(41, "review.opened", "z", due_at=later)])
    assert (state.stale, state.total) == (False, 501)


def test_a_vote_among_several_frees_the_row_and_asks_what_it_is_now() -> None:
    held = row("a", claimed_by="anna", claimed_until=START + timedelta(minutes=5))
    state = snapshot(held).with_events([event(41, "vote.cast", "a", by="anna")])
    assert state.rows[0].claimed_by == ""
    assert state.stale


@pytest.mark.parametrize(("entry", "holder"), [("review.escalated", ""), ("review.prolonged", "anna")])
def test_a_row_whose_time_was_over_is_asked_for_anew(entry: str, holder: str) -> None:
    held = row("a", claimed_by="anna", claimed_until=START + timedelta(minutes=5))
    state = snapshot(held).with_events([event(41, entry, "a")])
    assert state.rows[0].claimed_by == holder
    assert state.stale


def test_an_answer_to_a_request_of_our_own_replaces_the_row_unless_it_is_older() -> None:
    state = snapshot(row("a", version=3))
    assert state.with_row(row("a", version=4, claimed_by="anna")).rows[0].claimed_by == "anna"
    assert state.with_row(row("a", version=2, claimed_by="anna")) is state
    assert state.with_row(row("a", version=3, status="approved")).rows == ()
