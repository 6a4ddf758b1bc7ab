"""The table of data keys."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field

from ledger.columns import a_time
from ledger.tables import Row


class DataKeyRow(Row, table=True):
    """The key of one owner, a case or the house, wrapped by a master key. Destroyed, it stays as an empty row."""

    __tablename__ = "data_key"
    id: str = Field(primary_key=True, max_length=64)
    wrapped: str = Field(max_length=200)
    master: str = Field(index=True, max_length=16)
    """Id of the master key that wraps it."""
    created_at: datetime = a_time()
    destroyed_at: datetime | None = a_time(nullable=True)
