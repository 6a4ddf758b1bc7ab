"""What an agent may propose, and how a proposal is named.

An action is content-addressed: its id is the SHA-256 of the canonical JSON of its content. Whoever
holds an id holds exactly these arguments; a changed argument is another action, without votes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from core.data import EVERYTHING, DataClass
from core.errors import InvalidInput
from core.ids import digest
from core.money import Money

JSON = Any
"""Plain JSON data: dict, list, str, int, bool, None. Floats are refused by the canonical form's users."""


class Effect(StrEnum):
    """What running a tool changes in the world."""

    READ = "read"
    REVERSIBLE = "reversible"
    IRREVERSIBLE = "irreversible"


class Egress(StrEnum):
    """What leaves the house when a tool runs, by whom it reaches."""

    NOTHING = "nothing"
    PROVIDER = "provider"  # the system of record: identifiers and amounts
    CUSTOMER = "customer"  # text or a parcel reaches a person outside
    THIRD_PARTY = "third_party"  # a scoring service, a carrier


A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True)
class Compensation:
    """What takes an effect back: a tool of the same kind, called with arguments made of what was asked and answered.

    It is proposed by the house alone, and judged like any other action.
    """

    tool: str
    args: Callable[[Any, Any], Mapping[str, JSON]]
    """Of the typed arguments and the typed result of what is to be taken back."""
    of: tuple[str, ...] = ()
    """Which of its arguments name what is taken back; all, if none. A thing is taken back once by the same tool."""

    def thing(self, args: Mapping[str, JSON]) -> dict[str, JSON]:
        return {name: args.get(name) for name in self.of} if self.of else dict(args)


@dataclass(frozen=True)
class ToolSpec(Generic[A]):
    """What the house knows of a tool without being able to run it."""

    name: str
    effect: Effect
    args: type[A]
    result: type[BaseModel]
    describe: Callable[[A], str]
    """One line for people: what this call would do."""
    summary: str = ""
    """One line for the model: what the tool is for."""
    egress: frozenset[Egress] = frozenset()
    data: frozenset[DataClass] = EVERYTHING
    """What its result holds, for whoever is shown it. Undeclared, it may hold anything."""
    version: int = 1
    keyed: bool = True
    """The provider takes an idempotency key."""
    lookup: bool = True
    """The provider can tell, by key, whether a call happened."""
    spends: Callable[[A], Money | None] = field(default=lambda _args: None)
    """Money that leaves the company, for budgets and for people."""
    costs: Callable[[Any], Mapping[str, Money]] = field(default=lambda _result: {})
    """What a call that happened cost the company, by component, from its result."""
    costs_about: Callable[[A], Mapping[str, Money]] = field(default=lambda _args: {})
    """What it usually costs, where it happened and nobody has its result."""
    compensated_by: Compensation | None = None
    """How a reversible effect is taken back."""
    stays: str = ""
    """Why a reversible effect has nothing that takes it back by itself."""

    def parse(self, args: Mapping[str, JSON]) -> A:
        """Typed arguments, or `InvalidInput` naming the field."""
        try:
            return self.args.model_validate(dict(args))
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(
                f"{self.name}: {path or 'arguments'}: {first['msg']}",
                field=f"args.{path}" if path else "args",
                hint="Correct the argument and propose again.",
            ) from error


class ProposedAction(BaseModel):
    """A tool call that somebody wants to happen. Holds no authority."""

    model_config = ConfigDict(frozen=True)

    workspace: str
    case_id: str
    kind: str
    tool: str
    schema_version: int
    args: dict[str, JSON]
    proposer: str
    """`agent:<kind>` or a person's id: whoever edits the arguments is the proposer of the new action."""
    step_key: str
    """The plan step, from checkpointed state: two equal calls in two steps are two actions."""

    @cached_property
    def id(self) -> str:
        return digest(
            {
                "tool": self.tool,
                "schema_version": self.schema_version,
                "args": self.args,
                "workspace": self.workspace,
                "case": self.case_id,
                "proposer": self.proposer,
                "step_key": self.step_key,
            }
        )

    @property
    def effect_key(self) -> str:
        """The idempotency key at the provider: one per case, plan step and action."""
        return f"{self.case_id}:{self.step_key}:{self.id[:16]}"


class ToolOutcome(BaseModel):
    """What came of an action, as the agent sees it."""

    model_config = ConfigDict(frozen=True)

    status: OutcomeStatus
    tool: str
    step_key: str
    action_id: str = ""
    result: dict[str, JSON] = {}
    reason: str = ""
    """Why it was denied, rejected or failed, in words for the agent and for people."""
    spent: Money | None = None
    """What it paid out, by the arguments that it ran with."""


class OutcomeStatus(StrEnum):
    DONE = "done"
    DENIED = "denied"  # policy said no
    REJECTED = "rejected"  # a person said no
    RESPONDED = "responded"  # a person answered with words instead of deciding
    EDITED = "edited"  # a person changed the arguments; the changed action ran
    FAILED = "failed"  # the provider said no
    INVALID = "invalid"  # unknown tool or arguments that do not fit its schema
    UNKNOWN = "unknown"  # it may have happened; people reconcile
    SUPERSEDED = "superseded"  # the customer wrote again before it was done: it was not, and the plan is old


ToolOutcome.model_rebuild()
