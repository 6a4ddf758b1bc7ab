"""Housekeeping: what no case needs any more goes, in small pieces, now and then and by command.

Nothing here decides anything: a row that goes has served its time, and what cases were decided by, approved and paid
stays for ever. Each piece is done over after a crash. Several processes may keep house at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from core.people import HOME
from core.settings import EngineSettings, RetentionSettings
from core.states import CaseStatus
from ledger.database import Database, Ledger
from ledger.retention import Named
from ledger.tables import SYSTEM

log = logging.getLogger("countersign.engine")

_CASES = 50
_ROWS = 1_000
"""Of a piece: no lock is held for longer than it takes, some ten milliseconds."""
_EVERY = timedelta(minutes=10)
_FRESH_S = 24 * 3600.0
"""A file that came less than a day ago may be named by a case that is about to be submitted."""
_SENT = re.compile(r"[0-9a-f]{40}(\.[0-9a-f]+)?")
"""The name of a file that came by the API; with an end of its own, one that was never written to its end."""


class Checkpoints(Protocol):
    """What graphs remember of cases."""

    async def keep_last(self, case_ids: Sequence[str]) -> dict[str, int]:
        """Cuts all but the last step of each. Says how many went; a case that others cut right now is left out."""
        ...

    async def forget(self, case_ids: Sequence[str]) -> None:
        """Cuts everything."""
        ...


@dataclass(frozen=True)
class Terms:
    """How long what is kept."""

    steps: timedelta
    spent: timedelta
    content: Mapping[CaseStatus, timedelta] = field(default_factory=dict)
    """Of a finished case, by how it ended. What is not named is kept for ever."""

    @classmethod
    def of(cls, engine: EngineSettings, retention: RetentionSettings) -> Terms:
        days = {CaseStatus.CLOSED: retention.closed_days, CaseStatus.CANCELLED: retention.cancelled_days}
        return cls(
            steps=timedelta(days=engine.keep_checkpoints_days),
            spent=timedelta(days=retention.spent_days),
            content={status: timedelta(days=many) for status, many in days.items() if many is not None},
        )

    def content_before(self, now: datetime) -> dict[CaseStatus, datetime]:
        return {status: now - kept for status, kept in self.content.items()}


class Housekeeper:
    def __init__(
        self,
        database: Database,
        checkpoints: Checkpoints,
        attachments: Path,
        terms: Terms,
        prune_queue: Callable[[datetime], Awaitable[int]] | None = None,
    ) -> None:
        """`prune_queue` deletes what the queue keeps of segments that ended before; who has no queue leaves it."""
        self._database = database
        self._checkpoints = checkpoints
        self._attachments = attachments
        self._terms = terms
        self._prune_queue = prune_queue
        self._next: datetime | None = None
        self._done: Counter[str] = Counter()
        self._in_use: set[str] = set()
        """Files that a case names: each is looked for once in a process."""

    async def chore(self) -> None:
        """One piece of each, every ten minutes, or at each round while there is more."""
        if self._next is not None and self._database.clock.now() < self._next:
            return
        if await self._piece(self._done):
            return
        if self._prune_queue is not None:
            before = self._database.clock.now() - self._terms.spent
            self._done["queue rows"] += await self._prune_queue(before)
        self._next = self._database.clock.now() + _EVERY
        done, self._done = self._done, Counter()
        await self._tell(done)

    async def run(self) -> dict[str, int]:
        """All that there is to do. Says how many of what went."""
        done: Counter[str] = Counter()
        try:
            while await self._piece(done):  # noqa: ASYNC110 - it waits for nothing, it lets others go on
                await asyncio.sleep(0)
        finally:
            await self._tell(done)
        return dict(+done)

    async def plan(self) -> dict[str, int]:
        """What `run` would take in hand. Nothing is changed."""

        def count(ledger: Ledger) -> dict[str, int]:
            return {
                "cases cut to their last step": ledger.retention.prunable(ledger.now - self._terms.steps),
                "cases erased": ledger.retention.erasable(self._terms.content_before(ledger.now)),
                **{f"{table} rows": n for table, n in ledger.retention.spent(ledger.now - self._terms.spent).items()},
            }

        found = Counter(await self._database.read(SYSTEM, count))
        found["attachments that no case names"] = len(await self._named_by_none(await self._old_files()))
        return dict(+found)

    async def _piece(self, done: Counter[str]) -> bool:
        """Whether there may be more."""
        more = await self._erase(done)
        more |= await self._prune(done)
        more |= await self._drop_unnamed(done)
        return await self._sweep_out(done) or more

    async def _prune(self, done: Counter[str]) -> bool:
        def find(ledger: Ledger) -> list[str]:
            return ledger.retention.to_prune(ledger.now - self._terms.steps, _CASES)

        if not (found := await self._database.read(SYSTEM, find)):
            return False
        gone = await self._checkpoints.keep_last(found)  # before the mark: a crash between them repeats it

        def mark(ledger: Ledger) -> int:
            rows = ledger.retention.pruned(list(gone))
            for row in rows:
                if gone[row.id]:
                    body = {"steps": gone[row.id], "kept": "the last step"}
                    ledger.trace.add(row.id, "case.pruned", body, workspace=row.workspace)
            return len(rows)

        marked = await self._database.write(SYSTEM, mark, durable=False)
        done["cases cut to their last step"] += marked
        done["steps"] += sum(gone.values())
        return marked > 0

    async def _erase(self, done: Counter[str]) -> bool:
        def find(ledger: Ledger) -> list[Named]:
            return ledger.retention.to_erase(self._terms.content_before(ledger.now), _CASES)

        if not (cases := await self._database.read(SYSTEM, find)):
            return False
        await self.erase(cases, done)
        return True

    async def erase(self, cases: Sequence[Named], done: Counter[str]) -> None:
        """What these cases hold goes, on every disk: they are over, and nothing holds them."""
        files = await self._files_of(cases)
        for name in files:
            (self._attachments / name).unlink(missing_ok=True)
        done["attachments"] += len(files)
        self._in_use.difference_update(*(case.words for case in cases))
        await self._checkpoints.forget([case.case_id for case in cases])
        for case in cases:  # last: what is not marked yet is done over
            gone = await self._database.write(SYSTEM, lambda ledger, case=case: _erased(ledger, case))  # type: ignore[misc]
            done["cases erased"] += gone is not None
            done["trace rows"] += (gone or {}).get("trace", 0)

    async def _files_of(self, cases: Sequence[Named]) -> list[str]:
        """Attachments that these cases name, and no other one."""
        refs = sorted({word for case in cases for word in case.words if self._is_file(word)})
        ids = [case.case_id for case in cases]
        if not refs:
            return []

        def look(ledger: Ledger) -> set[str]:
            return ledger.retention.named_elsewhere(refs, ids)

        # In a thread, on SQLite too: it reads every case's payload.
        elsewhere = await asyncio.to_thread(self._database.transact, SYSTEM, look, False)
        return [ref for ref in refs if ref not in elsewhere]

    async def _drop_unnamed(self, done: Counter[str]) -> bool:
        """Files of which no case was made within a day: whoever sent them did not go on."""
        found = (await self._old_files())[:_CASES]
        for name in await self._named_by_none(found):
            (self._attachments / name).unlink(missing_ok=True)
            done["attachments"] += 1
        return len(found) == _CASES

    async def _named_by_none(self, names: list[str]) -> list[str]:
        for start in range(0, len(names), _CASES):

            def look(ledger: Ledger, some: Sequence[str] = names[start : start + _CASES]) -> set[str]:
                return ledger.retention.named_elsewhere(some, [])

            self._in_use |= await asyncio.to_thread(self._database.transact, SYSTEM, look, False)
        return [name for name in names if name not in self._in_use and self._is_old(name)]

    async def _old_files(self) -> list[str]:
        """Those that may be in nobody's use."""

        def look() -> list[str]:
            names = os.listdir(self._attachments) if self._attachments.is_dir() else []
            sent = (name for name in names if _SENT.fullmatch(name) and name not in self._in_use)
            return sorted(name for name in sent if self._is_old(name))

        return await asyncio.to_thread(look)

    def _is_file(self, word: str) -> bool:
        """Whether a text of a payload is the name of an attachment that may go."""
        if not word.isalnum() or len(word) > 100:
            return False
        return self._is_old(word)

    def _is_old(self, name: str) -> bool:
        path = self._attachments / name
        return path.is_file() and time.time() - path.stat().st_mtime > _FRESH_S

    async def _sweep_out(self, done: Counter[str]) -> bool:
        def sweep_out(ledger: Ledger) -> dict[str, int]:
            return ledger.retention.sweep_out(ledger.now - self._terms.spent, _ROWS)

        gone = await self._database.write(SYSTEM, sweep_out, durable=False)
        done.update({f"{table} rows": n for table, n in gone.items()})
        return any(n == _ROWS for n in gone.values())

    async def _tell(self, done: Counter[str]) -> None:
        """One entry of the audit chain for a run in which anything went."""
        if body := dict(+done):
            await self._database.write(
                SYSTEM, lambda ledger: ledger.audit.append("housekeeping.done", body, workspace=HOME)
            )
            log.info("housekeeping: %s", body)


def _erased(ledger: Ledger, case: Named) -> dict[str, int] | None:
    gone = ledger.retention.erase(case.case_id)
    if gone is not None:
        body = {"rows": gone}
        ledger.audit.append("case.erased", body, case_id=case.case_id, workspace=case.workspace)
        ledger.trace.add(case.case_id, "case.erased", body, workspace=case.workspace)
    return gone


def since_when(ledger: Ledger, case_id: str) -> datetime | None:
    """Since when the earlier steps of a case are gone, or None: fork and rewind can go back to the last one only."""
    case = ledger.cases.get(case_id)
    if case.erased_at or case.pruned_at:
        return case.erased_at or case.pruned_at
    cut = [row.at for row in ledger.trace.of_case(case_id, limit=100_000) if row.type == "case.pruned"]
    return cut[-1] if cut else None
