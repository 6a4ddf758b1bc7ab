"""The tables of threads: conversations with graphs, the runs on them, their events, and who answered what.

Ids of threads are given by clients and unique within a workspace; those of runs are given here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index
from sqlmodel import Field

from ledger.columns import a_time, json_object, sealed_object, sealed_text, serial
from ledger.tables import Row, _where


class ThreadRow(Row, table=True):
    """A conversation with one graph, as clients of the threads API see it."""

    __tablename__ = "thread"
    __table_args__ = (
        Index("thread_by_update", "workspace", "updated_at"),
        Index("thread_by_case", "case_id", **_where("case_id <> ''")),
        Index("thread_by_talk", "workspace", "talk", unique=True, **_where("talk <> ''")),
    )
    workspace: str = Field(primary_key=True, max_length=64)
    id: str = Field(primary_key=True, max_length=36)
    graph: str = Field(default="", max_length=64)
    """Whose it is, from its first run on."""
    opened_by: str = Field(max_length=64)
    starters: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Everybody who ever brought something new to it: nobody of them answers its questions. None is taken away."""
    status: str = Field(default="idle", max_length=16)
    """idle, busy, interrupted, error"""
    meta: dict[str, Any] = sealed_object("thread.meta")
    """The client's own words about it: a search opens them."""
    state: dict[str, Any] = sealed_object("thread.state")
    """The graph's values after the last run: what lists show. Empty for graphs that show each person something else."""
    interrupts: dict[str, Any] = sealed_object("thread.interrupts")
    """Open questions after the last run: `{task: [{id, value}]}`."""
    case_id: str = Field(default="", max_length=40)
    """The case that it became, where its graph is a kind of business task."""
    talk: str = Field(default="", max_length=64)
    """Digest of whose conversation it is, where the chat found it a thread. No client can say or guess its way in."""
    notes: dict[str, Any] = sealed_object("thread.notes")
    """What the graph's own side keeps beside it. No client sees it."""
    created_at: datetime = a_time()
    updated_at: datetime = a_time()
    state_at: datetime | None = a_time(nullable=True)


class ThreadRunRow(Row, table=True):
    """A run of a graph on a thread. At most one of a thread is `running`; the others wait in the order of `number`."""

    __tablename__ = "thread_run"
    __table_args__ = (
        Index("thread_run_active", "workspace", "thread_id", unique=True, **_where("status = 'running'")),
        Index("thread_run_open", "status", "not_before", **_where("status IN ('pending', 'running')")),
        Index("thread_run_by_thread", "workspace", "thread_id", "number"),
        Index("thread_run_ended", "ended_at", **_where("log_gone_at IS NULL AND ended_at IS NOT NULL")),
    )
    number: int | None = serial()
    id: str = Field(unique=True, max_length=36)
    thread_id: str = Field(max_length=36)
    graph: str = Field(max_length=64)
    status: str = Field(default="pending", max_length=16)
    """pending, running; then success, error, interrupted"""
    strategy: str = Field(default="enqueue", max_length=16)
    person: dict[str, Any] = json_object()
    """Whoever started it, with what they could do then."""
    asked: dict[str, Any] = sealed_object("thread_run.asked")
    """Input, command, config and how it is to be run."""
    meta: dict[str, Any] = sealed_object("thread_run.meta")
    attempt: int = 0
    """How often a process began it: above 1, another one died with it."""
    worker: str = Field(default="", max_length=64)
    lease_until: datetime | None = a_time(nullable=True)
    """A process that said nothing until then has lost it."""
    not_before: datetime | None = a_time(nullable=True)
    wanted: str = Field(default="", max_length=16)
    """interrupt or rollback, where somebody wants its end."""
    problem: dict[str, Any] = sealed_object("thread_run.problem")
    """`{error, message}` of one that failed."""
    temporary: bool = False
    """Its thread goes with it."""
    created_at: datetime = a_time()
    updated_at: datetime = a_time()
    ended_at: datetime | None = a_time(nullable=True)
    log_gone_at: datetime | None = a_time(nullable=True)
    """When its events were deleted."""


class ThreadEventRow(Row, table=True):
    """The durable event log of a run: what every stream of it follows. One process writes it at a time, in order."""

    __tablename__ = "thread_event"
    run_id: str = Field(primary_key=True, max_length=36)
    seq: int = Field(primary_key=True)
    event: str = Field(max_length=400)
    data: str = sealed_text("thread_event.data")
    """JSON."""


class ThreadAnswerRow(Row, table=True):
    """Who answered a question of a plain graph, once; or that new input took its place, after which nobody can."""

    __tablename__ = "thread_answer"
    workspace: str = Field(primary_key=True, max_length=64)
    thread_id: str = Field(primary_key=True, max_length=36)
    interrupt_id: str = Field(primary_key=True, max_length=64)
    kind: str = Field(max_length=16)
    """answered, superseded"""
    person: str = Field(max_length=64)
    value: dict[str, Any] = sealed_object("thread_answer.value")
    """`{"value": …}`"""
    run_id: str = Field(default="", max_length=36)
    """The run that goes on with it, or that took its place."""
    at: datetime = a_time()


class ThreadSeenRow(Row, table=True):
    """Which open questions of a thread a person was last shown: only those may they answer without naming them."""

    __tablename__ = "thread_seen"
    workspace: str = Field(primary_key=True, max_length=64)
    thread_id: str = Field(primary_key=True, max_length=36)
    person: str = Field(primary_key=True, max_length=64)
    interrupts: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    at: datetime = a_time()
