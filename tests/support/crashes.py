"""A till whose worker dies where a test says: at a call of a tool, before or after it, or at a checkpoint.

A death is a `BaseException`: nothing on the way may swallow it, and nothing after it is run. What a real
`kill -9` does is shown by the storms; here every single point can be hit.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import BaseModel

from core.ports import CallContext
from graphs.checkpoints import InlineSqliteSaver
from graphs.flow import standard_flow
from graphs.kind import Outside, TaskKind
from tests.support.till_kind import KIND
from tools.contract import Tool


class Death(BaseException):
    """The worker is gone."""


@dataclass
class Crashes:
    """Where workers die. `points` are handed out to cases in the order in which they first come by.

    A point is `saver:N:before`, `saver:N:after` (the case's n-th write of a checkpoint) or
    `TOOL:before`, `TOOL:after` (its first call of a tool).
    """

    points: list[str] = field(default_factory=list)
    of_case: dict[str, str] = field(default_factory=dict)
    deaths: dict[str, str] = field(default_factory=dict)
    """Case to the point at which its worker died."""
    writes: Counter[str] = field(default_factory=Counter)
    times: int = 1
    """How often a worker dies at its point."""
    died: Counter[str] = field(default_factory=Counter)
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody died."""

    def come_by(self, case: str, point: str) -> None:
        if case not in self.of_case:
            self.of_case[case] = self.points.pop(0) if self.points else ""
        if self.of_case[case] == point and self.died[case] < self.times:
            self.died[case] += 1
            self.deaths[case] = point
            self.struck.set()
            raise Death(point)

    def kind(self) -> TaskKind:
        """The till, with these crashes in it."""
        return replace(KIND, tools=self._tools, build=lambda: _Mortal(self))

    def _tools(self, outside: Outside) -> Sequence[Tool[Any]]:
        return [replace(tool, run=self._mortal(tool)) for tool in KIND.tools(outside)]

    def _mortal(self, tool: Tool[Any]) -> Any:
        async def run(args: Any, context: CallContext) -> BaseModel:
            self.come_by(context.case_id, f"{tool.spec.name}:before")
            result = await tool.run(args, context)
            self.come_by(context.case_id, f"{tool.spec.name}:after")
            return result

        return run


class _MortalSaver(InlineSqliteSaver):
    crashes: Crashes

    def _point(self, config: RunnableConfig, when: str) -> None:
        case = str(config["configurable"]["thread_id"])
        if when == "before":
            self.crashes.writes[case] += 1
        self.crashes.come_by(case, f"saver:{self.crashes.writes[case]}:{when}")

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        self._point(config, "before")
        kept = await super().aput(config, checkpoint, metadata, new_versions)
        self._point(config, "after")
        return kept

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._point(config, "before")
        await super().aput_writes(config, writes, task_id, task_path)
        self._point(config, "after")


class _Mortal(StateGraph[Any, Any, Any, Any]):
    """The standard flow over a saver at which workers die."""

    def __init__(self, crashes: Crashes) -> None:
        flow = standard_flow()
        self.__dict__.update(flow.__dict__)
        self._crashes = crashes

    def compile(self, checkpointer: Any = None, **more: Any) -> CompiledStateGraph[Any, Any, Any, Any]:
        saver = _MortalSaver(checkpointer.conn)
        saver.crashes = self._crashes
        return super().compile(checkpointer=saver, **more)
