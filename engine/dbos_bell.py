"""Segments on a durable DBOS queue, which many processes share on a database server.

DBOS orders a queue by priority only where it has no partitions: of partitions it takes any. So the queue has none, and
one segment at a time for each case is held elsewhere: in a process by `Hands`, between processes by the mark on the
case's row (`engine/segments.py`). A second ring finds the case in work and costs one look at it. The limits are the
queue's, kept in its database: of processes with different settings, the one that started last says them for all.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from concurrent.futures import CancelledError
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

from core.ids import new_id
from engine.doorbell import LAST_WORDS_S, Errand, Errands, Hands, Limits, Work, errand
from ledger.database import Database
from ledger.trouble import explained

if TYPE_CHECKING:
    from dbos import DBOSConfig

log = logging.getLogger("countersign.engine")

_RING_AGAIN_S = 60.0
"""A segment that died with its worker's database gone left no trace in the queue: it is rung for anew."""
_MOST_RUNG = 10_000
_PAGE = 1_000

_LEAST_URGENT = 10
"""In DBOS 1 goes first; what has priority 9 with us has 1 there."""

QUEUE = "segments"
APPLICATION = "countersign"

_SQLITE = "sqlite:///"


class SegmentDied(Exception):
    """A segment ended in a way that nothing may swallow: the queue keeps it as an error and gives its place free."""


class DbosBell:
    """Only one can be started in a process at a time."""

    def __init__(
        self,
        database: Database,
        url: str,
        *,
        executor: str,
        limits: Limits,
        serves: bool = True,
        poll_s: float = 0.1,
    ) -> None:
        """With `serves` off it only rings: segments run in other processes. `executor` is this process's name."""
        from dbos import DBOSPortableJSONSerializer

        self._database = database
        self._serves = serves
        self._executor = executor
        self._file = url.removeprefix(_SQLITE) if url.startswith(_SQLITE) else ""
        self._config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_url": url,
            "executor_id": executor,
            "application_version": "1",  # of the one workflow: any release may go on with what others rang for
            "serializer": DBOSPortableJSONSerializer(),  # its default is pickle
            "log_level": "WARNING",
            "run_migrations": True,
        }
        if url.startswith("postgresql"):
            self._config["system_database_engine"] = database.engine
            self._config["use_listen_notify"] = False
        self._limits = limits
        self._poll_s = poll_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hands: Hands | None = None
        self._given_back: set[tuple[str, str]] = set()
        self._rung: dict[str, float] = {}
        self._launched = False
        self._taken: set[asyncio.Task[bool]] = set()

    async def start(self, work: Work) -> None:
        """Stronger than the port: what was rung for before a crash is in the queue still, for any process."""
        self._hands, self._loop = Hands(work), asyncio.get_running_loop()
        await asyncio.to_thread(self._launch)
        self._launched = True

    def _launch(self) -> None:
        from dbos import DBOS  # heavy: only a running worker needs it

        from engine import segment_workflow

        logging.getLogger("dbos").setLevel(logging.WARNING)
        if self._file:
            with closing(sqlite3.connect(self._file)) as queue:
                queue.execute("PRAGMA journal_mode=WAL")  # DBOS leaves it as it finds it: a third faster
        DBOS(config=self._config)
        segment_workflow.employ(self.perform)
        if not self._serves:
            DBOS.listen_queues([])
        with explained():
            DBOS.launch()
        kept: Literal["always_update", "never_update"] = "always_update" if self._serves else "never_update"
        at_once, in_all, per_s = self._limits.at_once, self._limits.in_all, self._limits.per_s
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=min(at_once, in_all) if in_all else at_once,
            global_concurrency=in_all or None,
            limiter={"limit": per_s, "period": 1.0} if per_s else None,
            polling_interval_sec=self._poll_s,
            on_conflict=kept,
        )
        if self._serves:
            time.sleep(1.2 * self._poll_s)  # the round that is under way has the limits of the last start still

    async def ring(self, workspace: str, case_id: str) -> None:
        if not self._launched or (self._hands is not None and self._hands.again(workspace, case_id)):
            return
        try:
            await self._ring(workspace, case_id)
        except Exception:  # what it rings for is committed already, and the sweeper rings again
            log.warning("a ring for %s was lost, and is made up for later", case_id, exc_info=True)

    async def _ring(self, workspace: str, case_id: str) -> None:
        what = await self._database.read(workspace, lambda ledger: errand(ledger, case_id))
        now = time.monotonic()
        if what and now - self._rung.get(what.name, -_RING_AGAIN_S) >= _RING_AGAIN_S:
            if len(self._rung) >= _MOST_RUNG:
                self._rung = {rung: at for rung, at in self._rung.items() if now - at < _RING_AGAIN_S}
            await asyncio.to_thread(self._enqueue, what, workspace, case_id, once=True)
            self._rung[what.name] = now

    async def take(self, workspace: str, case_id: str) -> None:
        if self._hands is None or len(self._hands) >= self._limits.at_once:
            return
        task = asyncio.create_task(self._hands.attend(workspace, case_id))
        self._taken.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[bool]) -> None:
        self._taken.discard(task)
        if not task.cancelled() and (died := task.exception()) is not None:
            log.error("a segment died, and is taken up again later: %r", died)

    def _enqueue(self, what: Errand, workspace: str, case_id: str, *, once: bool) -> None:
        """With `once`, a ring for the same errand that was not answered yet is enough, whoever gave it.

        Otherwise each process that starts beside a long queue would make it longer by all that wait in it.
        """
        from dbos import DBOS, SetEnqueueOptions, SetWorkflowID
        from dbos import error as dbos_error

        from engine import segment_workflow

        turn = SetEnqueueOptions(priority=_LEAST_URGENT - what.priority, deduplication_id=what.name if once else None)
        with SetWorkflowID(f"{what.name}:{new_id('ring')}"), turn, suppress(dbos_error.DBOSQueueDeduplicatedError):
            DBOS.enqueue_workflow(QUEUE, segment_workflow.segment, workspace, case_id)

    def perform(self, workspace: str, case_id: str) -> None:
        """Called in a thread of the queue: the work itself is done in the house's event loop."""
        assert self._loop is not None
        assert self._hands is not None
        try:
            done = asyncio.run_coroutine_threadsafe(self._hands.attend(workspace, case_id), self._loop).result()
        except CancelledError:
            return  # broken off: whoever did that rings for it
        except Exception:  # an error ends the workflow as it is; only a death is put into words below
            raise
        except BaseException as death:  # of the segment, not of this thread; left as it is it would hold its place
            raise SegmentDied(f"{type(death).__name__}: {death}") from death
        if not done:
            self._given_back.add((workspace, case_id))

    async def drain(self, within_s: float) -> Errands:
        """Stronger than the port: other processes are rung at once for what did not end or was not begun."""
        if not self._launched or self._hands is None:
            return frozenset()
        left = await self._hands.let_go(within_s)
        for workspace, case_id in sorted(self._given_back | left):
            what = await self._database.read(workspace, partial(errand, case_id=case_id))
            if what is not None:
                await asyncio.to_thread(self._enqueue, what, workspace, case_id, once=False)
        await self._close()
        return left

    async def _close(self) -> None:
        from dbos import DBOS

        self._launched = False
        await asyncio.to_thread(self._let_it_write)
        await asyncio.to_thread(DBOS.destroy)

    def _let_it_write(self) -> None:
        """DBOS writes that a segment ended after it has: a moment for that. What it misses is rung for once more."""
        from dbos import DBOS

        for _ in range(20):
            if not DBOS.list_workflows(
                status="PENDING", executor_id=self._executor, queue_name=QUEUE, limit=1, load_input=False
            ):
                return
            time.sleep(0.02)

    async def reclaim(self, worker: str) -> int:
        return await asyncio.to_thread(self._reclaim, worker) if self._launched else 0

    def _reclaim(self, worker: str) -> int:
        from dbos import DBOS

        taken = DBOS.list_workflows(status="PENDING", executor_id=worker, queue_name=QUEUE, load_input=False)
        if taken:
            DBOS.resume_workflows([each.workflow_id for each in taken], queue_name=QUEUE)
        return len(taken)

    async def prune(self, before: datetime) -> int:
        return await asyncio.to_thread(self._prune, before) if self._launched else 0

    def _prune(self, before: datetime) -> int:
        from dbos import DBOS

        pruned = 0
        while True:
            answered = DBOS.list_workflows(
                status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
                completed_before=before.astimezone(UTC).isoformat(),
                queue_name=QUEUE,
                limit=_PAGE,
                load_input=False,
                load_output=False,
            )
            if answered:
                DBOS.delete_workflows([each.workflow_id for each in answered])
            pruned += len(answered)
            if len(answered) < _PAGE:
                return pruned

    async def stop(self) -> None:
        await self.drain(LAST_WORDS_S)
