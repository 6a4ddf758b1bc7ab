"""What a graph is to clients that run it on threads: the port behind the threads API and the chat.

Kinds of business task (`serving/threads/kinds.py`) and plain LangGraph graphs (`graphs/plain.py`) are served alike
through it. A resume carries no authority: `accept` turns each answer into a record of its caller, under the same checks
as anywhere, before anything runs; the run then only looks at the records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from core.actions import JSON
from core.people import Person
from ledger.database import Ledger

Ended = Literal["success", "interrupted"]
"""How a run ended that did not fail: the graph is at its end, or it waits for answers."""

Within = Callable[[Ledger, str], None]
"""Work of the transaction that writes a run, whose thread is locked by then; with the run's id. It may raise."""


@dataclass(frozen=True)
class Turn:
    """One run on a thread, as its graph sees it."""

    person: Person
    """Whoever started it: what it may do is what they may."""
    thread_id: str
    run_id: str
    attempt: int
    """Above 1, a process died with it: it goes on where the checkpoints are."""
    input: JSON
    """None where it only goes on."""
    resumes: bool
    """Answers were accepted; it goes on with them."""
    command: Mapping[str, JSON] = field(default_factory=dict)
    """`update` and `goto` of the client's command, if any."""
    config: Mapping[str, JSON] = field(default_factory=dict)
    """The client's `configurable`, `tags`, `recursion_limit`; what names threads is taken out."""
    context: Mapping[str, JSON] = field(default_factory=dict)
    modes: tuple[str, ...] = ("values",)
    subgraphs: bool = False
    before: tuple[str, ...] = ()
    """Nodes to pause before; `after`, those to pause after."""
    after: tuple[str, ...] = ()
    durability: Literal["sync", "async", "exit"] = "async"
    checkpoint: str = ""
    """The step to go on from, where it is not the last one."""
    metadata: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """An open question of a graph: an interrupt."""

    id: str
    task_id: str
    value: Any
    response_schema: Mapping[str, JSON] | None = None

    def shown(self) -> dict[str, Any]:
        """As clients see it."""
        schema = {} if self.response_schema is None else {"response_schema": dict(self.response_schema)}
        return {"id": self.id, "value": self.value, **schema}


@dataclass(frozen=True)
class Outcome:
    """What came of a run that did not fail."""

    ended: Ended
    values: Mapping[str, JSON] | None = None
    """The thread's values now, to be kept beside it for lists. None for a graph that is `personal`."""
    asked: Sequence[Asked] = ()
    """All questions that are open now; the same rule."""


@dataclass(frozen=True)
class Task:
    id: str
    name: str
    error: str = ""
    interrupts: Sequence[Asked] = ()
    result: JSON = None
    state: State | None = None
    """Of the subgraph that it runs, where that was asked for."""


@dataclass(frozen=True)
class State:
    """A thread after a step, in plain JSON."""

    values: Mapping[str, JSON]
    next: Sequence[str]
    tasks: Sequence[Task]
    checkpoint: str
    parent: str
    metadata: Mapping[str, JSON]
    at: datetime | None

    @property
    def asked(self) -> list[Asked]:
        return [each for task in self.tasks for each in task.interrupts]


class Emit(Protocol):
    """Writes one event of the run into the durable log: `values`, `updates`, `custom`, … with plain JSON."""

    async def __call__(self, event: str, data: JSON) -> None: ...


class Served(Protocol):
    name: str
    """What clients call it: `assistant_id` and `graph_id`."""
    title: str
    personal: bool
    """What is shown of a thread depends on who looks: `state` is asked each time, and nothing is kept beside it."""

    def schemas(self) -> dict[str, JSON]:
        """JSON schemas: `input_schema`, `output_schema`, `state_schema`, `config_schema`, `context_schema`."""

    async def run(self, turn: Turn, emit: Emit) -> Outcome:
        """Runs until the end or a question. Cancelled, it leaves the thread so that a later run may go on.

        The `metadata`, `error` and `end` events are written for it.
        """

    def steer(self, command: Mapping[str, JSON], checkpoint: str, beside: Sequence[str] = ()) -> None:
        """Asked before a run that brings `update` or `goto`, or begins at an older step.

        `beside` names the config and context that come with a run which begins nothing new.
        Raises `Forbidden` where that would get around a question or the gate.
        """

    async def accept(self, person: Person, thread_id: str, resume: JSON) -> Within | None:
        """Writes down each answer of a resume, whatever its shape, as `person`'s: all of them or none.

        What it returns, if anything, is done in the transaction that writes the run that goes on with the answers.

        Raises `StaleState` or `AlreadyDecided` (409) where the question is not open any more, naming who answered;
        `InvalidInput` (422) for an answer that fits no open question; `Forbidden` (403) for who may not answer.
        """

    async def state(self, person: Person, thread_id: str, checkpoint: str = "", subgraphs: bool = False) -> State:
        """Raises `NotFound` for a step that is not there. A thread that never ran has an empty state."""

    async def history(self, person: Person, thread_id: str, limit: int, before: str = "") -> list[State]:
        """Newest first."""

    async def update(
        self, person: Person, thread_id: str, values: JSON, as_node: str | None, checkpoint: str = ""
    ) -> str:
        """Writes values as a node would have; the new step. Raises `Forbidden` where that would get around the gate."""

    async def roll_back(self, person: Person, thread_id: str, run_id: str) -> None:
        """Takes the state back to where it was before this run began."""

    async def copy(self, person: Person, thread_id: str, to: str) -> None:
        """The state, its history included, as another thread's. Raises `Forbidden` where there can't be two of it."""

    async def forget(self, person: Person, thread_id: str) -> None:
        """The thread is deleted. What was decided and done stays on record."""
