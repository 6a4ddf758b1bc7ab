"""Forks: a copy of a case, from any step of it, to see what would have come of something else.

The copy is a case of its own, with its own inbox, votes and log. It passes the same gate and the same people; but its
effects are rehearsed (`engine/rehearsal.py`), it costs nothing, no count of policy looks at it, and others outside are
told nothing of it. What is approved in it approves nothing in the original: votes name actions, and its actions have
names of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from core.errors import Busy, Conflict, CountersignError
from core.ids import new_id
from core.people import Permission, Person, require
from core.states import CaseStatus
from engine.stream import Stream
from ledger.database import Database, Ledger
from ledger.tables import CaseRow


class Steps(Protocol):
    """What graphs remember of cases, step by step."""

    async def copy(self, kind: str, case_id: str, to: str, checkpoint: str = "") -> str:
        """Begins `to` with what was known of a case at a step; returns the step, empty for the very beginning.

        Raises `NotFound` where there is no such step, `Conflict` where nothing can go on from it.
        """
        ...

    async def forget(self, to: str) -> None:
        """Takes back what was begun: nothing came of the copy."""
        ...


class Forks:
    def __init__(
        self,
        database: Database,
        steps: Steps,
        stream: Stream,
        ring: Callable[[str, str], Awaitable[None]],
        *,
        queue_limit: int,
    ) -> None:
        self._database = database
        self._steps = steps
        self._stream = stream
        self._ring = ring
        self._queue_limit = queue_limit

    async def fork(self, person: Person, case_id: str, checkpoint: str = "") -> CaseRow:
        """A copy that goes on from this step, or from where the case last had something left to do.

        Raises `NotFound`, `Conflict`, `Busy`, `Forbidden`.
        """
        require(person, Permission.OPERATE)

        def look(ledger: Ledger) -> CaseRow:
            self._room(ledger)
            return ledger.cases.get(case_id)

        original = await self._database.read(person.workspace, look)
        if original.erased_at is not None:
            raise Conflict("What this case held was erased.", hint="Submit it again.", present="erased")
        to = new_id("case")
        begun_at = await self._steps.copy(original.kind, case_id, to, checkpoint)

        def open_copy(ledger: Ledger) -> CaseRow:
            self._room(ledger)
            copy = CaseRow(
                id=to,
                kind=original.kind,
                status=CaseStatus.OPEN,
                payload=original.payload,
                payload_digest=original.payload_digest,
                subject=original.subject,
                opened_by=person.id,
                opened_at=ledger.now,
                forked_from=original.id,
                simulated=True,
            )
            ledger.session.add(copy)
            ledger.session.flush()
            ledger.cases.post(copy, source="desk", event_id=f"{to}:fork", event="case.forked", payload={})
            body = {"from": original.id, "checkpoint": begun_at, "by": person.id, "simulated": True}
            ledger.audit.append("case.forked", body, case_id=to)
            ledger.trace.add(to, "case.forked", body)
            ledger.trace.add(original.id, "case.copied", {"to": to, "checkpoint": begun_at, "by": person.id})
            return copy

        try:
            copy = await self._database.write(person.workspace, open_copy)
        except CountersignError as refused:
            if refused.extra.get("committed") != "unknown":
                await self._steps.forget(to)
            raise
        self._stream.publish()
        await self._ring(person.workspace, to)
        return copy

    def _room(self, ledger: Ledger) -> None:
        if ledger.cases.backlog() >= self._queue_limit:
            raise Busy("Too many cases wait to be worked on.", retry_after=5, hint="Ask for it again later.")
