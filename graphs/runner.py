"""Runs the graph of a case from wherever it stands until it ends or waits. Implements `core.ports.Runner`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from core.errors import Busy, CountersignError, DatabaseUnavailable, NotFound
from core.ports import CaseView, Interrupt, SegmentResult
from engine.journal import Journal, Note
from graphs.state import CaseState, Context

_DELTA_EVERY_S = 0.1
"""Streamed text is written to the event log in pieces of so many seconds."""

Graph = CompiledStateGraph[CaseState, Context, CaseState, CaseState]


class GraphLost(CountersignError):
    """A graph neither ended nor waits nor has anything left to do."""


@dataclass(frozen=True)
class Prepared:
    """A kind, ready to run."""

    graph: Graph
    context: Context


class GraphRunner:
    def __init__(
        self, kinds: Mapping[str, Prepared], saver: BaseCheckpointSaver[Any], journal: Journal, *, stream_text: bool
    ) -> None:
        self._kinds = kinds
        self._saver = saver
        self._journal = journal
        self._stream_text = stream_text

    async def advance(self, case: CaseView, answered: str = "") -> SegmentResult:
        prepared = self._kinds.get(case.kind)
        if prepared is None:
            raise NotFound(f"There is no kind '{case.kind}' any more.", hint="Restore it, or cancel the case.")
        config: RunnableConfig = {"configurable": {"thread_id": case.id}, "recursion_limit": 400}
        goes_on: Any = {"case": case.model_dump()}
        if await self._saver.aget_tuple(config) is not None:
            # Not `snapshot.next`: after a crash it can be empty although tasks are unfinished.
            snapshot = await prepared.graph.aget_state(config)
            questions = [each for task in snapshot.tasks for each in task.interrupts]
            unfinished = [task for task in snapshot.tasks if not task.interrupts]
            if answered and any(each.id == answered for each in questions):
                goes_on = Command(resume={answered: True})
            elif unfinished:
                goes_on = None
            else:
                waiting = [Interrupt(id=each.id, value=each.value) for each in questions]
                return _result(snapshot.values, waiting, skipped=True)
        try:
            values = await self._run(prepared, case, goes_on, config)
        except (DatabaseUnavailable, Busy):
            raise
        except Exception:  # whatever cut it short: the model was called, and people may cancel the case now
            snapshot = await prepared.graph.aget_state(config)
            await self._journal.bill(case, [Note.model_validate(note) for note in snapshot.values.get("notes", ())])
            raise
        waiting = [Interrupt(id=each.id, value=each.value) for each in values.get("__interrupt__", ())]
        return _result(values, waiting)

    async def _run(self, prepared: Prepared, case: CaseView, goes_on: Any, config: RunnableConfig) -> dict[str, Any]:
        graph, context = prepared.graph, prepared.context
        if not self._stream_text:
            return dict(await graph.ainvoke(goes_on, config, context=context, durability="sync"))
        values: dict[str, Any] = {}
        questions: list[Any] = []  # asked while others of the same turn still run: the last values may not have them
        said, since = "", time.monotonic()
        stream: AsyncIterator[Any] = graph.astream(
            goes_on, config, context=context, durability="sync", stream_mode=["values", "updates", "messages"]
        )
        async for mode, chunk in stream:
            if mode == "values":
                values = chunk
                continue
            if mode == "updates":
                questions.extend(chunk.get("__interrupt__", ()))
                continue
            message = chunk[0]
            if isinstance(message, AIMessageChunk):
                said += message.text + "".join(call["args"] or "" for call in message.tool_call_chunks)
            if said and time.monotonic() - since > _DELTA_EVERY_S:
                await self._journal.note(case, [Note(type="model.delta", body={"text": said})])
                said, since = "", time.monotonic()
        if said:
            await self._journal.note(case, [Note(type="model.delta", body={"text": said})])
        return {**values, "__interrupt__": questions}


def _result(values: Mapping[str, Any], waiting: list[Interrupt], *, skipped: bool = False) -> SegmentResult:
    ending = values.get("ending")
    if waiting:
        return SegmentResult(waiting=waiting, skipped=skipped)
    if ending is None:
        raise GraphLost("The graph stopped without an end and without a question.", hint="Look at its trace.")
    last = list(values.get("notes", ()))  # no later transaction of the gate takes them along
    return SegmentResult(
        finished=True, outcome=ending["outcome"], summary=ending["summary"], skipped=skipped, notes=last
    )
