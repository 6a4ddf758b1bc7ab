"""The HTTP models that the API serves and the desk reads: one definition for both ends."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from core.actions import JSON
from core.money import Money
from core.verdicts import RuleMatch

T = TypeVar("T")

REASON_CODES: dict[str, str] = {
    "not_entitled": "The customer is not entitled to it",
    "wrong_amount": "The amount is wrong",
    "evidence_missing": "Evidence is missing",
    "fraud_suspected": "Fraud is suspected",
    "wrong_action": "Another action is right",
    "other": "Other (say it in the note)",
}
"""Why a person rejects, in the order of the desk's digits."""


def _written(given: Any) -> Any:
    """A number is no time here: some readers count seconds, some milliseconds."""
    if isinstance(given, str) and "-" not in given[1:]:
        raise ValueError("a time is written as 2026-11-23T08:00:00Z")
    return given


Moment = Annotated[AwareDatetime, BeforeValidator(_written)]


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it. Some have more members, such as `present`: the state that it is in."""

    model_config = ConfigDict(extra="allow")

    type: str
    """`urn:countersign:` and the kind of error, for machines."""
    title: str
    status: int
    detail: str
    """What happened, this time."""
    hint: str | None = None
    """What to do about it."""
    field: str | None = None
    """Where in what was sent."""


class Page(Wire, Generic[T]):
    items: list[T]
    next: str = ""
    """Cursor of the following page, to be sent as `after`; empty on the last."""
    total: int | None = None


class Me(Wire):
    id: str
    workspace: str
    roles: list[str]
    permissions: list[str]


class Kind(Wire):
    """A kind of business task, with the schemas that forms and action cards are drawn from."""

    name: str
    title: str
    intake: dict[str, Any]
    tools: dict[str, dict[str, Any]]
    """Tool name to the JSON schema of its arguments."""


class SubmitCase(Wire):
    kind: str = Field(min_length=1, max_length=64)
    payload: dict[str, JSON]
    priority: int = Field(default=0, ge=0, le=9, strict=True)
    """Of the cases that wait for a worker, those with a higher one go first. Above 0 it takes an operator."""


class CaseSummary(Wire):
    id: str
    kind: str
    status: str
    subject: str
    outcome: str
    problem: str
    opened_at: datetime
    closed_at: datetime | None
    waiting_for: list[str] = []
    """Reviewer groups, while it waits for people."""
    simulated: bool = False
    """A copy: nothing that it does reaches anybody, counts or costs."""
    forked_from: str | None = None
    priority: int = 0


class ActionView(Wire):
    id: str
    tool: str
    described: str
    effect: str
    args: dict[str, JSON]
    proposer: str
    step_key: str
    verdict: str
    reason: str
    rules: list[RuleMatch]
    run: str = ""
    result: dict[str, JSON] = {}
    edited_from: str | None = None


class PlanView(Wire):
    title: str
    tool: str
    status: str


class CostView(Wire):
    component: str
    amount: Money
    quantity: int
    unit: str


class ApprovalSummary(Wire):
    id: str
    case_id: str
    kind: str
    subject: str
    tool: str
    described: str
    money: Money | None
    reason: str
    groups: list[str]
    roles: list[str]
    people: int
    """Distinct people who have to approve."""
    status: str
    opened_at: datetime
    due_at: datetime
    claimed_by: str
    claimed_until: datetime | None
    simulated: bool = False
    """The case is a copy: whatever is decided, nothing happens outside."""
    high_risk: bool
    """Irreversible and several people are asked for: approving takes a second key."""
    undo_until: datetime | None = None
    """Until then whoever decided may take it back, and nothing follows from it."""
    version: int


class CaseDetail(Wire):
    case: CaseSummary
    payload: dict[str, JSON]
    summary: str
    plan: list[PlanView]
    actions: list[ActionView]
    approvals: list[ApprovalSummary]
    costs: list[CostView]


class PlannedView(Wire):
    tool: str
    args: dict[str, JSON]
    step: str


class CheckpointView(Wire):
    """A step of a case's graph, and what was known then."""

    id: str
    step: int
    at: datetime
    next: list[str]
    """What it was about to do; nothing at the end."""
    asks: int
    """Questions to people that were open."""
    messages: int
    calls: list[PlannedView]
    plan: list[PlanView]


class Checkpoints(Wire):
    """The steps that are kept, the oldest first."""

    items: list[CheckpointView]
    cut_at: datetime | None = None
    """When earlier ones were pruned, if they were."""


class Said(Wire):
    """One message of the conversation with the model."""

    by: str
    text: str
    calls: list[dict[str, JSON]]


class CheckpointDetail(Wire):
    checkpoint: CheckpointView
    said: list[Said]
    outcomes: list[dict[str, JSON]]
    """Of the calls of this turn, so far."""
    spent: dict[str, JSON]
    handing_over: str
    ending: dict[str, JSON]


class Fork(Wire):
    """A copy of a case to try things in: nothing that it does reaches anybody."""

    checkpoint: str = Field(default="", max_length=64)
    """The step to begin at; where the case last had something left to do, if empty."""


class TraceEntry(Wire):
    seq: int
    case_id: str
    type: str
    body: dict[str, JSON]
    at: datetime


class Status(Wire):
    version: str
    cases: dict[str, int]
    waiting: int
    backlog: int
    last_event: int
    alarms: list[str] = []
    """What compliance or operators have to look after."""


class PolicyVersionView(Wire):
    version: str
    digest: str
    source: str
    """installed, published, rolled_back"""
    signed_by: list[str]
    case_id: str
    at: datetime


class PolicyView(Wire):
    """A kind's policy: the version in force, and every one that was published, newest first."""

    kind: str
    policy: str
    version: str
    digest: str
    in_force: str
    owner: str
    rules: int
    alarms: list[str]
    versions: list[PolicyVersionView]


class HandedIn(Wire):
    """A signed policy was kept; `bundle` is what a case of governance names it by."""

    bundle: str


class UnknownEffect(Wire):
    """An effect that may or may not have happened."""

    action: str
    case_id: str
    tool: str
    described: str
    key: str
    """The idempotency key that the provider was given."""
    started_at: datetime
    problem: str
    approval: str
    """The open question to people; empty where nobody is asked."""
    provider_says: str
    """happened, not_there, cant_tell (it can't be asked), down"""
    result: dict[str, JSON]


class UndoView(Wire):
    """An effect that can be taken back."""

    action: str
    tool: str
    described: str
    standing: str
    """taken_back, left (people let it stand), to_propose, to_run, to_ask, waiting (for people), failed, unknown,
    unsettled (nobody knows yet whether it happened)"""
    by: str
    """The tool that takes it back."""
    why: str


class Batch(Wire):
    """Cases to open together."""

    cases: list[SubmitCase] = Field(min_length=1, max_length=100)


class BatchItem(Wire):
    """What became of one: the case, or the problem."""

    status: int
    """201 for a new case, 200 for one that the same key had opened, else the problem's."""
    case: CaseSummary | None = None
    problem: Problem | None = None


class BatchDone(Wire):
    """One item for each case of the batch, in its order."""

    items: list[BatchItem]
    refused: int
