"""The tables of many processes: who is at work, what is told to others, and what came in ahead of its turn."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, UniqueConstraint
from sqlmodel import Field

from ledger.columns import a_time, json_object, sealed_object, serial
from ledger.tables import Row


class WorkerRow(Row, table=True):
    """A process that runs segments, and when it was last heard of."""

    __tablename__ = "worker"
    id: str = Field(primary_key=True, max_length=64)
    role: str = Field(max_length=16)
    host: str = Field(default="", max_length=200)
    pid: int = 0
    release: str = Field(default="", max_length=64)
    started_at: datetime = a_time()
    beat_at: datetime = a_time(index=True)
    draining: bool = False
    parts: dict[str, Any] = json_object()
    """For each kind, digests of the graph, the prompt and the model that it runs with."""
    stopped_at: datetime | None = a_time(nullable=True)


class OutboxRow(Row, table=True):
    """An event for others, written with what it tells of, published afterwards. `seq` is its order in the case."""

    __tablename__ = "outbox"
    __table_args__ = (UniqueConstraint("case_id", "seq"), Index("outbox_open", "published_at", "id"))
    id: int | None = serial()
    event_id: str = Field(unique=True, max_length=64)
    type: str = Field(max_length=64)
    case_id: str = Field(max_length=40)
    seq: int
    body: dict[str, Any] = sealed_object("outbox.body")
    at: datetime = a_time()
    published_at: datetime | None = a_time(nullable=True)
    position: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True, unique=True))
    """Its place among all that are published: subscribers read on from there, and miss none."""


class SourceRow(Row, table=True):
    """How far a source that numbers its events of a case has been heard."""

    __tablename__ = "source"
    workspace: str = Field(primary_key=True, max_length=64)
    source: str = Field(primary_key=True, max_length=64)
    case_id: str = Field(primary_key=True, max_length=40)
    next: int = 1


class ArrivalRow(Row, table=True):
    """An event that came ahead of others of its source: kept until they are here, or until `due_at`."""

    __tablename__ = "arrival"
    workspace: str = Field(primary_key=True, max_length=64)
    source: str = Field(primary_key=True, max_length=64)
    case_id: str = Field(primary_key=True, max_length=40)
    number: int = Field(primary_key=True)
    event_id: str = Field(max_length=200)
    type: str = Field(max_length=64)
    payload: dict[str, Any] = sealed_object("arrival.payload")
    received_at: datetime = a_time()
    due_at: datetime = a_time(index=True)
