"""What columns are made of, in every database.

Times are stored as UTC ISO 8601 text of one width, so they sort as text everywhere.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Integer, String
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field


class UtcTime(TypeDecorator[datetime]):
    """A moment with its offset, kept as `2026-11-22T17:04:05.000006+00:00`."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without its offset")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


def a_time(nullable: bool = False, index: bool = False) -> Any:
    return Field(default=None, sa_column=Column(UtcTime, nullable=nullable, index=index))


def json_object() -> Any:
    return Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


def serial() -> Any:
    number = BigInteger().with_variant(Integer, "sqlite")
    return Field(default=None, sa_column=Column(number, primary_key=True, autoincrement=True))
