"""Many events from one sender, in one transaction: what is new, whose turn it is, what waits, what came too late.

The order of a case's events is that of the numbers that their source gave them. An event that is ahead waits in
`arrival` until those before it are here, or until its time is over; then what waits goes on, and the case's log
says what was missing. An event without a number is taken as it comes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from core.errors import Busy, Conflict, CountersignError, NotFound
from core.events import CloudEvent
from core.people import Permission, Person, may
from core.states import FINISHED
from ledger.arrivals import Line, Seen
from ledger.database import Ledger
from ledger.process_tables import ArrivalRow, SourceRow
from ledger.tables import CaseRow

NEWS = "case.news"
"""What every event from outside is called in an inbox, whatever type it claims to have."""


LINE_LIMIT = 1_000
"""Events of one source that wait for others of it, in one case."""
CASE_LIMIT = 5_000
"""Events that wait in one case, whoever sent them."""


class State(StrEnum):
    TAKEN = "taken"  # it is in the inbox of its case
    HELD = "held"  # it waits for others of its source
    NOTED = "noted"  # it is kept, and has no effect: it came too late
    KNOWN = "known"  # it was here before


class Receipt(BaseModel):
    """What became of an event."""

    id: str
    source: str
    case: str
    state: State
    note: str = ""

    @property
    def new(self) -> bool:
        return self.state is not State.KNOWN


class Contradicted(Conflict):
    title = "The same event, with other content"


class Raced(Exception):
    """Another process took one of these events at the same moment: all is tried again."""


Check = Callable[[CaseRow, CloudEvent], None]
"""Whether a case takes up such an event. Raises `InvalidInput`."""


def channel(person: str, source: str) -> str:
    """A source, as its sender's own: nobody can use up another sender's ids or numbers, or pass for the desk."""
    return f"ce:{hashlib.sha256(f'{person} {source}'.encode()).hexdigest()[:40]}"


class Turns:
    """The events of one transaction."""

    def __init__(self, ledger: Ledger, *, gap: timedelta) -> None:
        self._ledger = ledger
        self._gap = gap
        self._cases: dict[str, CaseRow] = {}
        self._heads: dict[Line, SourceRow] = {}
        self._waiting: dict[Line, dict[int, datetime]] = {}
        self._held: dict[str, int] = {}
        self._seen: dict[Line, Seen] = {}
        """By source and event id."""
        self._inbox: list[dict[str, Any]] = []
        self.rung: set[str] = set()
        """Cases that have something to do."""

    def take(self, person: Person, events: Sequence[CloudEvent], check: Check) -> list[Receipt | CountersignError]:
        """Raises `Raced`: then nothing was done."""
        by_channel: dict[str, set[str]] = {}
        for event in events:
            by_channel.setdefault(channel(person.id, event.source), set()).add(event.id)
        desk = self._ledger.arrivals
        self._cases = desk.cases({event.subject for event in events})
        for source, ids in by_channel.items():
            self._seen |= {(source, event_id): seen for event_id, seen in desk.seen(source, ids).items()}
        lines = {(channel(person.id, each.source), each.subject) for each in events if each.sequence is not None}
        self._heads, self._waiting = desk.heads(lines), desk.waiting(lines)
        self._held = desk.held({case for _, case in lines})
        answers: list[Receipt | CountersignError] = []
        for event in events:
            try:
                answers.append(self._one(person, event, check))
            except CountersignError as refused:
                answers.append(refused)
        self.write()
        return answers

    def release(self, line: Line) -> None:
        """The time of what waits there is over: it goes on without those that never came."""
        case_id = line[1]
        self._cases = self._ledger.arrivals.cases({case_id})
        self._heads = self._ledger.arrivals.heads({line})
        self._waiting = self._ledger.arrivals.waiting({line})
        waiting, head = self._waiting[line], self._heads.get(line)
        while head is not None and waiting and waiting[first := min(waiting)] <= self._ledger.now:
            source = next(self._ledger.arrivals.those(line, [first])).payload["event"]["source"]
            missing = {"from": head.next, "to": first - 1, "source": source}
            self._ledger.trace.add(case_id, "events.missing", missing, workspace=self._cases[case_id].workspace)
            head.next = first
            self._follow(line, head)
        self.write()

    def write(self) -> None:
        if not self._ledger.arrivals.put(self._inbox):
            raise Raced
        self._inbox = []

    # one event

    def _one(self, person: Person, event: CloudEvent, check: Check) -> Receipt:
        source = channel(person.id, event.source)
        if (earlier := self._seen.get((source, event.id))) is not None:
            return self._again(person, event, earlier)
        case = self._case(person, event)
        check(case, event)
        body = _kept(person, event)
        line = (source, case.id)
        if case.status in FINISHED:
            return self._note(case, source, body, f"the case is {case.status}")
        if event.sequence is None:
            return self._post(case, source, body)
        head = self._heads.get(line) or self._heads.setdefault(
            line, self._ledger.arrivals.start(line, person.workspace)
        )
        if event.sequence < head.next:
            return self._note(case, source, body, f"number {event.sequence} came when {head.next} was next")
        if event.sequence > head.next:
            return self._hold(case, line, event.sequence, head.next, body)
        receipt = self._post(case, source, body)
        head.next += 1
        self._follow(line, head)
        return receipt

    def _case(self, person: Person, event: CloudEvent) -> CaseRow:
        case = self._cases.get(event.subject)
        if case is None or not (may(person, Permission.READ) or case.opened_by == person.id):
            raise NotFound(
                f"There is no case '{event.subject}' for it." if event.subject else "The event names no case.",
                field="subject",
                hint="'subject' is the id of a case that you opened, or may read.",
            )
        if case.simulated:
            raise Conflict("The case is a copy to look at: nothing reaches it.", hint="Name the case itself.")
        return case

    def _again(self, person: Person, event: CloudEvent, earlier: Seen) -> Receipt:
        if earlier.digest == event.digest:
            return Receipt(id=event.id, source=event.source, case=earlier.case_id, state=State.KNOWN)
        body = {"source": event.source, "id": event.id, "earlier": earlier.digest, "now": event.digest, "by": person.id}
        self._ledger.trace.add(earlier.case_id, "event.contradicted", body)
        raise Contradicted(
            "An event with this source and id came before, and said something else.",
            hint="The first one counts. Send what is new under an id of its own.",
            present=earlier.case_id,
            earlier=earlier.digest,
        )

    def _hold(self, case: CaseRow, line: Line, number: int, expected: int, body: dict[str, Any]) -> Receipt:
        told, waiting = body["event"], self._waiting[line]
        if number in waiting:
            earlier = next(self._ledger.arrivals.those(line, [number])).payload["event"]
            self._ledger.trace.add(
                case.id, "event.contradicted", {**_named(body), "number": number, "earlier": earlier["digest"]}
            )
            raise Contradicted(
                f"Number {number} of this source waits already, as the event '{earlier['id']}'.",
                hint="A number belongs to one event.",
                present=case.id,
                earlier=earlier["digest"],
            )
        if len(waiting) >= LINE_LIMIT or self._held[case.id] >= CASE_LIMIT:
            raise Busy(
                f"Too many events wait for number {expected} or others before them.",
                retry_after=max(1, int(self._gap.total_seconds())),
                hint="Send those that are missing first, and this one again later.",
            )
        row = ArrivalRow(
            workspace=case.workspace,
            source=line[0],
            case_id=case.id,
            number=number,
            event_id=told["id"],
            type=NEWS,
            payload=body,
            received_at=self._ledger.now,
            due_at=self._ledger.now + self._gap,
        )
        self._ledger.arrivals.hold(row)
        waiting[number] = row.due_at
        self._held[case.id] += 1
        self._known(line[0], case, body)
        self._ledger.trace.add(case.id, "event.held", {**_named(body), "number": number, "expected": expected})
        note = f"it waits for number {expected}"
        return Receipt(id=told["id"], source=told["source"], case=case.id, state=State.HELD, note=note)

    def _follow(self, line: Line, head: SourceRow) -> None:
        """Those whose turn it is now."""
        waiting, case, end = self._waiting[line], self._cases[line[1]], head.next
        while waiting.pop(end, None):
            end += 1
        for row in self._ledger.arrivals.those(line, range(head.next, end)):
            if case.status in FINISHED:
                self._note(case, line[0], row.payload, f"the case is {case.status}")
            else:
                self._post(case, line[0], row.payload)
            self._ledger.arrivals.let_go(row)
        self._held[case.id] = self._held.get(case.id, 0) - (end - head.next)
        head.next = end

    # what is written

    def _post(self, case: CaseRow, source: str, body: dict[str, Any]) -> Receipt:
        self.rung.add(case.id)
        return self._keep(case, source, body, "event.received", State.TAKEN)

    def _note(self, case: CaseRow, source: str, body: dict[str, Any], why: str) -> Receipt:
        return self._keep(case, source, body, "event.late", State.NOTED, why)

    def _keep(
        self, case: CaseRow, source: str, body: dict[str, Any], entry: str, state: State, note: str = ""
    ) -> Receipt:
        told = body["event"]
        row = self._ledger.arrivals.post(case, source=source, event_id=told["id"], event=NEWS, payload=body, note=note)
        self._inbox.append(row)
        self._known(source, case, body)
        more = {"reason": note} if note else {}
        self._ledger.trace.add(case.id, entry, {**_named(body), **more}, workspace=case.workspace)
        return Receipt(id=told["id"], source=told["source"], case=case.id, state=state, note=note)

    def _known(self, source: str, case: CaseRow, body: dict[str, Any]) -> None:
        self._seen[source, body["event"]["id"]] = Seen(case.id, body["event"]["digest"])


def _kept(person: Person, event: CloudEvent) -> dict[str, Any]:
    """What the inbox keeps. All of it lies under `event`: whatever its data says, it can't answer a question."""
    found: dict[str, Any] = {
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "digest": event.digest,
        "by": person.id,
        "data": event.data,
    }
    if event.sequence is not None:
        found["sequence"] = event.sequence
    if event.time is not None:
        found["time"] = event.time.isoformat()
    return {"event": found}


def _named(body: Mapping[str, Any]) -> dict[str, Any]:
    """For the case's log: everything but its data."""
    return {name: value for name, value in body["event"].items() if name not in ("data", "digest")}
