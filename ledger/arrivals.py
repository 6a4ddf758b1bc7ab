"""Events from outside: which came before, whose turn it is, and what waits for others. Made for many at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func
from sqlmodel import Session, col, select

from ledger.pen import Pen
from ledger.process_tables import ArrivalRow, SourceRow
from ledger.tables import CaseRow, InboxRow

_AT_ONCE = 500
"""Values in one query."""

Line = tuple[str, str]
"""A source and a case: what is numbered in itself."""


class Seen(NamedTuple):
    """An event that is here already."""

    case_id: str
    digest: str


class Arrivals:
    def __init__(self, session: Session, now: datetime, pen: Pen) -> None:
        self._session = session
        self._now = now
        self._pen = pen

    def cases(self, ids: Collection[str]) -> dict[str, CaseRow]:
        """Those that there are, locked: in one order for all, so that nobody waits for each other."""
        found: dict[str, CaseRow] = {}
        for part in _parts(sorted(ids)):
            rows = select(CaseRow).where(col(CaseRow.id).in_(part)).order_by(col(CaseRow.id)).with_for_update()
            found |= {row.id: row for row in self._session.exec(rows)}
        return found

    def seen(self, source: str, ids: Collection[str]) -> dict[str, Seen]:
        """What came under these ids before, whether it is in an inbox or waits for its turn."""
        found: dict[str, Seen] = {}
        for part in _parts(sorted(ids)):
            for table in (InboxRow, ArrivalRow):
                known = select(table.event_id, table.case_id, table.payload).where(
                    table.source == source, col(table.event_id).in_(part)
                )
                for event_id, case_id, payload in self._session.exec(known):
                    found[event_id] = Seen(case_id, payload["event"]["digest"])
        return found

    def heads(self, lines: Collection[Line]) -> dict[Line, SourceRow]:
        """How far each source was heard; lock their cases first."""
        found: dict[Line, SourceRow] = {}
        for part in _parts(sorted({case for _, case in lines})):
            rows = select(SourceRow).where(col(SourceRow.case_id).in_(part))
            found |= {(row.source, row.case_id): row for row in self._session.exec(rows)}
        return {line: row for line, row in found.items() if line in lines}

    def start(self, line: Line, workspace: str) -> SourceRow:
        row = SourceRow(workspace=workspace, source=line[0], case_id=line[1])
        self._session.add(row)
        return row

    def waiting(self, lines: Collection[Line]) -> dict[Line, dict[int, datetime]]:
        """The numbers of what waits for its turn, and how long each waits; lock their cases first."""
        found: dict[Line, dict[int, datetime]] = {line: {} for line in lines}
        for part in _parts(sorted({case for _, case in lines})):
            rows = select(ArrivalRow.source, ArrivalRow.case_id, ArrivalRow.number, ArrivalRow.due_at)
            for source, case, number, due_at in self._session.exec(rows.where(col(ArrivalRow.case_id).in_(part))):
                if (line := (source, case)) in found:
                    found[line][number] = due_at
        return found

    def held(self, cases: Collection[str]) -> dict[str, int]:
        """How many wait for their turn in each case, whoever sent them."""
        found = dict.fromkeys(cases, 0)
        for part in _parts(sorted(cases)):
            count = select(ArrivalRow.case_id, func.count()).where(col(ArrivalRow.case_id).in_(part))
            found |= dict(self._session.exec(count.group_by(col(ArrivalRow.case_id))).all())
        return found

    def those(self, line: Line, numbers: Sequence[int]) -> Iterator[ArrivalRow]:
        """With what they say, in the order of their numbers."""
        for start in range(0, len(numbers), _AT_ONCE):
            rows = select(ArrivalRow).where(
                ArrivalRow.source == line[0],
                ArrivalRow.case_id == line[1],
                col(ArrivalRow.number).in_(numbers[start : start + _AT_ONCE]),
            )
            yield from self._session.exec(rows.order_by(col(ArrivalRow.number))).all()

    def hold(self, row: ArrivalRow) -> None:
        self._session.add(row)

    def let_go(self, row: ArrivalRow) -> None:
        if row in self._session.new:  # it came in this same transaction
            self._session.expunge(row)
        else:
            self._session.delete(row)

    def post(
        self, case: CaseRow, *, source: str, event_id: str, event: str, payload: dict[str, Any], note: str
    ) -> dict[str, Any]:
        """A row for the inbox, to be written with `put`. With a note it needs no segment any more."""
        row = {
            "workspace": case.workspace,
            "source": source,
            "event_id": event_id,
            "case_id": case.id,
            "seq": case.next_seq,
            "type": event,
            "payload": payload,
            "received_at": self._now,
            "processed_at": self._now if note else None,
            "note": note[:400],
        }
        case.next_seq += 1
        self._session.add(case)
        return row

    def put(self, rows: list[dict[str, Any]]) -> bool:
        """False if another process put one of them there meanwhile: then nothing of this transaction may stand."""
        return not rows or self._pen.insert(InboxRow, rows) == len(rows)

    def due(self, limit: int = 200) -> list[tuple[str, str, str]]:
        """Workspace, source and case of what has waited long enough."""
        found = (
            select(ArrivalRow.workspace, ArrivalRow.source, ArrivalRow.case_id)
            .where(col(ArrivalRow.due_at) <= self._now)
            .distinct()
            .limit(limit)
        )
        return list(self._session.exec(found))


def _parts(values: Iterable[str]) -> Iterator[list[str]]:
    every = list(values)
    for start in range(0, len(every), _AT_ONCE):
        yield every[start : start + _AT_ONCE]
