"""The way back: each step of a case as its graph remembers it, to look at, and to begin a copy from.

Looking changes nothing. A copy is another thread, whose first step holds what was known at a step of the original.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.constants import START
from langgraph.types import Command, StateSnapshot

from core.errors import Conflict, NotFound
from core.wire import CheckpointDetail, CheckpointView, Said
from graphs.runner import Graph, Prepared

T = TypeVar("T")

_PUSH = "__pregel_push"
"""How the library marks a task that a node sent, with its own input, apart from those that read the state."""


_GATE = "gate"
"""The node that judges the calls of a turn, in each kind's graph."""


class Rewind:
    def __init__(self, kinds: Mapping[str, Prepared], saver: BaseCheckpointSaver[Any]) -> None:
        self._kinds = kinds
        self._saver = saver

    async def steps(self, kind: str, case_id: str) -> list[CheckpointView]:
        """What is kept of the case, the oldest first. Raises `NotFound` for a kind that is gone."""
        graph = self._graph(kind)
        return await self._quietly(lambda: [_view(each) for each in reversed(_history(graph, case_id))])

    async def step(self, kind: str, case_id: str, checkpoint: str) -> CheckpointDetail:
        """Raises `NotFound`."""
        graph = self._graph(kind)
        return await self._quietly(lambda: _detail(_at(graph, case_id, checkpoint)))

    async def copy(self, kind: str, case_id: str, to: str, checkpoint: str = "") -> str:
        """Begins `to` with what was known of the case then, or where it last had something left to do.

        Calls that were on their way are judged anew: the copy begins before the gate. Returns the step that it begins
        at, empty for the very beginning. Raises `NotFound`, `Conflict`.
        """
        graph = self._graph(kind)
        found = await self._quietly(lambda: _beginning(graph, case_id, checkpoint))
        if found is None:
            return ""
        values = dict(found.values)
        values["case"] = {**values["case"], "id": to}
        values["heard"] = 0  # messages are numbered in each case's own inbox
        about = [task.name for task in found.tasks]
        if _on_their_way(found):
            about, values["outcomes"] = [_GATE], []
        goes_on: Command[str] = Command(update=values, goto=about)
        first = next(name for name in graph.nodes if name != START)
        await graph.aupdate_state(_thread(to), goes_on, as_node=first)
        return _id(found)

    async def forget(self, to: str) -> None:
        """Takes back what `copy` began."""
        await self._saver.adelete_thread(to)

    def _graph(self, kind: str) -> Graph:
        if kind not in self._kinds:
            raise NotFound(f"There is no kind '{kind}' any more.", hint="Restore it.")
        return self._kinds[kind].graph

    async def _quietly(self, look: Callable[[], T]) -> T:
        """Many rows may be read: not in the event loop."""
        return await asyncio.to_thread(look)


def _thread(case_id: str, checkpoint: str = "") -> RunnableConfig:
    return {"configurable": {"thread_id": case_id, **({"checkpoint_id": checkpoint} if checkpoint else {})}}


def _id(snapshot: StateSnapshot) -> str:
    return str(snapshot.config["configurable"]["checkpoint_id"])


def _history(graph: Graph, case_id: str) -> list[StateSnapshot]:
    """The newest first."""
    return list(graph.get_state_history(_thread(case_id)))


def _at(graph: Graph, case_id: str, checkpoint: str) -> StateSnapshot:
    for each in _history(graph, case_id):
        if _id(each) == checkpoint:
            return each
    raise NotFound(
        f"There is no step '{checkpoint[:60]}' of this case.",
        hint=f"countersign cases checkpoints {case_id} lists them; old ones of finished cases are pruned.",
    )


def _beginning(graph: Graph, case_id: str, checkpoint: str) -> StateSnapshot | None:
    """The last step at or before this one at which something was left to do and no call was on its way."""
    history = _history(graph, case_id)
    if checkpoint:
        chosen = _at(graph, case_id, checkpoint)
        if not chosen.tasks:
            raise Conflict("The case had ended there.", hint="Choose an earlier step.", present="ended")
        history = [each for each in history if _id(each) <= checkpoint]
    for each in history:
        if each.tasks and not _on_their_way(each):
            return None if each.tasks[0].name == START else each
    if history and history[-1].values.get("calls") and history[-1].tasks and _GATE in graph.nodes:
        return history[-1]  # earlier ones were pruned; the calls of its turn are known all the same
    if history:
        raise Conflict(
            "Of this case only its end is kept.",
            hint="Its earlier steps were pruned; submit it again.",
            present="pruned",
        )
    return None  # it has not begun


def _on_their_way(snapshot: StateSnapshot) -> bool:
    """Calls that the gate sent on, each with an input of its own that names the case."""
    return any(task.path[0] == _PUSH for task in snapshot.tasks)


def _view(snapshot: StateSnapshot) -> CheckpointView:
    return CheckpointView(**_known(snapshot))


def _known(snapshot: StateSnapshot) -> dict[str, Any]:
    values = snapshot.values
    return {
        "id": _id(snapshot),
        "step": int((snapshot.metadata or {}).get("step", 0)),
        "at": snapshot.created_at,
        "next": sorted({task.name for task in snapshot.tasks if task.name != START})
        or (["start"] if snapshot.tasks else []),
        "asks": sum(len(task.interrupts) for task in snapshot.tasks),
        "messages": len(values.get("messages", ())),
        "calls": [
            {"tool": call["tool"], "args": call["args"], "step": call["step_key"]} for call in values.get("calls", ())
        ],
        "plan": [
            {"title": step["title"], "tool": step["tool"], "status": step["status"]} for step in values.get("plan", ())
        ],
    }


def _detail(snapshot: StateSnapshot) -> CheckpointDetail:
    values = snapshot.values
    return CheckpointDetail(
        checkpoint=_view(snapshot),
        said=[_said(message) for message in values.get("messages", ())],
        outcomes=list(values.get("outcomes", ())),
        spent=dict(values.get("spent", {})),
        handing_over=str(values.get("handing_over", "")),
        ending=dict(values.get("ending", {})),
    )


def _said(message: AnyMessage) -> Said:
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    return Said(
        by=message.type,
        text=message.text,
        calls=[{"tool": call["name"], "args": call["args"]} for call in calls],
    )
