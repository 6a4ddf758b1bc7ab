"""Threads, runs, states and assistants as stock clients read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from starlette.responses import Response

from engine.served import Served, State, Task
from engine.thread_log import encoded
from ledger.thread_tables import ThreadRow, ThreadRunRow

Shape = dict[str, Any]

_MADE = datetime(2026, 1, 1, tzinfo=UTC)
"""Graphs come with the settings: none was made later than another."""


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON of whatever a graph brings."""
    return Response(encoded(body), status, headers, "application/json")


def assistant_id(name: str) -> str:
    """The id that stands beside the name: clients that know only UUIDs may use it."""
    return str(uuid5(NAMESPACE_URL, f"countersign:{name}"))


def graph_named(served: Mapping[str, Served], given: str) -> str:
    """The graph of an assistant, by its name or its id; what was given, if there is none."""
    return next((name for name in served if assistant_id(name) == given), given)


def assistant(served: Served) -> Shape:
    return {
        "assistant_id": assistant_id(served.name),
        "graph_id": served.name,
        "name": served.title,
        "description": None,
        "config": {},
        "context": {},
        "metadata": {"created_by": "system"},
        "version": 1,
        "created_at": _MADE,
        "updated_at": _MADE,
    }


def thread(row: ThreadRow, values: Mapping[str, Any] | None = None, interrupts: Shape | None = None) -> Shape:
    """`values` and `interrupts` where they are not those that are kept beside it."""
    return {
        "thread_id": row.id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "state_updated_at": row.state_at or row.updated_at,
        "metadata": row.meta,
        "config": {},
        "status": row.status,
        "values": (row.state if values is None else values) or None,
        "interrupts": row.interrupts if interrupts is None else interrupts,
    }


def run(row: ThreadRunRow) -> Shape:
    return {
        "run_id": row.id,
        "thread_id": row.thread_id,
        "assistant_id": assistant_id(row.graph),
        "graph_id": row.graph,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "status": row.status,
        "metadata": {**row.meta, "graph_id": row.graph, "attempt": row.attempt},
        "multitask_strategy": row.strategy,
        "kwargs": {name: row.asked[name] for name in ("input", "command", "config", "context")},
        **({"error": row.problem} if row.status == "error" else {}),
    }


def state(thread_id: str, found: State) -> Shape:
    return {
        "values": found.values,
        "next": found.next,
        "tasks": [_task(thread_id, each) for each in found.tasks],
        "metadata": found.metadata,
        "created_at": found.at,
        "checkpoint": checkpoint(thread_id, found.checkpoint),
        "parent_checkpoint": checkpoint(thread_id, found.parent) if found.parent else None,
        "checkpoint_id": found.checkpoint or None,
        "parent_checkpoint_id": found.parent or None,
        "interrupts": [each.shown() for each in found.asked],
    }


def checkpoint(thread_id: str, step: str) -> Shape:
    return {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": step or None, "checkpoint_map": None}


def _task(thread_id: str, task: Task) -> Shape:
    return {
        "id": task.id,
        "name": task.name,
        "path": [],
        "error": task.error or None,
        "interrupts": [each.shown() for each in task.interrupts],
        "checkpoint": None,
        "state": state(thread_id, task.state) if task.state is not None else None,
        "result": task.result,
    }


def by_task(found: State) -> Shape:
    """Open questions, as threads show them."""
    return {task.id: [each.shown() for each in task.interrupts] for task in found.tasks if task.interrupts}


def chosen(shape: Shape, fields: list[str] | None) -> Shape:
    return shape if not fields else {name: value for name, value in shape.items() if name in fields}


def info() -> Shape:
    return {
        "version": version("countersign-desk"),
        "langgraph_py_version": version("langgraph"),
        "flags": {"assistants": True, "crons": False, "langsmith": False, "langsmith_tracing_replicas": False},
        "host": {"kind": "self-hosted"},
    }
