"""Cuts what graphs remember down to the last step, from which a case goes on, or to nothing.

The last checkpoint holds the whole state, and its writes the open questions, so nothing is lost for the case: only
the way back to earlier steps. No channel of `CaseState` is kept as differences, which would need that way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from core.errors import DatabaseUnavailable
from graphs.checkpoints import InlineSqliteSaver

if TYPE_CHECKING:
    from graphs.checkpoints_server import PooledPostgresSaver

_PAGES = 2_000
"""Of a file, given back to the disk at a time: 8 MB, in some ten milliseconds."""

_OLDER = """
    thread_id = :thread AND checkpoint_id < (
        SELECT max(checkpoint_id) FROM checkpoints AS last
        WHERE last.thread_id = checkpoints.thread_id AND last.checkpoint_ns = checkpoints.checkpoint_ns)"""
_ORPHANED = """
    thread_id = :thread AND NOT EXISTS (
        SELECT 1 FROM checkpoints AS kept WHERE kept.thread_id = writes.thread_id
        AND kept.checkpoint_ns = writes.checkpoint_ns AND kept.checkpoint_id = writes.checkpoint_id)"""


class FilePruner:
    """On SQLite, whose library saver can only delete whole threads."""

    def __init__(self, saver: InlineSqliteSaver) -> None:
        self._saver = saver

    async def keep_last(self, case_ids: Sequence[str]) -> dict[str, int]:
        """How many checkpoints of each case are gone."""
        gone: dict[str, int] = {}
        with self._saver.cursor() as cursor:
            for case_id in case_ids:
                thread = {"thread": case_id}
                gone[case_id] = cursor.execute(f"DELETE FROM checkpoints WHERE {_OLDER}", thread).rowcount
                cursor.execute(f"DELETE FROM writes WHERE {_ORPHANED}", thread)
                cursor.execute("UPDATE checkpoints SET parent_checkpoint_id = NULL WHERE thread_id = :thread", thread)
        self._give_back()
        return gone

    async def forget(self, case_ids: Sequence[str]) -> None:
        for case_id in case_ids:
            self._saver.delete_thread(case_id)
        self._give_back()

    def _give_back(self) -> None:
        """Pages that are free go back to the disk, where the file was made for it; in others they are used again."""
        with self._saver.cursor() as cursor:
            cursor.executescript(f"PRAGMA incremental_vacuum({_PAGES})")  # `execute` gives back one page only


class ServerPruner:
    """On PostgreSQL, by the library's own pruning."""

    def __init__(self, saver: PooledPostgresSaver) -> None:
        self._saver = saver

    async def keep_last(self, case_ids: Sequence[str]) -> dict[str, int]:
        """How many checkpoints of each case are gone. A case that another process prunes right now is left out."""
        return await asyncio.to_thread(self._keep_last, case_ids)

    def _keep_last(self, case_ids: Sequence[str]) -> dict[str, int]:
        from psycopg.errors import DeadlockDetected, SerializationFailure

        saver, gone = _committing_each(self._saver), dict[str, int]()
        for case_id in case_ids:
            before = self._steps(case_id)
            try:
                saver.prune([case_id], strategy="keep_latest")
            except DatabaseUnavailable as error:
                if isinstance(error.__cause__, SerializationFailure | DeadlockDetected):
                    continue
                raise
            gone[case_id] = max(0, before - self._steps(case_id))
        return gone

    def _steps(self, case_id: str) -> int:
        with self._saver._cursor() as cursor:
            row = cursor.execute("SELECT count(*) AS n FROM checkpoints WHERE thread_id = %s", (case_id,)).fetchone()
            return int(row["n"]) if row else 0

    async def forget(self, case_ids: Sequence[str]) -> None:
        await asyncio.to_thread(_committing_each(self._saver).prune, list(case_ids), strategy="delete")


def pruner(saver: InlineSqliteSaver | PooledPostgresSaver) -> FilePruner | ServerPruner:
    return FilePruner(saver) if isinstance(saver, InlineSqliteSaver) else ServerPruner(saver)


def _committing_each(saver: PooledPostgresSaver) -> PooledPostgresSaver:
    """The library begins each thread's transaction itself, on a level that can't be set inside another one."""
    from psycopg import Cursor
    from psycopg.rows import DictRow, dict_row

    from graphs.checkpoints_server import PooledPostgresSaver

    class Committing(PooledPostgresSaver):
        @contextmanager
        def _cursor(self, *, pipeline: bool = False) -> Iterator[Cursor[DictRow]]:
            with self._lend(True) as connection, connection.cursor(binary=True, row_factory=dict_row) as cursor:
                yield cursor

    return Committing(saver._lend)
