"""The steps of plain graphs' threads as they are kept: taken back with a run, copied to another thread, forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import RESUME
from langgraph.types import StateSnapshot

from graphs.checkpoints import InlineSqliteSaver

_FILE = (
    "DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_id >= ?",
    "DELETE FROM writes WHERE thread_id = ? AND checkpoint_id >= ?",
)
_SERVER = (
    "DELETE FROM checkpoint_writes WHERE thread_id = %s AND checkpoint_id >= %s",
    "DELETE FROM checkpoints WHERE thread_id = %s AND checkpoint_id >= %s",
)
"""Ids of checkpoints sort by their time, in subgraphs too."""


T = TypeVar("T")


class Steps:
    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver

    async def last(self, thread: str) -> Mapping[str, Any] | None:
        """What is noted beside the last step, `run_id` and `began` among it; None if there is none."""
        found = await self._saver.aget_tuple(_at(thread))
        return dict(found.metadata) if found else None

    async def answered(self, snapshot: StateSnapshot) -> set[str]:
        """Ids of open questions whose tasks have had an answer since: in subgraphs too, where they are shown."""
        found = await self._saver.aget_tuple(snapshot.config)
        tasks = {task for task, channel, _ in (found.pending_writes or () if found else ()) if channel == RESUME}
        ids: set[str] = set()
        for task in snapshot.tasks:
            if isinstance(task.state, StateSnapshot):
                ids |= await self.answered(task.state)
            elif task.id in tasks:
                ids |= {each.id for each in task.interrupts}
        return ids

    async def take_back(self, thread: str, run_id: str) -> None:
        """All steps from the first one of this run on."""
        first = ""
        for each in await self._list(thread):  # newest first
            if each.metadata.get("run_id") != run_id:
                break
            first = str(each.config["configurable"]["checkpoint_id"])
        if not first:
            return
        if isinstance(self._saver, InlineSqliteSaver):
            with self._saver.cursor() as cursor:
                for statement in _FILE:
                    cursor.execute(statement, (thread, first))
            return
        await asyncio.to_thread(self._take_back_on_server, thread, first)

    def _take_back_on_server(self, thread: str, first: str) -> None:
        saver: Any = self._saver
        with saver._cursor() as cursor:
            for statement in _SERVER:
                cursor.execute(statement, (thread, first))

    async def copy(self, source: str, target: str) -> None:
        """Every step with what was written in it."""
        for each in reversed(await self._list(source)):
            where = each.config["configurable"]
            space = str(where.get("checkpoint_ns", ""))
            config: RunnableConfig = {"configurable": {"thread_id": target, "checkpoint_ns": space}}
            if each.parent_config:
                config["configurable"]["checkpoint_id"] = each.parent_config["configurable"]["checkpoint_id"]
            versions = each.checkpoint["channel_versions"]
            put = await self._saver.aput(config, each.checkpoint, each.metadata, versions)
            writes: dict[str, list[tuple[str, Any]]] = {}
            for task, channel, value in each.pending_writes or ():
                writes.setdefault(task, []).append((channel, value))
            for task, some in writes.items():
                await self._saver.aput_writes(put, some, task)

    async def forget(self, thread: str) -> None:
        await self._saver.adelete_thread(thread)

    async def _list(self, thread: str) -> list[Any]:
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        return await self.quietly(lambda: list(self._saver.list(config)))

    async def quietly(self, look: Callable[[], T]) -> T:
        """A look that can't await: in a thread where it goes to a server, at once where it goes to a file."""
        return look() if isinstance(self._saver, InlineSqliteSaver) else await asyncio.to_thread(look)


def _at(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
