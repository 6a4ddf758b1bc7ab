"""What clients of the threads API send, as the stock client of LangGraph 0.4 does. Fields that mean nothing here are
let pass; those that would be a promise are refused by name where they are read (`serving/threads/wishes.py`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

Object = dict[str, Any]
Nodes = Literal["*"] | list[Annotated[str, Field(max_length=200)]]
ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
_Id = Annotated[str, Field(max_length=64)]


class _In(BaseModel):
    model_config = ConfigDict(extra="ignore")


class CommandIn(_In):
    resume: Any = None
    update: Object | list[Any] | None = None
    goto: str | Object | list[str | Object] | None = None


class CheckpointIn(_In):
    checkpoint_id: _Id | None = None
    checkpoint_ns: str | None = Field(default=None, max_length=1_000)


class ConfigIn(_In):
    tags: list[str] | None = Field(default=None, max_length=50)
    recursion_limit: StrictInt | None = None
    configurable: Object | None = None


class RunIn(_In):
    """A run that is asked for."""

    assistant_id: str = Field(max_length=200)
    input: Any = None
    command: CommandIn | None = None
    stream_mode: str | list[str] | None = None
    stream_subgraphs: StrictBool = False
    metadata: Object | None = None
    config: ConfigIn | None = None
    context: Object | None = None
    checkpoint: CheckpointIn | None = None
    checkpoint_id: _Id | None = None
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    webhook: str | None = None
    multitask_strategy: Literal["reject", "interrupt", "rollback", "enqueue"] | None = None
    if_not_exists: Literal["create", "reject"] | None = None
    on_disconnect: Literal["cancel", "continue"] | None = None
    on_completion: Literal["delete", "keep"] | None = None
    after_seconds: float | None = Field(default=None, ge=0, le=30 * 86_400)
    durability: Literal["sync", "async", "exit"] | None = None


class ThreadIn(_In):
    thread_id: str | None = None
    metadata: Object | None = None
    if_exists: Literal["raise", "do_nothing"] | None = None
    supersteps: list[Any] | None = None


class ThreadPatch(_In):
    metadata: Object = Field(default_factory=dict)


class ThreadQuery(_In):
    """`metadata` and `values` name what a thread's own are to hold."""

    metadata: Object | None = None
    values: Object | None = None
    ids: list[str] | None = Field(default=None, max_length=1_000)
    status: ThreadStatus | None = None
    limit: int = Field(default=10, ge=1, le=1_000, strict=True)
    offset: int = Field(default=0, ge=0, le=1_000_000, strict=True)
    sort_by: Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"] | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: list[str] | None = None


class ThreadsIn(_In):
    thread_ids: list[str] = Field(max_length=1_000)
    strategy: Literal["delete", "keep_latest"] | None = None


class StateIn(_In):
    values: Any = None
    as_node: str | None = Field(default=None, max_length=200)
    checkpoint: CheckpointIn | None = None
    checkpoint_id: _Id | None = None


class StateQuery(_In):
    checkpoint: CheckpointIn
    subgraphs: StrictBool = False


class HistoryQuery(_In):
    limit: int = Field(default=10, ge=1, le=1_000, strict=True)
    before: str | Object | None = None
    metadata: Object | None = None
    checkpoint: CheckpointIn | None = None


class AssistantQuery(_In):
    metadata: Object | None = None
    graph_id: str | None = None
    name: str | None = None
    limit: int = Field(default=10, ge=1, le=1_000, strict=True)
    offset: int = Field(default=0, ge=0, le=1_000_000, strict=True)


class RunsIn(_In):
    """Runs to be called off."""

    thread_id: str | None = None
    run_ids: list[str] | None = Field(default=None, max_length=1_000)
    status: Literal["pending", "running", "all"] | None = None
