"""A plain LangGraph graph, served on threads: nothing of it is rewritten, and its state lies with the house's own.

What it does is its own affair: no gate stands before its tools. But a question that it asks is answered as its settings
say, by rows (`engine/thread_answers.py`), and nothing else gets past it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.errors import EmptyInputError, GraphRecursionError, InvalidUpdateError
from langgraph.types import Command, Send, StateSnapshot
from pydantic import PydanticUserError

from core.actions import JSON
from core.errors import Conflict, InvalidInput, NotFound
from core.people import HOME, Person
from engine.served import Emit, Outcome, State, Task, Turn, Within
from engine.thread_answers import AnsweredBy, Answers
from engine.threads import refuse_detour
from graphs.plain_load import Compiled
from graphs.plain_steps import Steps
from graphs.plain_stream import Telling, asked_of, own_modes

_MOST_STEPS = 1_000
_OURS = ("thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "run_id", "graph_id", "assistant_id")


def key_of(workspace: str, thread_id: str) -> str:
    """Under which the steps of a thread are kept."""
    return thread_id if workspace == HOME else f"{workspace}:{thread_id}"


class PlainGraph:
    """Implements `engine.served.Served`."""

    personal = False

    def __init__(
        self, name: str, title: str, graph: Compiled, steps: Steps, answers: Answers, answered_by: AnsweredBy
    ) -> None:
        self.name = name
        self.title = title or name
        self._graph = graph
        self._steps = steps
        self._answers = answers
        self._by: AnsweredBy = answered_by

    @property
    def talks(self) -> bool:
        """Whether its state has messages, so that one can chat with it. Not every state's type has a schema."""
        return "messages" in self._graph.channels

    def schemas(self) -> dict[str, JSON]:
        made: dict[str, Callable[[], Any]] = {
            "input_schema": self._graph.get_input_jsonschema,
            "output_schema": self._graph.get_output_jsonschema,
            "state_schema": self._graph.get_output_jsonschema,
            "context_schema": self._graph.get_context_jsonschema,
        }
        return {"config_schema": None, **{name: _schema(each) for name, each in made.items()}}

    # running

    async def run(self, turn: Turn, emit: Emit) -> Outcome:
        turn, began = await self._as_begun(turn)
        config = self._config(turn.person.workspace, turn.thread_id, turn.checkpoint)
        config["configurable"] |= _configurable(turn.config)
        config["configurable"] |= {"graph_id": self.name, "assistant_id": self.name}
        ours = {"run_id": turn.run_id, "began": began, "graph_id": self.name, "assistant_id": self.name}
        config["metadata"] = {**turn.metadata, **ours}
        config["recursion_limit"] = _recursion(turn.config)
        if isinstance(tags := turn.config.get("tags"), list):
            config["tags"] = [str(tag) for tag in tags]
        goes_on, config = await self._goes_on(turn, config)
        telling = Telling(emit, turn.modes, turn.subgraphs)
        # With `subgraphs` each item names where it is from, without it only the mode.
        stream = self._graph.astream(
            goes_on,
            config,
            context=dict(turn.context) or None,
            stream_mode=own_modes(turn.modes),
            interrupt_before=_nodes(turn.before),
            interrupt_after=_nodes(turn.after),
            durability=turn.durability,
            subgraphs=turn.subgraphs,
        )
        try:
            async for item in stream:
                if turn.subgraphs:
                    await telling.tell(*item)
                else:
                    await telling.tell((), *item)
        except (EmptyInputError, InvalidUpdateError) as error:
            raise InvalidInput(str(error)[:500], field="input", hint="See the graph's input_schema.") from error
        except GraphRecursionError as error:
            raise InvalidInput(
                "The graph took more steps than config.recursion_limit lets it.", field="config.recursion_limit"
            ) from error
        return await self._outcome(turn, telling)

    async def _outcome(self, turn: Turn, telling: Telling) -> Outcome:
        if telling.interrupts or turn.before or turn.after or telling.values is None:
            state = await self.state(turn.person, turn.thread_id)
            return Outcome("interrupted" if state.next else "success", state.values, state.asked)
        return Outcome("success", _mapping(telling.values))

    async def _as_begun(self, turn: Turn) -> tuple[Turn, str]:
        """The turn under what its steps began with, and the run that brought this.

        What reviewers are asked about is more than the question's text: a graph reads its config and context too. So
        each step names the run that brought them, and whatever goes on from it, goes on with them.
        Raises `Conflict` where they are not known any more.
        """
        if self._by != "reviewers" or not (turn.resumes or turn.input is None):
            return turn, turn.run_id
        last = await self._steps.last(key_of(turn.person.workspace, turn.thread_id))
        if last is None:
            return turn, turn.run_id
        began = str(last.get("began", ""))
        given = await self._answers.begun_with(turn.person.workspace, began)
        if given is None:
            raise Conflict(
                "The run that began this is no more, and nobody knows its config.", hint="Send new input, or a new run."
            )
        own = {name: value for name, value in turn.config.items() if name == "recursion_limit"}
        kept = {name: value for name, value in given["config"].items() if name != "recursion_limit"}
        return replace(turn, config=kept | own, context=given["context"], metadata=given["metadata"]), began

    async def _goes_on(self, turn: Turn, config: RunnableConfig) -> tuple[Any, RunnableConfig]:
        """What to hand to the graph: new input, answers, or nothing where it goes on from its last step."""
        if turn.attempt > 1:
            last = await self._steps.last(key_of(turn.person.workspace, turn.thread_id)) or {}
            if turn.resumes or last.get("run_id") == turn.run_id:
                config["configurable"].pop("checkpoint_id", None)
                return await self._pending(turn, config), config
        command = _command(turn.command)
        if turn.resumes:
            said = await self._answers.given(turn.person.workspace, turn.thread_id, turn.run_id)
            return Command(resume=said, **command), config
        if command:
            return Command(**command), config
        if turn.input is None:
            return await self._pending(turn, config), config
        return turn.input, config

    async def _pending(self, turn: Turn, config: RunnableConfig) -> Any:
        """Answers that are given and that the graph has not had yet.

        A second question of the same step has the id of the first: what was handed over once is not handed over again.
        """
        said = await self._answers.given(turn.person.workspace, turn.thread_id)
        if not said:
            return None
        snapshot = await self._graph.aget_state(config, subgraphs=True)
        had = await self._steps.answered(snapshot)
        open_ = {each.id: said[each.id] for each in snapshot.interrupts if each.id in said.keys() - had}
        return Command(resume=open_) if open_ else None

    async def accept(self, person: Person, thread_id: str, resume: JSON) -> Within | None:
        return self._answers.accept(person, thread_id, resume, self._by)

    def steer(self, command: Mapping[str, JSON], checkpoint: str, beside: Sequence[str] = ()) -> None:
        if self._by == "reviewers" and command:
            raise refuse_detour(f"command.{min(command)}")
        if self._by == "reviewers" and checkpoint:
            raise refuse_detour("Going on from an older step")
        if self._by == "reviewers" and beside:
            raise refuse_detour(f"Another {beside[0]} than the one that it began with")

    async def roll_back(self, person: Person, thread_id: str, run_id: str) -> None:
        await self._steps.take_back(key_of(person.workspace, thread_id), run_id)

    # state

    async def state(self, person: Person, thread_id: str, checkpoint: str = "", subgraphs: bool = False) -> State:
        config = self._config(person.workspace, thread_id, checkpoint)
        snapshot = await self._graph.aget_state(config, subgraphs=subgraphs)
        if checkpoint and snapshot.created_at is None:
            raise NotFound(f"This thread has no step '{checkpoint[:60]}'.", hint="POST …/history lists them.")
        return _state(snapshot)

    async def history(self, person: Person, thread_id: str, limit: int, before: str = "") -> list[State]:
        config = self._config(person.workspace, thread_id)
        earlier = self._config(person.workspace, thread_id, before) if before else None
        return await self._steps.quietly(
            lambda: [_state(each) for each in self._graph.get_state_history(config, before=earlier, limit=limit)]
        )

    async def update(
        self, person: Person, thread_id: str, values: JSON, as_node: str | None, checkpoint: str = ""
    ) -> str:
        config = self._config(person.workspace, thread_id, checkpoint)
        if values is None and as_node in ("__end__", None):  # what an inbox sends to put something aside
            return (await self.state(person, thread_id, checkpoint)).checkpoint
        if self._by == "reviewers":
            raise refuse_detour("Writing its state")
        try:
            written = await self._graph.aupdate_state(config, values, as_node=as_node)
        except InvalidUpdateError as error:
            raise InvalidInput(str(error)[:500], field="values", hint="Name a node of the graph in as_node.") from error
        return str(written["configurable"]["checkpoint_id"])

    async def copy(self, person: Person, thread_id: str, to: str) -> None:
        if self._by == "reviewers" and (await self.state(person, thread_id)).next:
            raise refuse_detour("A copy of a thread that is not at its end")
        source, target = key_of(person.workspace, thread_id), key_of(person.workspace, to)
        await self._steps.copy(source, target)

    async def forget(self, person: Person, thread_id: str) -> None:
        await self._steps.forget(key_of(person.workspace, thread_id))

    def _config(self, workspace: str, thread_id: str, checkpoint: str = "") -> RunnableConfig:
        where: dict[str, Any] = {"thread_id": key_of(workspace, thread_id)}
        if checkpoint:
            where["checkpoint_id"] = checkpoint
        return {"configurable": where}


def _configurable(config: Mapping[str, JSON]) -> Mapping[str, JSON]:
    given = config.get("configurable")
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InvalidInput("config.configurable is to be an object.", field="config.configurable")
    return {key: value for key, value in given.items() if key not in _OURS and not key.startswith("__")}


def _recursion(config: Mapping[str, JSON]) -> int:
    given = config.get("recursion_limit")
    if given is None:
        return 25
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= _MOST_STEPS:
        raise InvalidInput(f"It is to be from 1 to {_MOST_STEPS}.", field="config.recursion_limit")
    return given


def _nodes(names: tuple[str, ...]) -> Any:
    return "*" if names == ("*",) else list(names) or None


def _command(given: Mapping[str, JSON]) -> dict[str, Any]:
    command: dict[str, Any] = {}
    if (update := given.get("update")) is not None:
        command["update"] = [tuple(each) for each in update] if isinstance(update, list) else update
    if (goto := given.get("goto")) is not None:
        command["goto"] = [_place(each) for each in goto] if isinstance(goto, list) else _place(goto)
    return command


def _place(goto: JSON) -> str | Send:
    match goto:
        case str(node):
            return node
        case {"node": str(node), **rest}:
            return Send(node, rest.get("input"))
        case _:
            raise InvalidInput("goto names a node, or {node, input}.", field="command.goto")


def _schema(make: Callable[[], Any]) -> JSON:
    try:
        schema: JSON = make()
    except (PydanticUserError, TypeError, ValueError, LookupError, NameError):  # of types that have no schema
        return None
    return schema


def _mapping(values: Any) -> dict[str, Any]:
    """Graphs whose state is one value without a name show it under `output`."""
    return dict(values) if isinstance(values, Mapping) else {"output": values}


def _state(snapshot: StateSnapshot) -> State:
    where, parent = snapshot.config["configurable"], snapshot.parent_config
    return State(
        values=_mapping(snapshot.values),
        next=list(snapshot.next),
        tasks=[
            Task(
                id=task.id,
                name=task.name,
                error=str(task.error) if task.error else "",
                interrupts=asked_of(task.id, task.interrupts),
                result=task.result,
                state=_state(task.state) if isinstance(task.state, StateSnapshot) else None,
            )
            for task in snapshot.tasks
        ],
        checkpoint=str(where.get("checkpoint_id", "")),
        parent=str(parent["configurable"].get("checkpoint_id", "")) if parent else "",
        metadata=dict(snapshot.metadata or {}),
        at=datetime.fromisoformat(snapshot.created_at) if snapshot.created_at else None,
    )
