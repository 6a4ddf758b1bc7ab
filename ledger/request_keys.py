"""Idempotency keys of requests: what was asked under a key is done once, and answered alike when it comes again.

A key's row is written in the first transaction of its request, with what that changes: both are kept, or neither is. So
a crash neither lets a request run twice nor locks its key where nothing was done, and no lease is needed. Of two
requests with one key at a time the second finds the row and is rolled back. The answer is added afterwards, and does
not last through a power cut: without it the row still says that it was begun. It goes with the cases that it tells of,
when they are erased.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Text, update
from sqlmodel import Field, Session, col, select

from core.errors import KeyInUse
from core.ids import digest
from ledger.columns import a_time, json_object, sealed_text
from ledger.pen import Pen
from ledger.tables import ReviewRow, Row

_ID = "[0-9a-z]{26}"


class RequestKeyRow(Row, table=True):
    __tablename__ = "request_key"
    id: str = Field(primary_key=True, max_length=64)
    """Digest of workspace, person and key."""
    person: str = Field(max_length=64)
    request: str = Field(max_length=64)
    """Digest of what was asked, and with which rights."""
    status: int = 0
    """Of the answer; 0 while there is none."""
    headers: dict[str, str] = json_object()
    answer: str = sealed_text("request_key.answer")
    cases: str = Field(default="", sa_type=Text)
    """Of which the answer tells, each between two spaces."""
    begun_at: datetime = a_time(index=True)


@dataclass
class Keyed:
    """A request that came with a key, while it is being carried out."""

    workspace: str
    person: str
    key: str
    request: str
    kept: bool = False
    """Its row is committed, and with it something that it did."""
    over: bool = False
    """What is written from now on, by tasks that it began, is not its own."""
    id: str = field(init=False)

    def __post_init__(self) -> None:
        self.id = digest([self.workspace, self.person, self.key])


AT_WORK: ContextVar[Keyed | None] = ContextVar("AT_WORK", default=None)
"""The keyed request that this task carries out: the unit of work puts its row beside what it writes."""


def at_work() -> Keyed | None:
    """The one whose row is still to be written."""
    found = AT_WORK.get()
    return None if found is None or found.kept or found.over else found


class RequestKeys:
    def __init__(self, session: Session, now: datetime, pen: Pen) -> None:
        self._session = session
        self._now = now
        self._pen = pen

    def find(self, keyed: Keyed) -> RequestKeyRow | None:
        return self._session.get(RequestKeyRow, keyed.id)

    def begin(self, keyed: Keyed) -> None:
        """Raises `KeyInUse` where another request with this key was faster: the transaction comes to nothing."""
        row = {
            "workspace": keyed.workspace,
            "id": keyed.id,
            "person": keyed.person,
            "request": keyed.request,
            "status": 0,
            "headers": {},
            "answer": "",
            "cases": "",
            "begun_at": self._now,
        }
        if self._pen.insert(RequestKeyRow, [row]) != 1:
            raise KeyInUse(
                "A request with this idempotency key is being carried out.",
                hint="Wait for its answer, or send it again in a moment.",
                retry_after=1,
            )

    def answered(self, keyed: Keyed, status: int, headers: dict[str, str], answer: str, path: str = "") -> None:
        row = self._session.get(RequestKeyRow, keyed.id)
        if row is None:  # it changed nothing, and is answered alike all the same
            self.begin(keyed)
            row = self._session.get_one(RequestKeyRow, keyed.id)
        row.status, row.headers, row.answer = status, headers, answer
        row.cases = f" {' '.join(self._cases(f'{path} {answer}'))} "
        self._session.add(row)

    def _cases(self, text: str) -> list[str]:
        """Those that it names, by themselves or by an approval."""
        asked = select(ReviewRow.case_id).where(col(ReviewRow.id).in_(set(re.findall(rf"\brev_{_ID}", text))))
        return sorted({*re.findall(rf"\bcase_{_ID}", text), *self._session.exec(asked)})

    def forget(self, case_id: str) -> int:
        """What is kept as an answer that tells of a case. The keys stay taken."""
        told = col(RequestKeyRow.cases).contains(f" {case_id} ", autoescape=True)
        blank = update(RequestKeyRow).where(told).values(status=0, headers={}, answer="", cases="")
        gone: Any = self._session.execute(blank, execution_options={"synchronize_session": False})
        return int(gone.rowcount)
