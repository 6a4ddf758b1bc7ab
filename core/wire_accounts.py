"""The HTTP models of accounts: the audit chain and key figures."""

from __future__ import annotations

from datetime import datetime

from core.actions import JSON
from core.money import Money
from core.wire import Wire


class AuditEntry(Wire):
    """One link of the audit chain."""

    seq: int
    at: str
    """As it was hashed."""
    type: str
    case_id: str
    body: JSON
    text: str
    """The body as it was hashed."""
    prev: str
    hash: str


class AuditVerdict(Wire):
    """Whether the chain holds, as far as it was gone through."""

    workspace: str
    entries: int
    """How many hold, from the first."""
    holds: bool
    broken_at: int | None
    why: str


class KpiWhy(Wire):
    rule: str
    reason: str
    cases: int


class KpiWaiting(Wire):
    """Cases that wait for the same people."""

    groups: str
    cases: int
    due_at: datetime
    why: list[KpiWhy]


class KpiCost(Wire):
    component: str
    closed: Money
    unfinished: Money


class KpiSpread(Wire):
    """Durations in seconds, each one that was measured; zero where there is none."""

    p50: float
    p95: float
    most: float


class Kpis(Wire):
    """Key figures of the cases that were opened in a window."""

    since: datetime | None
    until: datetime | None
    at: datetime
    """When they were taken."""
    cases: int
    by_status: dict[str, int]
    outcomes: dict[str, int]
    unattended: dict[str, int]
    """Outcomes of cases in which no person decided anything."""
    waiting: list[KpiWaiting]
    costs: list[KpiCost]
    cycle: KpiSpread
    """From request to closed."""
    queued: KpiSpread
    """From request to the first plan."""
