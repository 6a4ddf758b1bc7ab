"""Doorbells: they bring a case's segment to a worker soon. The inbox, not the bell, holds what is to be done.

`DbosBell` is a durable queue with one segment a case at a time; on a database server many workers share
it. `TaskBell` runs segments as tasks of this process, for suites that open a house for seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from core.ids import new_id
from ledger.database import Database, Ledger

if TYPE_CHECKING:
    from dbos import DBOSConfig

log = logging.getLogger("countersign.engine")

Work = Callable[[str, str], Coroutine[Any, Any, None]]

_RING_AGAIN_S = 60.0
"""A segment that died with its worker's database gone left no trace in the queue: it is rung for anew."""
_MOST_RUNG = 10_000
_LAST_WORDS_S = 5
"""How long running segments may take to end when the house closes."""

QUEUE = "segments"
APPLICATION = "countersign"


class Doorbell(Protocol):
    async def start(self, work: Work) -> None:
        """From now on `work(workspace, case_id)` is called for each ring, also for those before a crash."""
        ...

    async def ring(self, workspace: str, case_id: str) -> None:
        """There is something to do for this case. Ringing twice does no harm."""
        ...

    async def stop(self) -> None:
        """Lets running segments end, for a few seconds; what is left goes on after the next start."""
        ...


class TaskBell:
    def __init__(self, concurrency: int) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: set[str] = set()
        self._work: Work | None = None

    async def start(self, work: Work) -> None:
        self._work = work

    async def ring(self, workspace: str, case_id: str) -> None:
        if case_id in self._waiting:
            return
        self._waiting.add(case_id)
        task = asyncio.create_task(self._run(workspace, case_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, workspace: str, case_id: str) -> None:
        async with self._slots:
            self._waiting.discard(case_id)
            if self._work is not None:
                await self._work(workspace, case_id)

    async def stop(self) -> None:
        self._work = None  # who has not begun does not begin any more
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LAST_WORDS_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class DbosBell:
    """Segments on a DBOS queue, partitioned by case. Only one can be started in a process at a time."""

    def __init__(self, database: Database, url: str, *, executor: str, concurrency: int, poll_s: float = 0.1) -> None:
        self._database = database
        self._config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_url": url,
            "executor_id": executor,
            "application_version": "1",
            "log_level": "WARNING",
            "run_migrations": True,
        }
        self._concurrency = concurrency
        self._poll_s = poll_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: Work | None = None
        self._rung: dict[str, float] = {}

    async def start(self, work: Work) -> None:
        self._work, self._loop = work, asyncio.get_running_loop()
        await asyncio.to_thread(self._launch)

    def _launch(self) -> None:
        from dbos import DBOS  # heavy: only a running worker needs it

        from engine import segment_workflow

        logging.getLogger("dbos").setLevel(logging.WARNING)
        DBOS(config=self._config)
        segment_workflow.employ(self.perform)
        DBOS.launch()
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=self._concurrency,
            partition_concurrency=1,
            polling_interval_sec=self._poll_s,
            on_conflict="always_update",
        )

    async def ring(self, workspace: str, case_id: str) -> None:
        name = await self._database.read(workspace, lambda ledger: _segment_name(ledger, case_id))
        now = time.monotonic()
        if name and now - self._rung.get(name, -_RING_AGAIN_S) >= _RING_AGAIN_S:
            if len(self._rung) >= _MOST_RUNG:
                self._rung = {rung: at for rung, at in self._rung.items() if now - at < _RING_AGAIN_S}
            self._rung[name] = now
            await asyncio.to_thread(self._enqueue, f"{name}:{new_id('ring')}", workspace, case_id)

    def _enqueue(self, name: str, workspace: str, case_id: str) -> None:
        from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

        from engine import segment_workflow

        with SetWorkflowID(name), SetEnqueueOptions(queue_partition_key=case_id):
            DBOS.enqueue_workflow(QUEUE, segment_workflow.segment, workspace, case_id)

    def perform(self, workspace: str, case_id: str) -> None:
        """Called in a thread of the queue: the work itself is done in the house's event loop."""
        assert self._loop is not None
        assert self._work is not None
        asyncio.run_coroutine_threadsafe(self._work(workspace, case_id), self._loop).result()

    async def stop(self) -> None:
        from dbos import DBOS

        await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=_LAST_WORDS_S)


def _segment_name(ledger: Ledger, case_id: str) -> str:
    """Names what there is to do, so that ringing again for the same thing soon is a no-op."""
    waiting = ledger.cases.unprocessed(case_id)
    return f"{case_id}:{waiting[0].seq}:{ledger.cases.get(case_id).version}" if waiting else ""
