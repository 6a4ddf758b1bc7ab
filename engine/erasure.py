"""What is kept about a person: handed out to them, or erased.

Erasing destroys the keys of their cases (`ledger/keys.py`), and with it what people wrote in rows that stay: actions,
decisions, votes, the audit chain. Retention does the same to single cases when their time is over. What stays says that
something happened, when, by whom it was let and what it cost, under the id that the shop gave the person; whom that id
means, the shop knows, until it is erased there. A backup that was made before has the keys too, as long as the master
key that wraps them is kept (docs/data-protection.md).
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from core.errors import Conflict, InvalidInput, NotFound
from core.people import Person
from engine.housekeeping import Housekeeper
from ledger.database import Database, Ledger
from ledger.retention import Named, named
from ledger.tables import CaseRow

_BEGUN, _ERASED = "person.erasure.begun", "person.erased"


class PersonData:
    def __init__(self, database: Database, housekeeper: Housekeeper) -> None:
        self._database = database
        self._housekeeper = housekeeper

    async def export(self, person: Person, subject: str) -> dict[str, Any]:
        """All that is kept about somebody, as JSON. Raises `NotFound`."""

        def read(ledger: Ledger) -> dict[str, Any]:
            cases = _cases(ledger, subject)
            return {"subject": subject, "at": _json(ledger.now), "cases": [_case(ledger, case) for case in cases]}

        told = await self._database.read(person.workspace, read)

        def note(ledger: Ledger) -> None:
            ledger.audit.append("person.exported", {"by": person.id, "subject": subject, "cases": len(told["cases"])})

        await self._database.write(person.workspace, note)
        return told

    async def erase(self, person: Person, subject: str) -> dict[str, int]:
        """Says how many of what went; nothing where all is erased already.

        Raises `NotFound`, `Conflict` that names the cases which still need their data, and `InvalidInput` where
        nothing here is sealed, so that what is written in rows that stay could not be erased.
        """

        def look(ledger: Ledger) -> list[Named]:
            if self._database.keys is None:
                raise InvalidInput(
                    "This house keeps all in the clear: rows that stay can't be erased.",
                    hint="Switch COUNTERSIGN_KEYS__ENCRYPT on, and: countersign keys seal",
                )
            left = [case for case in _cases(ledger, subject) if case.erased_at is None]
            if held := ledger.retention.held([case.id for case in left]):
                told = ", ".join(f"{case} ({why})" for case, why in sorted(held.items())[:5])
                raise Conflict(
                    f"{len(held)} of {subject[:60]}'s cases are still needed: {told}.",
                    hint="Decide or cancel them first, and settle what is not known; then erase again.",
                    present="open",
                )
            return [named(case) for case in left]

        cases = await self._database.read(person.workspace, look)
        done: Counter[str] = Counter()
        if cases:
            who = {"by": person.id, "subject": subject}
            begun = {**who, "cases": len(cases)}  # before: cut off after the last case, nobody would come back for it
            await self._database.write(person.workspace, lambda ledger: ledger.audit.append(_BEGUN, begun))
            await self._housekeeper.erase(cases, done)
            body = {**who, **dict(+done)}
            await self._database.write(person.workspace, lambda ledger: ledger.audit.append(_ERASED, body))
            if await self._database.read(person.workspace, look):  # says which, and why, if one is needed again
                raise Conflict("Some cases were needed again meanwhile.", hint="Erase again.", present="open")
        return dict(+done)


def _cases(ledger: Ledger, subject: str) -> list[CaseRow]:
    found = ledger.retention.of_subject(subject)
    if not found:
        raise NotFound(
            f"There is no case about '{subject[:60]}'.", hint="countersign cases shows whom cases are about."
        )
    return found


def _case(ledger: Ledger, case: CaseRow) -> dict[str, Any]:
    reviews = ledger.reviews.of_case(case.id)
    actions = ledger.effects.actions(case.id)
    return {
        **_row(case),
        "actions": [
            {**_row(action), "decisions": [_row(each) for each in ledger.effects.decisions(action.id)]}
            for action in actions
        ],
        "reviews": [
            {**_row(review), "votes": [_row(each) for each in ledger.reviews.votes(review.id)]} for review in reviews
        ],
        "effects": [_row(run) for run in ledger.effects.runs(case.id)],
        "trace": [_row(entry) for entry in ledger.trace.of_case(case.id, limit=100_000)],
        "audit": [
            {**_row(entry), "body": ledger.audit.told(entry)}
            for entry in ledger.audit.entries(case_id=case.id, limit=100_000)
        ],
    }


def _row(row: Any) -> dict[str, Any]:
    fields = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    return {name: _json(value) for name, value in fields.items() if value not in (None, "", {}, [])}


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
