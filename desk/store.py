"""What the queue is, as a pure function of the last snapshot and of the set of events since it.

Because it is a function of a set, duplicates and another order change nothing. What can't be told
from events (a gap, a new approval, a vote that others have to follow) makes the state `stale`: it
wants a new snapshot, and shows what it knows until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from core.states import ReviewStatus
from core.wire import ApprovalSummary, TraceEntry
from core.wire_approvals import ApprovalPage

LEASE = timedelta(minutes=5)
"""How long the server lends a claim; an event tells only who took it, the next snapshot until when."""

KEPT = 5_000
"""Events after which a new snapshot is cheaper than keeping more."""

CLOSED = {f"review.{status}": status.value for status in ReviewStatus if status is not ReviewStatus.OPEN}
_CHANGES = {"review.opened", "review.claimed", "review.released", "review.escalated", "review.prolonged", "vote.cast"}


@dataclass(frozen=True)
class Settled:
    """How an approval left the queue. `by` is empty where the clock or the case ended it."""

    status: str
    by: str
    at: datetime


@dataclass(frozen=True)
class QueueState:
    base: int = 0
    """Sequence number of the last event that the snapshot holds for sure."""
    listed: Mapping[str, ApprovalSummary] = field(default_factory=dict)
    whole: bool = True
    """The snapshot holds all that is open, not only what is due first."""
    listed_total: int = 0
    events: Mapping[int, TraceEntry] = field(default_factory=dict)
    """Since the snapshot, those that change the queue."""
    heard: frozenset[int] = frozenset()
    """Numbers of events heard beyond the first gap."""
    through: int = 0
    """Every event up to this one was heard."""
    closed: Mapping[str, Settled] = field(default_factory=dict)
    """Closing is final: what is here never comes back, whatever comes late."""

    # changes

    def snapshot(self, rows: Iterable[ApprovalSummary], *, total: int, whole: bool, last_event: int) -> QueueState:
        """A new snapshot, read after the server told `last_event`."""
        listed = {row.id: row for row in rows}
        events = {seq: entry for seq, entry in self.events.items() if seq > last_event}
        through, heard = _advance(max(self.through, last_event), self.heard)
        closed = dict(list(self.closed.items())[-KEPT:])
        return QueueState(last_event, listed, whole, total, events, heard, through, closed)

    def with_events(self, batch: Iterable[TraceEntry]) -> QueueState:
        events, closed, heard = dict(self.events), dict(self.closed), set(self.heard)
        for entry in batch:
            review = str(entry.body.get("review", ""))
            if entry.type in CLOSED and review not in closed:
                closed[review] = Settled(CLOSED[entry.type], str(entry.body.get("by", "")), entry.at)
            if entry.seq > self.through:
                heard.add(entry.seq)
            if entry.seq > self.base and entry.type in _CHANGES:
                events[entry.seq] = entry
        through, beyond = _advance(self.through, heard)
        if (through, beyond) == (self.through, self.heard) and len(events) == len(self.events):
            return self if len(closed) == len(self.closed) else replace(self, closed=closed)
        return replace(self, events=events, closed=closed, heard=beyond, through=through)

    def with_row(self, row: ApprovalSummary) -> QueueState:
        """A row that the server told just now, as the answer to a request of our own."""
        if row.status != ReviewStatus.OPEN:
            return self if row.id in self.closed else self.with_closed(row.id, row.status, "", row.due_at)
        known = self.listed.get(row.id)
        if known is None or known == row or known.version > row.version:
            return self
        return replace(self, listed={**self.listed, row.id: row})

    def with_closed(self, approval: str, status: str, by: str, at: datetime) -> QueueState:
        return replace(self, closed={**self.closed, approval: Settled(status, by, at)})

    # what there is to see

    @cached_property
    def _folded(self) -> tuple[dict[str, ApprovalSummary], frozenset[str], int]:
        rows = {key: row for key, row in self.listed.items() if key not in self.closed}
        unknown: set[str] = set()
        beyond_window = 0
        last_due = max((row.due_at for row in self.listed.values()), default=None)
        for _, entry in sorted(self.events.items()):
            review = str(entry.body.get("review", ""))
            row = rows.get(review)
            if review in self.closed:
                continue
            if row is None:
                due = _due(entry)
                if entry.type != "review.opened":
                    continue
                if self.whole or due is None or last_due is None or due <= last_due:
                    unknown.add(review)
                else:
                    beyond_window += 1
                continue
            match entry.type:
                case "review.claimed":
                    by = str(entry.body.get("by", ""))
                    until = entry.at + LEASE
                    if row.claimed_by != by or row.claimed_until is None or row.claimed_until < until:
                        rows[review] = row.model_copy(update={"claimed_by": by, "claimed_until": until})
                case "review.released":
                    rows[review] = row.model_copy(update={"claimed_by": "", "claimed_until": None})
                case "review.prolonged":
                    unknown.add(review)
                case "vote.cast" | "review.escalated":
                    rows[review] = row.model_copy(update={"claimed_by": "", "claimed_until": None})
                    unknown.add(review)
        return rows, frozenset(unknown), beyond_window

    @cached_property
    def rows(self) -> tuple[ApprovalSummary, ...]:
        """What is open, by due time."""
        return tuple(sorted(self._folded[0].values(), key=lambda row: (row.due_at, row.id)))

    @property
    def unknown(self) -> frozenset[str]:
        """Approvals of which events told something that only the server can complete."""
        return self._folded[1]

    @property
    def stale(self) -> bool:
        return bool(self.heard) or bool(self.unknown) or len(self.events) > KEPT

    @property
    def total(self) -> int:
        """Open now; beyond the window it is exact only at a snapshot."""
        arrived = len(self.unknown - self.listed.keys()) + self._folded[2]
        return self.listed_total - len(self.listed.keys() & self.closed.keys()) + arrived

    @property
    def last_heard(self) -> int:
        """Where a stream has to go on: a gap before it is the next snapshot's matter."""
        return max(self.heard, default=self.through)


def page_of(state: QueueState, pages: Iterable[ApprovalPage], last_event: int) -> QueueState:
    """The state after a snapshot of one or more pages that were read in their order."""
    read = list(pages)
    rows = [row for page in read for row in page.items]
    total = next((page.total for page in reversed(read) if page.total is not None), len(rows))
    return state.snapshot(rows, total=total, whole=not read[-1].next, last_event=last_event)


def _advance(through: int, heard: Iterable[int]) -> tuple[int, frozenset[int]]:
    """Closes the numbers up to the first gap; returns what lies beyond it."""
    beyond = {seq for seq in heard if seq > through}
    while through + 1 in beyond:
        through += 1
        beyond.remove(through)
    return through, frozenset(beyond)


def _due(entry: TraceEntry) -> datetime | None:
    try:
        due = datetime.fromisoformat(str(entry.body.get("due_at", "")))
    except ValueError:
        return None
    return due if due.tzinfo else None
