"""A returns case without the house: an agent, the real shop and its tools, and scripted people and policies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, ToolMessage

from agents.contract import Finish, Proposal
from agents.planner import EmbeddedPlanner
from agents.returns.procedure import ReturnsProcedure
from agents.returns.role import ROLE
from agents.turns import ModelAgent
from core.actions import OutcomeStatus, ToolOutcome
from core.errors import InvalidInput, ProviderRefused
from tests.support.returns_desk import Desk

Stands = ToolOutcome | dict[str, Any] | None
Ruling = Callable[[Proposal], Stands | Awaitable[Stands]]
"""What stands in the way of a call: an outcome in its place, changed arguments, or nothing."""


def no(status: OutcomeStatus, reason: str = "", **result: Any) -> Ruling:
    return lambda call: ToolOutcome(status=status, tool=call.tool, step_key="", reason=reason, result=result)


def changed(**args: Any) -> Ruling:
    return lambda call: {**call.args, **args}


@dataclass
class Case:
    """`rulings` are used up call by call for each tool; where none is left, the call runs."""

    desk: Desk
    payload: Mapping[str, Any]
    rulings: Mapping[str, list[Ruling]] = field(default_factory=dict)
    model: BaseChatModel = field(default_factory=lambda: EmbeddedPlanner(procedure=ReturnsProcedure()))
    talk: list[AnyMessage] = field(default_factory=list)
    calls: list[Proposal] = field(default_factory=list)
    rounds: list[list[str]] = field(default_factory=list)

    async def run(self, most: int = 16) -> Finish:
        """Plans, then acts to the end; each round is a fresh agent, as after a restart."""
        self.talk = self.agent().opening({"customer_id": "cus_ann", **self.payload})
        self.talk.append((await self.agent().plan(self.talk)).message)
        for _ in range(most):
            turn = await self.agent().act(self.talk)
            self.talk.append(turn.message)
            if turn.finish:
                return turn.finish
            self.rounds.append([call.tool for call in turn.proposals])
            for call in turn.proposals:
                self.calls.append(call)
                outcome = await self._outcome(call)
                self.talk.append(ToolMessage(outcome.model_dump_json(), tool_call_id=call.call_id, name=call.tool))
        raise AssertionError(f"no end after {most} rounds: {self.rounds}")

    def agent(self) -> ModelAgent:
        return ModelAgent(ROLE.name, self.model, ROLE, self.desk.belt.specs())

    def args(self, tool: str) -> dict[str, Any]:
        """The arguments of the last call of a tool."""
        return [call.args for call in self.calls if call.tool == tool][-1]

    def tools(self) -> list[str]:
        return [call.tool for call in self.calls]

    async def _outcome(self, call: Proposal) -> ToolOutcome:
        waiting = self.rulings.get(call.tool) or [lambda _: None]
        ruled = waiting.pop(0) if waiting else None
        found = ruled(call) if ruled else None
        stands = await found if isinstance(found, Awaitable) else found
        if isinstance(stands, ToolOutcome):
            return stands
        try:
            args = self.desk.belt.specs()[call.tool].parse(stands or call.args).model_dump(mode="json")
            result = await self.desk.do(call.tool, **args)
        except InvalidInput as wrong:
            return ToolOutcome(status=OutcomeStatus.INVALID, tool=call.tool, step_key="", reason=wrong.detail)
        except ProviderRefused as refused:
            code = {"code": refused.reason}
            return ToolOutcome(
                status=OutcomeStatus.FAILED, tool=call.tool, step_key="", reason=refused.detail, result=code
            )
        status = OutcomeStatus.EDITED if stands else OutcomeStatus.DONE
        return ToolOutcome(status=status, tool=call.tool, step_key="", result=result)
