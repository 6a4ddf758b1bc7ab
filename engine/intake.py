"""Intake: requests and events from outside, once each, into a case's inbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from core.errors import Busy, Conflict
from core.people import Permission, Person, require
from core.states import FINISHED, CaseStatus, Desired
from engine import incidents
from engine.stream import Stream
from ledger.database import Database, Ledger
from ledger.tables import CaseRow

Ring = Callable[[str, str], Awaitable[None]]


class Intake:
    def __init__(self, database: Database, stream: Stream, ring: Ring, *, queue_limit: int) -> None:
        self._database = database
        self._stream = stream
        self._ring = ring
        self._queue_limit = queue_limit

    async def submit(
        self,
        person: Person,
        kind: str,
        payload: Mapping[str, Any],
        *,
        subject: str = "",
        request_key: str | None = None,
        needs: Permission = Permission.SUBMIT,
    ) -> tuple[CaseRow, bool]:
        """Opens a case, or finds the one that the same request key opened. Raises `Busy`, `KeyReused`."""
        require(person, needs)

        def open_case(ledger: Ledger) -> tuple[CaseRow, bool]:
            if ledger.cases.backlog() >= self._queue_limit:
                raise Busy("Too many cases wait to be worked on.", retry_after=5, hint="Send it again later.")
            case, new = ledger.cases.open(
                kind=kind, payload=payload, subject=subject, opened_by=person.id, request_key=request_key
            )
            if new:
                ledger.cases.post(case, source="api", event_id=case.id, event="case.submitted", payload={})
                body = {"kind": kind, "by": person.id, "payload": case.payload_digest}
                ledger.audit.append("case.opened", body, case_id=case.id)
                ledger.trace.add(case.id, "case.opened", {"kind": kind, "by": person.id, "subject": subject})
            return case, new

        case, new = await self._database.write(person.workspace, open_case)
        if new:
            self._stream.publish()
            await self._ring(person.workspace, case.id)
        return case, new

    async def want(self, person: Person, case_id: str, desired: Desired) -> CaseRow:
        """Pause, resume or cancel. It takes hold before the next effect, at the latest."""
        require(person, Permission.OPERATE)

        def ask(ledger: Ledger) -> CaseRow:
            case = ledger.cases.get(case_id, lock=True)
            if case.status in FINISHED:
                raise Conflict(f"The case is {case.status}.", hint="Nothing is left to do.", present=str(case.status))
            if desired is Desired.RUN and case.status == CaseStatus.FAILED:
                incidents.withdraw_recovery(ledger, case)
            case.desired = desired
            if desired is Desired.RUN and case.status in (CaseStatus.PAUSED, CaseStatus.FAILED):
                ledger.cases.move(case, CaseStatus.OPEN)
            ledger.session.add(case)
            nudge = f"{case.id}:{desired}:{case.version}"
            ledger.cases.post(case, source="desk", event_id=nudge, event=f"case.{desired}", payload={})
            body = {"desired": str(desired), "by": person.id}
            ledger.audit.append("case.wanted", body, case_id=case.id)
            ledger.trace.add(case.id, "case.wanted", body)
            return case

        case = await self._database.write(person.workspace, ask)
        self._stream.publish()
        await self._ring(person.workspace, case.id)
        return case
