"""Where graphs keep their state between segments.

The library's SQLite saver, called right in the event loop: measured on 20 steps, its own asynchronous
twin cost 69 ms of CPU a run and this 25 (docs/decisions/0003). A commit survives the process but not a
power cut; the ledger, which does, refuses what an older checkpoint would propose anew.
"""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.sqlite import SqliteSaver

from engine import fence
from graphs.checkpoints_kept import Kept


class InlineSqliteSaver(SqliteSaver):
    """One file, one connection, no thread between a step and its checkpoint."""

    serde = Kept()
    explained: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)
    """Around whatever uses the file: it says what the database's errors mean."""

    @classmethod
    def at(cls, path: Path | str) -> InlineSqliteSaver:
        connection = sqlite3.connect(path, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # of a new file: what is pruned makes it smaller
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        saver = cls(connection)
        saver.setup()
        return saver

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        """All of a step's writes or none: the library's own commits what there is when the disk is full halfway."""
        with self.lock, self.explained(), closing(self.conn.cursor()) as cursor:
            try:
                yield cursor
                if transaction:
                    self.conn.commit()
            except BaseException:  # whatever cut it off, half a step is no step
                self.conn.rollback()
                raise

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self.get_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        self._hold(config)
        return self.put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._hold(config)
        self.put_writes(config, writes, task_id, task_path)

    def _hold(self, config: RunnableConfig) -> None:
        """Nobody but this process takes a case over here, and it knows. Raises `SegmentLost`."""
        if (mine := fence.in_hand(str(config["configurable"]["thread_id"]))) is not None:
            mine.hold(mine.epoch)

    async def adelete_thread(self, thread_id: str) -> None:
        self.delete_thread(thread_id)

    def close(self) -> None:
        self.conn.close()


# The library asks for it at the beginning of each run, and making it costs as much as a checkpoint.
setattr(InlineSqliteSaver.aput_writes, "__signature__", inspect.signature(InlineSqliteSaver.aput_writes))  # noqa: B010
