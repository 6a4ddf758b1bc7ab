"""A written procedure: what a kind of task does next, given everything that came back so far.

It is pure and keeps nothing between two calls: what has been seen is read from the conversation
each time, so a case goes on after a crash as if nothing had been.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from pydantic import ValidationError

from agents.casefile import passed_on
from agents.contract import FINISH, MAKE_PLAN, Finish, PlanStep
from agents.wire import decode
from core.actions import JSON, OutcomeStatus, ToolOutcome

RAN = frozenset({OutcomeStatus.DONE, OutcomeStatus.EDITED})


@dataclass(frozen=True)
class Call:
    """A tool call that the procedure wants next; `why` is said to whoever watches."""

    tool: str
    args: dict[str, JSON] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Answered:
    """A call and what came of it."""

    call: Call
    outcome: ToolOutcome

    @property
    def ran(self) -> bool:
        return self.outcome.status in RAN


@dataclass(frozen=True)
class Seen:
    """Everything that came back, in the order in which it was asked for."""

    answered: tuple[Answered, ...] = ()
    wrote: tuple[str, ...] = ()
    """What the customer wrote since, the oldest first."""

    @classmethod
    def read(cls, messages: Sequence[AnyMessage]) -> Seen:
        """From a conversation. A call without an answer yet is left out, and one that a message came before."""
        answers = {m.tool_call_id: m for m in messages if isinstance(m, ToolMessage)}
        known = (one for one in _pairs(messages, answers) if one.outcome.status is not OutcomeStatus.SUPERSEDED)
        return cls(tuple(known), tuple(passed_on(messages)))

    def of(self, *tools: str) -> list[Answered]:
        return [one for one in self.answered if one.call.tool in tools]

    def results(self, tool: str) -> list[dict[str, JSON]]:
        """What the tool gave whenever it ran, edited or not."""
        return [one.outcome.result for one in self.of(tool) if one.ran]

    def result(self, tool: str) -> dict[str, JSON] | None:
        """What it gave the last time."""
        return next(reversed(self.results(tool)), None)

    def last(self, *tools: str) -> Answered | None:
        return next(reversed(self.of(*tools)), None)

    def asked(self, call: Call) -> Answered | None:
        """The last answer to exactly this call."""
        return next((one for one in reversed(self.of(call.tool)) if one.call.args == call.args), None)


class Procedure(Protocol):
    def plan(self, case: Mapping[str, Any], seen: Seen) -> list[PlanStep]:
        """The steps that lie ahead, and those behind, as people are shown them."""
        ...

    def next(self, case: Mapping[str, Any], seen: Seen) -> list[Call] | Finish:
        """The calls to propose now, side by side, or the end."""
        ...


def _pairs(messages: Sequence[AnyMessage], answers: Mapping[str, ToolMessage]) -> Iterator[Answered]:
    for message in messages:
        if not isinstance(message, AIMessage):
            continue
        for call in message.tool_calls:
            answer = answers.get(call["id"] or "")
            if answer is None or call["name"] in (MAKE_PLAN, FINISH):
                continue
            tool = decode(call["name"])
            yield Answered(Call(tool, call["args"]), _outcome(tool, answer))


def _outcome(tool: str, answer: ToolMessage) -> ToolOutcome:
    try:
        return ToolOutcome.model_validate(json.loads(str(answer.content)))
    except (ValueError, ValidationError) as error:
        return ToolOutcome(status=OutcomeStatus.FAILED, tool=tool, step_key="", reason=f"unreadable answer: {error}")
