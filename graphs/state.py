"""What a graph remembers of a case between its steps, and what its nodes may reach while they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages

from agents.contract import Agent
from core.actions import JSON, ToolSpec
from core.data import Fields
from core.model_call import ModelInUse
from core.settings import BudgetSettings
from engine.services import Services


class PlannedCall(TypedDict):
    """A proposal of this turn, with the place in the plan that makes its effect happen once."""

    call_id: str
    tool: str
    args: dict[str, JSON]
    step_key: str
    before: NotRequired[Literal["plan", "act"]]
    """The house itself asks, whether the model may be called in this node. A model's own proposals never have it."""


class Spent(TypedDict):
    turns: int
    tokens: int
    done: list[str]
    """Tools with an effect that ran, each once: an ending must be borne out by them."""
    money_minor: dict[str, int]
    """Money that actions paid out, by currency."""


def _of_this_turn(earlier: list[dict[str, JSON]], new: list[dict[str, JSON]] | None) -> list[dict[str, JSON]]:
    """Outcomes of calls that run side by side; None empties the list for the next turn."""
    return [] if new is None else [*earlier, *new]


class CaseState(TypedDict, total=False):
    case: dict[str, Any]
    messages: Annotated[list[AnyMessage], add_messages]
    plan: list[dict[str, JSON]]
    calls: list[PlannedCall]
    outcomes: Annotated[list[dict[str, JSON]], _of_this_turn]
    notes: list[dict[str, Any]]
    """For the event log, written with the next transaction."""
    spent: Spent
    judged: list[str]
    """What the model was allowed to see so far, each book and set of classes once."""
    heard: int
    """The number of the customer's last message that the conversation has."""
    handing_over: str
    """Why the case goes to a person, once it does."""
    ending: dict[str, str]


class Work(TypedDict):
    """What one task of the turn gets: a call on its way through the gate."""

    case: dict[str, Any]
    action: dict[str, Any]
    action_id: str
    effect: str
    again: int
    """How often people were asked anew because the facts moved."""
    note: str
    """What people wrote when they approved it."""


class Question(Work):
    reason: str
    unknown: bool
    """The outcome at the provider is not known: people reconcile."""


@dataclass(frozen=True)
class Context:
    """What nodes reach: the agent, what tools look like, and the engine's services. No tool that runs, and no rows:
    contracts keep `graphs` from importing `ledger`."""

    agent: Agent
    specs: Mapping[str, ToolSpec[Any]]
    services: Services
    budget: BudgetSettings
    handover: Callable[[str], tuple[str, dict[str, JSON]]]
    outcomes: Mapping[str, frozenset[str]]
    model: ModelInUse
    payload: Fields
    """What each field of a case's payload holds."""
