"""Intake: the cases that people and services open, once each, and what people want of them, into a case's inbox.

Events of other systems come in by `engine/arrivals.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from core.errors import Busy, Conflict, InvalidInput, PreconditionFailed
from core.people import Permission, Person, require
from core.states import FINISHED, CaseStatus, Desired
from engine import incidents
from engine.stream import Stream
from engine.superseding import Taken, Words, take
from ledger.database import Database, Ledger
from ledger.tables import CaseRow

MOST_URGENT = 9

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
        priority: int = 0,
    ) -> tuple[CaseRow, bool]:
        """Opens a case, or finds the one that the same request key opened. Raises `Busy`, `KeyReused`.

        Of the cases that wait for a worker, those with a higher `priority` (0 to 9) go first.
        """
        require(person, needs)
        if priority:
            require(person, Permission.OPERATE)
        if not 0 <= priority <= MOST_URGENT:
            raise InvalidInput("A priority is from 0 to 9.", field="priority", hint="9 goes first.")

        def open_case(ledger: Ledger) -> tuple[CaseRow, bool]:
            if ledger.cases.backlog() >= self._queue_limit:
                raise Busy("Too many cases wait to be worked on.", retry_after=5, hint="Send it again later.")
            case, new = ledger.cases.open(
                kind=kind,
                payload=payload,
                subject=subject,
                opened_by=person.id,
                request_key=request_key,
                priority=priority,
            )
            if new:
                ledger.cases.post(case, source="api", event_id=case.id, event="case.submitted", payload={})
                body = {"kind": kind, "by": person.id, "payload": case.payload_digest}
                ledger.audit.append("case.opened", body, case_id=case.id)
                ledger.outbox.tell(case, "case.opened", {"kind": kind})
                ledger.trace.add(case.id, "case.opened", {"kind": kind, "by": person.id, "subject": subject})
            return case, new

        case, new = await self._database.write(person.workspace, open_case)
        if new:
            self._stream.publish()
            await self._ring(person.workspace, case.id)
        return case, new

    async def say(self, person: Person, case_id: str, words: Words) -> Taken:
        """The customer writes again, by the word of whoever opened their case: what waits for people is superseded.

        The same message is taken once. A case that is over stays so, and takes none. Raises `NotFound`, `Busy`.
        """
        require(person, Permission.SUBMIT)

        def hand_in(ledger: Ledger) -> Taken:
            case = ledger.cases.get(case_id, lock=True)
            if case.opened_by != person.id:
                require(person, Permission.OPERATE)
            return take(ledger, case, words, person.id)

        taken = await self._database.write(person.workspace, hand_in)
        if taken.new:
            self._stream.publish()
            await self._ring(person.workspace, case_id)
        return taken

    async def want(
        self, person: Person, case_id: str, desired: Desired, versions: frozenset[int] | None = None
    ) -> CaseRow:
        """Pause, resume or cancel. It takes hold before the next effect, at the latest.

        Raises `PreconditionFailed` where the case is at none of `versions`; None is any.
        """
        return await self._want(person, case_id, desired, versions)

    async def retry(self, person: Person, case_id: str, versions: frozenset[int] | None = None) -> CaseRow:
        """Tries a case again that failed, or that waits until something outside is back. Raises `Conflict`."""
        return await self._want(person, case_id, Desired.RUN, versions, again=True)

    async def _want(
        self, person: Person, case_id: str, desired: Desired, versions: frozenset[int] | None, *, again: bool = False
    ) -> CaseRow:
        require(person, Permission.OPERATE)

        def ask(ledger: Ledger) -> CaseRow:
            case = ledger.cases.get(case_id, lock=True)
            if versions is not None and case.version not in versions:
                raise PreconditionFailed(
                    "The case has changed since you looked at it.",
                    hint="Look at it again, and send its new ETag.",
                    present=str(case.status),
                )
            delayed = case.status == CaseStatus.PAUSED and case.desired == Desired.RUN
            if again and case.status != CaseStatus.FAILED and not delayed:
                raise Conflict(
                    f"The case is {case.status}: nothing of it failed.",
                    hint="A case that people paused is resumed.",
                    present=str(case.status),
                )
            if case.status in FINISHED:
                raise Conflict(f"The case is {case.status}.", hint="Nothing is left to do.", present=str(case.status))
            if desired is Desired.RUN and case.status == CaseStatus.FAILED:
                incidents.withdraw_recovery(ledger, case)
            if case.desired != desired:
                case.desired = desired
                case.version += 1  # whoever looked before has not seen this
            was = CaseStatus(case.status)
            if desired is Desired.RUN and was in (CaseStatus.PAUSED, CaseStatus.FAILED):
                ledger.cases.move(case, CaseStatus.OPEN)
            ledger.session.add(case)
            nudge = f"{case.id}:{desired}:{case.version}"
            ledger.cases.post(case, source="desk", event_id=nudge, event=f"case.{desired}", payload={})
            body = {"desired": str(desired), "by": person.id}
            ledger.audit.append("case.wanted", body, case_id=case.id)
            ledger.trace.add(case.id, "case.wanted", body)
            if was != case.status:
                ledger.trace.add(case.id, "case.retried" if again or was is CaseStatus.FAILED else "case.resumed", {})
            return case

        case = await self._database.write(person.workspace, ask)
        self._stream.publish()
        await self._ring(person.workspace, case.id)
        return case
