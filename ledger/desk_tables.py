"""The tables of what reviewers do besides deciding: questions that were passed on, and filters of the queue by name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field

from ledger.columns import a_time, json_object, sealed_text, serial
from ledger.tables import Row


class EscalationRow(Row, table=True):
    """A question that somebody passed on. While it stands, that person has no vote on the action."""

    __tablename__ = "escalation"
    __table_args__ = (Index("escalation_by_action", "action_id"),)
    id: int | None = serial()
    review_id: str = Field(index=True, max_length=40)
    case_id: str = Field(max_length=40)
    action_id: str = Field(max_length=64)
    person: str = Field(max_length=64)
    from_group: str = Field(max_length=100)
    to_group: str = Field(max_length=100)
    note: str = sealed_text("escalation.note")
    before: dict[str, Any] = json_object()
    """What the review asked for until then: `reviewers`."""
    version: int
    """Of the review afterwards: as long as it is this one, nothing followed."""
    request_key: str = Field(default="", max_length=200)
    at: datetime = a_time()
    undone_at: datetime | None = a_time(nullable=True)


class SavedFilterRow(Row, table=True):
    """A filter of the queue under a name. Without an owner it is everybody's."""

    __tablename__ = "saved_filter"
    workspace: str = Field(primary_key=True, max_length=64)
    owner: str = Field(primary_key=True, max_length=64)
    name: str = Field(primary_key=True, max_length=64)
    wanted: dict[str, Any] = json_object()
    saved_by: str = Field(max_length=64)
    saved_at: datetime = a_time()
