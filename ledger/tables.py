"""The tables. Every row belongs to a workspace; the unit of work enforces it, not each query."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, String, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from core.personal import texts
from core.states import CaseStatus, Desired, ReviewStatus, RunStatus
from ledger.columns import a_time, json_object, sealed_object, sealed_text, sealed_texts, serial

SYSTEM = "*"
"""The workspace of sweeps: sees all, and can't write a row that names no workspace."""


_REF = re.compile(r"[0-9a-f]{16,128}")
"""Of the hash of a file's content."""


def _where(condition: str) -> dict[str, Any]:
    """Of an index over some rows only."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def _files(payload: Any) -> list[str]:
    """What may name attachments: cases are searched for it, and it says nothing about anybody."""
    return sorted({text for text in texts(payload) if _REF.fullmatch(text)})


class Row(SQLModel):
    """A row of a workspace."""

    workspace: str = Field(default="", index=False, max_length=64)


class PersonRow(Row, table=True):
    __tablename__ = "person"
    workspace: str = Field(primary_key=True, max_length=64)
    id: str = Field(primary_key=True, max_length=64)
    roles: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    active: bool = True
    created_at: datetime = a_time()
    kept_by: str = Field(default="house", max_length=16)
    """Who says which roles they have: the `house`, or the `issuer` that they sign in with."""
    keepers: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """People who were given a token of this account: what it opens is theirs too."""


class TokenRow(Row, table=True):
    """A bearer token, stored as its SHA-256 only."""

    __tablename__ = "token"
    digest: str = Field(primary_key=True, max_length=64)
    id: str = Field(index=True, unique=True, max_length=40)
    """What it is called where it must not be shown."""
    person: str = Field(index=True, max_length=64)
    name: str = Field(default="", max_length=100)
    scopes: list[str] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    """Permissions and surfaces that it is held to; none for all that its person may."""
    kinds: list[str] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    issued_by: str = Field(default="", max_length=64)
    created_at: datetime = a_time()
    expires_at: datetime | None = a_time(nullable=True)
    revoked_at: datetime | None = a_time(nullable=True)
    last_used_at: datetime | None = a_time(nullable=True)
    """To some minutes: not each request writes it."""


class IdentityRow(Row, table=True):
    """Somebody who signs in elsewhere, and the one person that they are here."""

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("workspace", "person"),)
    workspace: str = Field(primary_key=True, max_length=64)
    issuer: str = Field(primary_key=True, max_length=200)
    subject: str = Field(primary_key=True, max_length=200)
    person: str = Field(max_length=64)
    since: datetime = a_time()
    seen_at: datetime = a_time()
    """About when they signed in last."""


class CaseRow(Row, table=True):
    __tablename__ = "case"
    __table_args__ = (
        UniqueConstraint("workspace", "opened_by", "request_key"),
        Index("case_by_status", "workspace", "status", "opened_at"),
        Index("case_by_worker", "worker", **_where("worker <> ''")),
        Index("case_to_prune", "opened_at", **_where("pruned_at IS NULL")),
        Index("case_to_erase", "closed_at", **_where("erased_at IS NULL AND closed_at IS NOT NULL")),
    )
    id: str = Field(primary_key=True, max_length=40)
    kind: str = Field(max_length=64)
    status: CaseStatus = Field(sa_column=Column(String(16), nullable=False))
    desired: Desired = Field(default=Desired.RUN, sa_column=Column(String(16), nullable=False))
    payload: dict[str, Any] = sealed_object("case.payload", _files)
    subject: str = Field(default="", max_length=200)
    """Who it is about, such as a customer id: what counts are kept per."""
    request_key: str | None = Field(default=None, max_length=200)
    """The submitter's idempotency key."""
    payload_digest: str = Field(default="", max_length=64)
    opened_by: str = Field(default="", max_length=64)
    opened_at: datetime = a_time()
    closed_at: datetime | None = a_time(nullable=True)
    outcome: str = Field(default="", max_length=64)
    summary: str = sealed_text("case.summary")
    problem: str = sealed_text("case.problem")
    next_seq: int = 1
    crashes: int = 0
    """Segments of the event now in work that died."""
    version: int = 1
    priority: int = 0
    """Higher goes first."""
    worker: str = Field(default="", max_length=64)
    """Whose segment runs; empty while none does."""
    epoch: int = 0
    """Counts segments: whoever holds an older number may write nothing for this case any more."""
    forked_from: str | None = Field(default=None, max_length=40)
    simulated: bool = False
    """A copy to look at: nothing that it does reaches a provider, counts or costs."""
    made_with: dict[str, Any] = json_object()
    """Digests of graph, prompt, model and policy that its last segment ran with."""
    release: str = Field(default="", max_length=64)
    """The one release whose workers may go on with it; any, if empty."""
    held: str = Field(default="", max_length=200)
    """Why operators hold it back, where they do."""
    events_out: int = 0
    """How many events about it were given to the outbox."""
    pruned_at: datetime | None = a_time(nullable=True)
    """When its older checkpoints were cut away; none, if it has run since."""
    erased_at: datetime | None = a_time(nullable=True)
    """When its payload, its trace and its checkpoints were deleted."""


class InboxRow(Row, table=True):
    """An event for a case, once: `(source, event_id)` is unique, `seq` is the order within the case."""

    __tablename__ = "inbox"
    __table_args__ = (
        UniqueConstraint("workspace", "source", "event_id"),
        UniqueConstraint("case_id", "seq"),
        Index("inbox_open", "processed_at", "case_id"),
    )
    id: int | None = serial()
    source: str = Field(max_length=64)
    event_id: str = Field(max_length=200)
    case_id: str = Field(max_length=40)
    seq: int
    type: str = Field(max_length=64)
    payload: dict[str, Any] = sealed_object("inbox.payload")
    received_at: datetime = a_time()
    processed_at: datetime | None = a_time(nullable=True)
    note: str = Field(default="", max_length=400)


class ActionRow(Row, table=True):
    """A proposed action under its content address. Written once."""

    __tablename__ = "action"
    __table_args__ = (Index("action_by_case", "case_id", "step_key"),)
    id: str = Field(primary_key=True, max_length=64)
    case_id: str = Field(max_length=40)
    kind: str = Field(max_length=64)
    tool: str = Field(max_length=64)
    schema_version: int
    args: dict[str, Any] = sealed_texts("action.args")
    proposer: str = Field(max_length=64)
    step_key: str = Field(max_length=64)
    effect: str = Field(max_length=16)
    described: str = sealed_text("action.described")
    edited_from: str | None = Field(default=None, max_length=64)
    created_at: datetime = a_time()


class DecisionRow(Row, table=True):
    """What policy said of an action, at the gate and again when it was about to run. Append-only."""

    __tablename__ = "decision"
    id: int | None = serial()
    action_id: str = Field(index=True, max_length=64)
    stage: str = Field(max_length=16)
    verdict: str = Field(max_length=16)
    body: dict[str, Any] = sealed_texts("decision.body", within=("facts",))
    at: datetime = a_time()


class ReviewRow(Row, table=True):
    """An action that waits for people, and the open question of the graph that waits with it."""

    __tablename__ = "review"
    __table_args__ = (
        Index("review_queue", "workspace", "status", "due_at"),
        Index("review_by_opening", "workspace", "status", "opened_at"),
        Index("review_by_amount", "workspace", "status", text("coalesce(amount_minor, -1)")),
        Index("review_by_case", "case_id"),
        Index("review_by_action", "action_id"),
    )
    id: str = Field(primary_key=True, max_length=40)
    case_id: str = Field(max_length=40)
    action_id: str = Field(max_length=64)
    interrupt_id: str = Field(max_length=64)
    status: ReviewStatus = Field(sa_column=Column(String(16), nullable=False))
    reviewers: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    reason: str = sealed_text("review.reason")
    book: dict[str, Any] = json_object()
    facts: dict[str, Any] = sealed_object("review.facts")
    opened_at: datetime = a_time()
    due_at: datetime = a_time()
    decided_at: datetime | None = a_time(nullable=True)
    claimed_by: str = Field(default="", max_length=64)
    claim_token: str = Field(default="", max_length=40)
    claimed_until: datetime | None = a_time(nullable=True)
    edited_to: str | None = Field(default=None, max_length=64)
    asked_of: str = Field(default="", sa_column=Column(Text, nullable=False))
    """Groups and roles in `reviewers`, as words to search for: ` group:desk role:clerk `."""
    amount_minor: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    """Money that leaves the company by the action, in minor units of `currency`."""
    currency: str = Field(default="", max_length=3)
    undo_until: datetime | None = a_time(nullable=True)
    """Until then whoever decided may take it back, and nothing follows from it."""
    version: int = 1


class VoteRow(Row, table=True):
    """A person's word on one action. Append-only; `seen` is the digest of what the person was shown."""

    __tablename__ = "vote"
    __table_args__ = (UniqueConstraint("review_id", "person"),)
    id: int | None = serial()
    review_id: str = Field(max_length=40)
    action_id: str = Field(index=True, max_length=64)
    person: str = Field(max_length=64)
    roles: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    choice: str = Field(max_length=16)
    reason_code: str = Field(default="", max_length=64)
    note: str = sealed_text("vote.note")
    seen: str = Field(max_length=64)
    dwell_s: int = 0
    request_key: str = Field(default="", max_length=200)
    at: datetime = a_time()


class RunRow(Row, table=True):
    """The effects ledger: the one execution of an action. Its primary key is the reservation."""

    __tablename__ = "run"
    __table_args__ = (
        Index("run_by_case", "case_id"),
        Index("run_counts", "workspace", "tool", "started_at"),
        Index("run_by_subject", "subject"),
        Index("run_open", "status", "lease_until"),
        Index("run_takes_back", "compensates", unique=True, **_where("compensates IS NOT NULL AND status <> 'failed'")),
    )
    action_id: str = Field(primary_key=True, max_length=64)
    case_id: str = Field(max_length=40)
    key: str = Field(unique=True, max_length=200)
    tool: str = Field(max_length=64)
    args_digest: str = Field(max_length=64)
    subject: str = Field(default="", max_length=200)
    proposer: str = Field(default="", max_length=64)
    status: RunStatus = Field(sa_column=Column(String(16), nullable=False))
    worker: str = Field(default="", max_length=64)
    lease_until: datetime | None = a_time(nullable=True)
    attempts: int = 1
    gated: bool = False
    """Policy asked for people: there must be an earlier approval of this very action."""
    result: dict[str, Any] = sealed_texts("run.result")
    reason: str = sealed_text("run.reason")
    started_at: datetime = a_time()
    finished_at: datetime | None = a_time(nullable=True)
    counted_by: dict[str, Any] = sealed_texts("run.counted_by")
    """Facts of that moment by which policy counts runs, such as the card."""
    simulated: bool = False
    """It ran in a copy of a case: no provider knows of it, and no count looks at it."""
    compensates: str | None = Field(default=None, max_length=64)
    """The action whose effect this one takes back, which happens once."""


class TraceRow(Row, table=True):
    """The durable event log of a case: what streams and timelines are made of."""

    __tablename__ = "trace"
    __table_args__ = (Index("trace_by_case", "case_id", "seq"),)
    seq: int | None = serial()
    case_id: str = Field(max_length=40)
    type: str = Field(max_length=64)
    body: dict[str, Any] = sealed_object("trace.body")
    at: datetime = a_time()


class AuditRow(Row, table=True):
    """One link of the chain. Text is kept as it was hashed, so a changed byte anywhere shows."""

    __tablename__ = "audit"
    workspace: str = Field(primary_key=True, max_length=64)
    seq: int = Field(primary_key=True)
    at: str = Field(max_length=32)
    type: str = Field(max_length=64)
    case_id: str = Field(default="", index=True, max_length=40)
    body: str = Field(sa_column=Column(Text, nullable=False))
    prev: str = Field(max_length=64)
    hash: str = Field(max_length=64)


class AuditHeadRow(Row, table=True):
    """The last link, kept apart, so that a chain cut short shows too."""

    __tablename__ = "audit_head"
    workspace: str = Field(primary_key=True, max_length=64)
    seq: int
    hash: str = Field(max_length=64)


class TimerRow(Row, table=True):
    __tablename__ = "timer"
    __table_args__ = (Index("timer_due", "fired_at", "due_at"), Index("timer_by_case", "case_id"))
    id: str = Field(primary_key=True, max_length=40)
    case_id: str = Field(max_length=40)
    review_id: str = Field(default="", index=True, max_length=40)
    purpose: str = Field(max_length=32)
    due_at: datetime = a_time()
    fired_at: datetime | None = a_time(nullable=True)


class CostRow(Row, table=True):
    """One posting. `key` names the event that caused it, so that it is posted once."""

    __tablename__ = "cost"
    __table_args__ = (UniqueConstraint("workspace", "key"), Index("cost_by_case", "case_id"))
    id: int | None = serial()
    key: str = Field(max_length=200)
    case_id: str = Field(max_length=40)
    component: str = Field(max_length=64)
    amount_minor: int
    currency: str = Field(max_length=3)
    quantity: int = 0
    unit: str = Field(default="", max_length=32)
    at: datetime = a_time()
