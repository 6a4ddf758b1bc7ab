"""The seams of the house. A floor that may not import another reaches it through one of these.

`serving/house.py` binds each port to its implementation. `countersign audit check`, which works without a house,
builds a checker and its provider's log beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel

from core.actions import JSON, ProposedAction, ToolSpec
from core.verdicts import BookRef, Fact, ReviewerSet, Verdict


@dataclass(frozen=True)
class CallContext:
    """Who calls a tool, for what. Made by the executor from the store, never by a model."""

    workspace: str
    case_id: str
    action_id: str
    key: str
    """The idempotency key that the provider gets."""
    actor: str
    at: datetime


class Tools(Protocol):
    """All tools of the house that can run. Only the executor calls one; the others read specifications."""

    def specs(self) -> Mapping[str, ToolSpec[Any]]: ...

    async def call(self, tool: str, args: Mapping[str, JSON], context: CallContext) -> dict[str, JSON]:
        """Runs the tool. Raises `ProviderRefused`, `ProviderUnavailable` or `OutcomeUnknown`."""
        ...

    async def lookup(self, tool: str, key: str) -> dict[str, JSON] | None:
        """The stored result of an earlier call with this key, or None if there was none.

        Raises `OutcomeUnknown` where the provider can't tell, `ProviderUnavailable` where it is down.
        """
        ...


class FactSource(Protocol):
    """Reads the systems of record for what policy has to know of an action."""

    async def gather(self, action: ProposedAction, case: Mapping[str, JSON], wanted: frozenset[str]) -> dict[str, Fact]:
        """A fact for each wanted path that this source knows; a path it can't tell is left out."""
        ...


@dataclass(frozen=True)
class Count:
    """A figure that policy wants of our own records, in flight included.

    `measure` is `count` or `sum`; `per` is what is held equal: `customer`, `agent`, `case`, a path of the arguments, or
    a fact, such as the card; `window_s` is how far back, in seconds.
    """

    name: str
    measure: str
    tools: tuple[str, ...]
    path: str
    per: str
    window_s: int
    include: frozenset[str]

    @property
    def fact(self) -> str:
        """The fact that is held equal; empty where it is none. Runs remember it, or nothing could be counted by it."""
        return "" if self.per in ("customer", "agent", "case") or self.per.startswith("args.") else self.per


class Judge(Protocol):
    """Decides. Pure: the same action, facts and book give the same verdict."""

    def wants(self, kind: str, tool: str, now: datetime) -> frozenset[str]:
        """The facts that the book in force reads for this tool, labels of arguments (`args.….source`) among them.

        Neither the arguments themselves nor counts.
        """
        ...

    def counts(self, kind: str, tool: str, now: datetime) -> Sequence[Count]:
        """What it reads besides, to be computed from our own records."""
        ...

    def remembers(self, kind: str, tool: str, now: datetime) -> frozenset[str]:
        """Facts by which a run of this tool is counted later."""
        ...

    def book(self, kind: str, now: datetime) -> BookRef: ...

    def groups(self, kind: str, now: datetime) -> Mapping[str, ReviewerSet]:
        """The reviewer groups that it knows, each with who takes over from it."""
        ...

    def judge(self, action: ProposedAction, facts: Mapping[str, Fact], now: datetime) -> Verdict: ...


class Interrupt(BaseModel):
    """An open question of a graph: what it waits for. `value` holds the `action_id`."""

    id: str
    value: dict[str, JSON]


class SegmentResult(BaseModel):
    """Where a graph stands after a segment."""

    waiting: list[Interrupt] = []
    finished: bool = False
    outcome: str = ""
    summary: str = ""
    skipped: bool = False
    """The event had nothing to say to the graph: its question is not open any more."""
    notes: list[dict[str, JSON]] = []
    """For the event log: each with its `type` and `body`."""


class CaseView(BaseModel):
    """What a graph may know of its case."""

    id: str
    workspace: str
    kind: str
    subject: str
    payload: dict[str, JSON]


class Runner(Protocol):
    """Runs the graph of a case until it ends or waits. Holds no authority over effects."""

    async def advance(self, case: CaseView, answered: str = "") -> SegmentResult:
        """Starts the case, answers the interrupt `answered`, or goes on with what a crash left unfinished."""
        ...


class LoggedCall(BaseModel):
    """One write in a provider's own log."""

    seq: int
    key: str
    operation: str
    case_id: str
    args_digest: str
    result: dict[str, JSON]
    at: datetime


class ProviderLog(Protocol):
    """A provider's own append-only record of what happened there, to hold against ours."""

    async def log(self, after: int = 0, limit: int = 1000) -> list[LoggedCall]: ...


class Office(Protocol):
    """Where the house governs itself: policy comes into force here, and people get their roles.

    The first two only look. The others are reached by the executor alone, through the tools of a kind.
    """

    async def examine(self, change: Mapping[str, JSON]) -> dict[str, JSON]:
        """What is to be known of a policy before it comes into force.

        `change` names a kind and a version, and the `bundle` that was handed in or the `digest` of an earlier version.
        The answer has `valid`, `signed`, `fits`, `problems`, `direction`, `from` and `summary`.
        """
        ...

    async def person(self, name: str, case_id: str) -> dict[str, JSON]:
        """Their `roles` now, and whether they opened the case (`asked_for_themselves`)."""
        ...

    async def publish(self, change: Mapping[str, JSON], context: CallContext) -> dict[str, JSON]:
        """Raises `ProviderRefused`. The same key again gives what came of it the first time."""
        ...

    async def grant(self, name: str, roles: Sequence[str], context: CallContext) -> dict[str, JSON]:
        """These roles and no others; none takes the person's access away. Raises `ProviderRefused`."""
        ...

    async def find(self, key: str) -> dict[str, JSON] | None:
        """What a call with this key did."""
        ...
