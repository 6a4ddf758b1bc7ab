"""The tables of policy: what was published, what was handed in, and whose keys sign it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index, Text
from sqlmodel import Field

from ledger.columns import a_time, json_object, serial
from ledger.tables import Row


class PolicyRow(Row, table=True):
    """A version of a kind's policy that was published, or came with the installation. Append-only."""

    __tablename__ = "policy"
    __table_args__ = (Index("policy_by_kind", "kind", "id"),)
    id: int | None = serial()
    kind: str = Field(max_length=64)
    name: str = Field(max_length=200)
    version: str = Field(max_length=100)
    digest: str = Field(max_length=64)
    text: str = Field(sa_column=Column(Text, nullable=False))
    source: str = Field(max_length=16)
    """installed, published, rolled_back"""
    follows: str = Field(default="", max_length=64)
    """The point of the history that it comes after (`ledger.policies.point`)."""
    signatures: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    key: str = Field(unique=True, max_length=200)
    """The idempotency key of whoever published it."""
    case_id: str = Field(default="", max_length=40)
    at: datetime = a_time()


class PolicyDraftRow(Row, table=True):
    """A signed policy that was handed in, under the digest of its content. It has no force."""

    __tablename__ = "policy_draft"
    digest: str = Field(primary_key=True, max_length=64)
    body: dict[str, Any] = json_object()
    by: str = Field(max_length=64)
    at: datetime = a_time()


class SigningKeyRow(Row, table=True):
    """A public key in which somebody who signs policy is trusted, until it is revoked."""

    __tablename__ = "signing_key"
    public: str = Field(primary_key=True, max_length=100)
    name: str = Field(max_length=100)
    added_at: datetime = a_time()
    revoked_at: datetime | None = a_time(nullable=True)
