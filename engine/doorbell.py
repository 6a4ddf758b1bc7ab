"""The port of a task engine: what brings a case's segment to a worker soon, and in whose turn.

The inbox holds what is to be done, the case's row says who is at it, and the effects ledger what was done. So an engine
is only a doorbell: it may lose a ring (the sweeper rings again) and may give one twice (the second finds nothing to
do). What it owes is the order by priority, the limits, and soon. `tests/conformance/test_engine.py` holds every
adapter to that: `TaskBell`, and `DbosBell` on both databases. In another one, say for Temporal, a segment is an
activity.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ledger.database import Ledger

log = logging.getLogger("countersign.engine")

Work = Callable[[str, str], Coroutine[Any, Any, None]]
"""Works off the inbox of a case, given its workspace and id."""

Errands = frozenset[tuple[str, str]]
"""Workspace and id of cases."""

LAST_WORDS_S = 5.0
"""How long running segments may take to end when the house closes."""


@dataclass(frozen=True)
class Limits:
    """What holds segments back. Zero is no limit."""

    at_once: int
    """Segments that one process runs at a time."""
    in_all: int = 0
    """Segments that all processes together run at a time."""
    per_s: int = 0
    """Segments that all processes together begin in a second."""


class Doorbell(Protocol):
    async def start(self, work: Work) -> None:
        """From now on `work(workspace, case_id)` is called for each ring.

        What was rung for before a crash may be forgotten: the sweeper rings for it anew.
        """
        ...

    async def ring(self, workspace: str, case_id: str) -> None:
        """Has what waits in the case's inbox worked off, in the turn that the case's priority gives it.

        Rings for one case come to one segment at a time in this process; ringing twice does no harm.
        """
        ...

    async def take(self, workspace: str, case_id: str) -> None:
        """Has a case worked off in this very process, past the queue: one that no other may go on with.

        Where this process has its hands full, nothing happens; it is to be asked again.
        """
        ...

    async def drain(self, within_s: float) -> Errands:
        """Begins no more segments; whether those at work end by themselves in so many seconds.

        The others are broken off (`asyncio.CancelledError`) and told. That other processes are rung for them at
        once is not owed: the sweepers there ring.
        """
        ...

    async def reclaim(self, worker: str) -> int:
        """Gives what a dead process had taken to whoever is there. Returns how many rings that were."""
        ...

    async def prune(self, before: datetime) -> int:
        """Forgets rings that were answered before then. Returns how many."""
        ...

    async def stop(self) -> None:
        """Lets running segments end, for a few seconds; what is left goes on after the next start."""
        ...


@dataclass(frozen=True)
class Errand:
    """What a ring is for."""

    name: str
    """Tells this work from earlier and later work of the case."""
    priority: int
    """Higher goes first."""


def errand(ledger: Ledger, case_id: str) -> Errand | None:
    """What there is to do for a case, if there is anything."""
    waiting = ledger.cases.unprocessed(case_id)
    if not waiting:
        return None
    case = ledger.cases.get(case_id)
    return Errand(f"{case_id}:{waiting[0].seq}:{case.version}", case.priority)


class Hands:
    """The cases at work in this process, each by one segment. A ring for one of them brings it round once more."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._tasks: dict[tuple[str, str], asyncio.Task[Any]] = {}
        self._again: set[tuple[str, str]] = set()
        self._full = False

    def __len__(self) -> int:
        return len(self._tasks)

    def again(self, workspace: str, case_id: str) -> bool:
        """Whether the case is at work already; then it comes round again."""
        if (workspace, case_id) not in self._tasks:
            return False
        self._again.add((workspace, case_id))
        return True

    async def attend(self, workspace: str, case_id: str) -> bool:
        """Works a case off. False if it is too late for that."""
        if self._full:
            return False
        if self.again(workspace, case_id):
            return True
        this = (workspace, case_id)
        task = asyncio.current_task()
        assert task is not None
        self._tasks[this] = task
        try:
            self._again.add(this)
            while this in self._again and not self._full:
                self._again.discard(this)
                try:
                    await self._work(workspace, case_id)
                except asyncio.CancelledError:
                    raise
                except BaseException as died:  # whatever it was, somebody rang meanwhile: that ring is not lost with it
                    if this not in self._again or self._full:
                        raise
                    log.error("a segment died, and the case was rung for meanwhile: %r", died)
            return this not in self._again
        finally:
            del self._tasks[this]
            self._again.discard(this)

    async def let_go(self, within_s: float) -> Errands:
        """Takes no more cases. Returns those that had to be broken off."""
        self._full = True
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=within_s)
        left = dict(self._tasks)
        for task in left.values():
            task.cancel()
        await asyncio.gather(*left.values(), return_exceptions=True)
        return frozenset(left)
