"""What an agent is to the rest of the house: it reads a conversation and returns a Turn.

A model, embedded or served, is a LangChain `BaseChatModel`. It answers with tool calls only: the
kind's own tools become proposals, and two control tools belong to the conversation itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

from langchain_core.messages import AIMessage, AnyMessage
from pydantic import BaseModel, ConfigDict, Field

from core.actions import JSON

MAKE_PLAN = "make_plan"
FINISH = "finish"


class StepStatus(StrEnum):
    PENDING = "pending"
    DONE = "done"
    DROPPED = "dropped"


class PlanStep(BaseModel):
    """One line of the plan that people see."""

    title: str = Field(max_length=200)
    tool: str = ""
    status: StepStatus = StepStatus.PENDING


class MakePlan(BaseModel):
    """Write down the steps that you will take, before you take the first one."""

    steps: list[PlanStep] = Field(min_length=1, max_length=20)


class Finish(BaseModel):
    """End the case. `outcome` is a short word, such as refunded or declined; `summary` is for people."""

    outcome: str = Field(pattern=r"^[a-z][a-z_]{1,39}$")
    summary: str = Field(max_length=2000)


class Proposal(BaseModel):
    """A tool call that the agent wants. Unchecked: the gate validates and judges it."""

    model_config = ConfigDict(frozen=True)

    call_id: str
    tool: str
    args: dict[str, JSON]


class Turn(BaseModel):
    """One answer of the model, taken apart. Exactly one of plan, proposals and finish is filled."""

    message: AIMessage
    plan: list[PlanStep] = []
    proposals: list[Proposal] = []
    finish: Finish | None = None
    tokens_in: int = 0
    tokens_out: int = 0


class Agent(Protocol):
    name: str
    """`agent:<kind>`: the proposer in every action."""

    def opening(self, case: dict[str, Any]) -> list[AnyMessage]:
        """The first messages of a case: the role's system prompt, then the case as one human message."""
        ...

    async def plan(self, messages: Sequence[AnyMessage]) -> Turn:
        """Writes or rewrites the plan. Raises `ModelUnavailable` or `ModelNonsense`."""
        ...

    async def act(self, messages: Sequence[AnyMessage]) -> Turn:
        """Proposes the next calls, or finishes. Raises `ModelUnavailable` or `ModelNonsense`."""
        ...
