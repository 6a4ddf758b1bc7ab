"""Checkpoints on a PostgreSQL server: the library's own saver, on the house's one pool, with no lock between cases.

The library's saver takes one lock for each of its calls, whatever its pool holds. Each call here runs in a thread,
with a connection of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg import Connection, Cursor
from psycopg.errors import UndefinedTable
from psycopg.rows import DictRow, dict_row

from engine import fence
from engine.fence import Fence
from graphs.checkpoints_kept import Kept, Text

_LOCK = 0x_C0DE_51_68
"""Of the server's advisory locks, the one that whoever makes these tables holds."""

Lend = Callable[[bool], AbstractContextManager[Connection[Any]]]
"""Lends a connection in a transaction that is committed at its end; or, told True, one that commits each statement."""


class PooledPostgresSaver(PostgresSaver):
    serde = Kept()

    def __init__(self, lend: Lend) -> None:
        super().__init__(None)  # type: ignore[arg-type]  # it has no connection of its own
        self._lend = lend

    def setup_once(self) -> None:
        """Makes the tables, once, whoever else starts at the same moment.

        Nobody waits inside the server: its indexes are built concurrently, and that waits for every open statement.
        """
        with self._lend(True) as guard:
            while not self._is_set_up(guard):
                if guard.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() == (True,):
                    try:
                        self.setup()
                    finally:
                        guard.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
                time.sleep(0.05)

    def _is_set_up(self, connection: Connection[Any]) -> bool:
        try:
            found = connection.execute("SELECT max(v) FROM checkpoint_migrations").fetchone()
        except UndefinedTable:
            return False
        return found is not None and found[0] == len(self.MIGRATIONS) - 1

    def setup(self) -> None:
        with self._lend(True) as connection, connection.cursor(row_factory=dict_row) as cursor:
            self._cursor_for_setup = cursor
            try:
                super().setup()
            finally:
                del self._cursor_for_setup

    @contextmanager
    def _cursor(self, *, pipeline: bool = False) -> Iterator[Cursor[DictRow]]:
        if "_cursor_for_setup" in self.__dict__:
            yield self._cursor_for_setup
            return
        with self._lend(False) as connection, connection.cursor(binary=True, row_factory=dict_row) as cursor:
            # The library asks for a pipeline where it writes.
            if pipeline and (mine := fence.of_this_task()) is not None:
                self._hold(cursor, mine)
            yield cursor

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Texts go where lists go, through the serializer: the library would write them into the row, in the clear."""
        values = checkpoint["channel_values"]
        texts = {name: Text(value) for name, value in values.items() if isinstance(value, str)}
        versions = {name: checkpoint["channel_versions"][name] for name in texts}
        kept: Checkpoint = {**checkpoint, "channel_values": {**values, **texts}}
        return super().put(config, kept, metadata, {**new_versions, **versions})

    def _hold(self, cursor: Cursor[DictRow], mine: Fence) -> None:
        """The case can't be taken over before this transaction's end. Raises `SegmentLost`."""
        case = cursor.execute('SELECT epoch FROM "case" WHERE id = %s FOR SHARE', (mine.case_id,)).fetchone()
        mine.hold(case["epoch"] if case else None)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await asyncio.to_thread(self.get_tuple, config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        await asyncio.to_thread(self.delete_thread, thread_id)

    def close(self) -> None:
        """The pool is the database's."""
