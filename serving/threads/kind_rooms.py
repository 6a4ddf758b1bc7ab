"""The rooms of the house that a case's thread enters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from core.people import Person
from engine.intake import Intake
from engine.reviews import ReviewDesk
from engine.stream import Stream
from graphs.kind import TaskKind
from ledger.database import Database
from ledger.tables import CaseRow
from tools.contract import Toolbelt


class Rooms(Protocol):
    """What of the house is needed here."""

    @property
    def database(self) -> Database: ...
    @property
    def stream(self) -> Stream: ...
    @property
    def kinds(self) -> Mapping[str, TaskKind]: ...
    @property
    def tools(self) -> Toolbelt: ...
    @property
    def intake(self) -> Intake: ...
    @property
    def desk(self) -> ReviewDesk: ...

    async def submit(
        self, person: Person, kind: str, payload: Mapping[str, Any], request_key: str | None = None
    ) -> tuple[CaseRow, bool]: ...
