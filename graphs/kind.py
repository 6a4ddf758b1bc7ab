"""The manifest of a kind of business task. `graphs/<kind>/kind.py` registers it with the house.

Two things are found elsewhere: the dialect of a shop that runs by itself, in `tools/<kind>/shop` by
`tools/fulfillment/catalog.py`, and suites, which are listed in `evals/command.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from langgraph.graph import StateGraph
from pydantic import BaseModel

from agents.conversation import Conversation
from agents.procedure import Procedure
from agents.role import Role
from core.actions import JSON
from core.clock import Clock
from core.data import Fields
from core.errors import ProviderUnavailable
from core.people import Permission
from core.ports import CallContext, FactSource, Office
from core.verdicts import Fact, FactSpec
from core.wire import REASON_CODES
from graphs.state import CaseState, Context
from tools.contract import Tool
from tools.fulfillment.ports import Dialect, Shop
from tools.vision.ports import VisionScorer


class NoOffice:
    """Stands where tools are looked at, or run, and nobody governs."""

    async def examine(self, change: Mapping[str, JSON]) -> dict[str, JSON]:
        self._no()

    async def person(self, name: str, case_id: str) -> dict[str, JSON]:
        self._no()

    async def publish(self, change: Mapping[str, JSON], context: CallContext) -> dict[str, JSON]:
        self._no()

    async def grant(self, name: str, roles: Sequence[str], context: CallContext) -> dict[str, JSON]:
        self._no()

    async def find(self, key: str) -> dict[str, JSON] | None:
        self._no()

    def _no(self) -> NoReturn:
        raise ProviderUnavailable("Nobody governs here.", hint="Open a whole house.")


@dataclass(frozen=True)
class Outside:
    """What a kind's tools and facts reach: the system of record, the scorer, its folder of attachments."""

    shop: Shop
    vision: VisionScorer
    clock: Clock
    attachments: Path
    """Folder of photos and other files that cases refer to."""
    office: Office = field(default_factory=NoOffice)
    """Where the house governs itself."""


@dataclass(frozen=True)
class Rehearsal:
    """A generated world to play a kind in: what is there before, what comes in, who decides."""

    records: Mapping[str, Sequence[Mapping[str, JSON]]]
    """What the system of record begins with, by collection."""
    requests: Sequence[tuple[str, Mapping[str, JSON]]]
    """Request key and payload of each case."""
    people: Mapping[str, frozenset[str]]
    """Reviewers by name, with their roles."""


@dataclass(frozen=True)
class TaskKind:
    name: str
    title: str
    intake: type[BaseModel]
    """What a case starts from; its schema draws the form."""
    subject: Callable[[Any], str]
    """Whom a case is about: what policy's counts are kept per."""
    tools: Callable[[Outside], Sequence[Tool[Any]]]
    facts: Callable[[Outside], FactSource]
    fact_specs: tuple[FactSpec, ...]
    dialect: Dialect
    role: Role
    procedure: Procedure
    """What the embedded planner follows."""
    book: Path
    build: Callable[[], StateGraph[CaseState, Context, CaseState, CaseState]]
    handover: Callable[[str], tuple[str, dict[str, JSON]]]
    """The call that puts a case before a person, from the question to ask."""
    outcomes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The words a case may end with, and for each the tools of which one must have run; empty for none."""
    payload: Fields = field(default_factory=dict)
    """What each field of the intake holds. One that is not named may hold anything, and is the customer's word."""
    evidence: Callable[[Mapping[str, Fact]], tuple[list[str], list[str]]] = lambda _facts: ([], [])
    """What speaks for and against, from the facts that policy read, in words for reviewers."""
    reasons: Mapping[str, str] = field(default_factory=lambda: REASON_CODES)
    """Codes for why an action is rejected, each with its words."""
    news: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    """Types of events from outside that a case takes up, and the schema of each one's data."""
    opened_with: Permission = Permission.SUBMIT
    """What it takes to open a case."""
    converse: Conversation | None = None
    """How it talks with a customer; a kind without one is no model of the chat."""
    rehearse: Callable[[int, int, datetime], Rehearsal] | None = None
    """From a seed, a number of cases and a moment: what `countersign demo` plays."""
