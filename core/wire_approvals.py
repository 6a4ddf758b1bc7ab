"""The HTTP models of the approvals queue: windows and filters, claims, batches, what is taken back."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from core.actions import JSON
from core.states import ReviewStatus
from core.verdicts import RuleMatch
from core.wire import ApprovalSummary, CaseSummary, Moment, PlanView, Problem, TraceEntry, Wire

BATCH_LIMIT = 100
GREATEST = 2**53 - 1

Sort = Literal["due", "-due", "opened", "-opened", "amount", "-amount"]


class VoteView(Wire):
    person: str
    choice: str
    reason_code: str
    note: str
    at: datetime


class PassedOn(Wire):
    """A question that somebody gave to others, and their words."""

    person: str
    from_group: str
    to_group: str
    note: str
    at: datetime
    taken_back: bool = False


class FactView(Wire):
    path: str
    value: JSON
    source: str
    at: datetime
    witnessed: bool


class ApprovalDetail(Wire):
    approval: ApprovalSummary
    seen: str
    """Digest of what is shown here; a decision sends it back."""
    args: dict[str, JSON]
    args_schema: dict[str, Any]
    effect: str
    matches: list[RuleMatch]
    book: dict[str, str]
    policy_since: str
    """The version that has come into force since this was asked; empty if it is the same one."""
    facts: list[FactView]
    evidence_for: list[str]
    evidence_against: list[str]
    votes: list[VoteView]
    passed_on: list[PassedOn] = Field(default=[])
    reason_codes: dict[str, str] = Field(default={})
    """Why it may be rejected: each code with its words."""
    trace: list[TraceEntry] = Field(default=[])
    """What happened in its case last, the oldest first."""
    case: CaseSummary
    payload: dict[str, JSON]
    plan: list[PlanView]


class Decide(Wire):
    """What a person decides about an approval."""

    choice: Literal["approve", "reject", "edit", "respond", "escalate"]
    seen: str = Field(max_length=64)
    """The digest of what was shown, from the approval."""
    reason_code: str = Field(default="", max_length=64)
    """Why it is rejected, one of the kind's codes."""
    note: str = Field(default="", max_length=4000)
    """A response or an escalation has to say something."""
    args: dict[str, JSON] | None = None
    """The whole arguments after an edit, as `args_schema` has them."""
    to: str = Field(default="", max_length=100)
    """The group that it is passed on to; the next one of policy's chain, if empty."""
    claim: str = Field(default="", max_length=40)
    """The token of one's claim: where others had it since, nothing is decided."""
    dwell_s: int = Field(default=0, ge=0, le=24 * 3600)


class DecidedView(Wire):
    """What came of a vote. After an edit that others must approve, `approval` is the new one."""

    approval: str
    status: str
    action: str
    waiting_for: list[str] = Field(default=[])


class QueueFilter(Wire):
    """Which approvals. What is left out does not narrow it; several values of one field are joined by "or"."""

    status: list[ReviewStatus] = Field(default=[], max_length=10)
    """Only open ones, if none is named."""
    tool: list[str] = Field(default=[], max_length=20)
    kind: list[str] = Field(default=[], max_length=20)
    group: list[str] = Field(default=[], max_length=20)
    """Reviewer groups that are asked now."""
    role: list[str] = Field(default=[], max_length=20)
    case: str = Field(default="", max_length=40)
    subject: str = Field(default="", max_length=200)
    mine: bool = False
    """Claimed by whoever asks."""
    for_me: bool = False
    """Whoever asks could decide it now."""
    due_before: Moment | None = None
    least: int | None = Field(default=None, ge=0, le=GREATEST)
    """Money that leaves the company, in minor units of `currency`, from this on."""
    most: int | None = Field(default=None, ge=0, le=GREATEST)
    currency: str = Field(default="", pattern=r"^([A-Z]{3})?$")
    text: str = Field(default="", max_length=100)
    """Stands in what the action would do, whatever the case of its letters."""
    sort: Sort = "due"

    @model_validator(mode="after")
    def _one_currency(self) -> Self:
        if not self.currency and (self.least is not None or self.most is not None):
            raise ValueError("amounts are compared within one currency: name it")
        return self


class QueueAsked(QueueFilter):
    """A window over the approvals: which, in what order, and from where on."""

    filter: str = Field(default="", max_length=64)
    """The name of a saved filter. What stands beside it in the request goes before what it says."""
    id: list[str] = Field(default=[], max_length=200)
    """Just these, to look again at what is on a screen."""
    after: str = Field(default="", max_length=80)
    """`next` of a page: what follows it."""
    before: str = Field(default="", max_length=80)
    """`prev` of a page: what comes before it."""
    at: int = Field(default=0, ge=0, le=10_000_000)
    """Position to begin at, for a jump."""
    limit: int = Field(default=200, ge=1, le=500)
    counted: bool = True
    """Whether to count all, and what stands before this window."""


class ApprovalPage(Wire):
    items: list[ApprovalSummary]
    next: str = ""
    """Cursor of what follows, empty at the end."""
    prev: str = ""
    """Cursor of what comes before, empty at the beginning."""
    total: int | None = None
    """All that the filter finds; none where it was not asked for, or a text is searched for."""
    position: int | None = None
    """How many of them stand before the first one here."""


class ClaimAgain(Wire):
    """With the token of one's claim only that claim is renewed: where others had it since, nothing happens."""

    claim: str = Field(default="", max_length=40)


class Claimed(ApprovalSummary):
    claim: str
    """The token of this claim. A decision that sends it counts only while nobody else has claimed it since."""


class BatchOne(Wire):
    id: str = Field(min_length=1, max_length=40)
    seen: str = Field(default="", max_length=64)
    """The digest of what was shown, for whatever decides."""


class ApprovalBatch(Wire):
    """One thing to do with several approvals, each for itself."""

    do: Literal["claim", "release", "approve", "reject", "escalate"]
    """Nothing that moves money, or can't be taken back, is approved in a batch."""
    items: list[BatchOne] = Field(min_length=1, max_length=BATCH_LIMIT)
    reason_code: str = Field(default="", max_length=64)
    note: str = Field(default="", max_length=4000)
    to: str = Field(default="", max_length=100)


class ApprovalBatchItem(Wire):
    id: str
    status: int
    """200, or that of its problem."""
    approval: ApprovalSummary | None = None
    claim: str = ""
    decided: DecidedView | None = None
    problem: Problem | None = None


class ApprovalBatchDone(Wire):
    """One item for each of the batch, in its order."""

    items: list[ApprovalBatchItem]
    refused: int


class SaveFilter(Wire):
    wanted: QueueFilter
    shared: bool = False
    """For everybody, which takes an operator."""


class SavedFilterView(Wire):
    name: str
    wanted: QueueFilter
    shared: bool
    saved_by: str
    saved_at: datetime


class SavedFilters(Wire):
    items: list[SavedFilterView]


class ReasonCodes(Wire):
    """Why an action of this kind may be rejected."""

    kind: str
    codes: dict[str, str]
    """Each code with its words, the usual ones first."""
