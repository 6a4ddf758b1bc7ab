"""Plain graphs to be served: gates, messages, subgraphs, steps that wait until a test lets them go."""

from __future__ import annotations

import asyncio
import os
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt

from core.errors import DatabaseUnavailable

WAITING: dict[str, asyncio.Event] = {}
"""By the name that a run's input gives: what lets it go on."""
REACHED: dict[str, asyncio.Event] = {}
"""Set when a run of that name waits."""
DONE: list[str] = []
"""What happened in the world, in its order."""


class Log(TypedDict, total=False):
    log: Annotated[list[str], add]
    name: str


def first(state: Log) -> Log:
    DONE.append(f"first {state.get('name', '')}")
    return {"log": ["first"]}


def gate_one(state: Log) -> Log:
    return {"log": [f"one: {interrupt({'ask': 'one?'})}"]}


def gate_two(state: Log) -> Log:
    said = interrupt({"ask": "two?"})
    DONE.append(f"paid {state.get('name', '')}")
    return {"log": [f"two: {said}"]}


def chain(*nodes: Any, state: Any = Log) -> StateGraph[Any]:
    graph = StateGraph(state)
    before = START
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    graph.add_edge(before, END)
    return graph


one_step = chain(first)
two_gates = chain(first, gate_one, gate_two)


def one_gate() -> StateGraph[Any]:
    """Gate, then payment."""
    return chain(first, gate_two)


def left(state: Log) -> Log:
    return {"log": [f"left: {interrupt({'ask': 'left?'})}"]}


def right(state: Log) -> Log:
    return {"log": [f"right: {interrupt({'ask': 'right?'})}"]}


def both_sides() -> StateGraph[Any]:
    """Two questions at once."""
    graph = StateGraph(Log)
    for node in (left, right):
        graph.add_node(node.__name__, node)
        graph.add_edge(START, node.__name__)
    return graph


async def hold(state: Log) -> Log:
    """Waits until the test lets it go."""
    name = state.get("name", "")
    REACHED.setdefault(name, asyncio.Event()).set()
    await WAITING.setdefault(name, asyncio.Event()).wait()
    return {"log": [f"held {name}"]}


waits = chain(first, hold)


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


async def speak(state: Talk) -> Talk:
    model = GenericFakeChatModel(messages=iter([AIMessage("Three plain words.", id="said-1")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


speaks = chain(speak, state=Talk).compile()


def report(state: Log) -> Log:
    get_stream_writer()({"progress": "half"})
    return {"log": ["reported"]}


def inner(state: Log) -> Log:
    return {"log": ["inner"]}


def nested() -> StateGraph[Any]:
    """A step that tells of its progress, then a graph within the graph."""
    graph = StateGraph(Log)
    graph.add_node("report", report)
    graph.add_node("below", chain(inner).compile())
    graph.add_edge(START, "report")
    graph.add_edge("report", "below")
    return graph


def breaks(state: Log) -> Log:
    raise ValueError("the till is empty")


broken = chain(breaks)


def loud() -> StateGraph[Any]:
    """A thousand events."""

    def shout(state: Log) -> Log:
        write = get_stream_writer()
        for number in range(1_000):
            write({"n": number})
        return {"log": ["shouted"]}

    return chain(shout)


def note(state: Log) -> Log:
    """Leaves a line outside, and then takes its time: for processes that are killed in between."""
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(f"{state.get('name', '')}\n")
    return {"log": ["noted"]}


async def rest(state: Log) -> Log:
    go = Path(os.environ["NOTES"] + ".go")
    while not go.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(0.02)
    return {"log": ["rested"]}


survives = chain(note, rest)


def pay(state: Log) -> Log:
    said = interrupt({"ask": "pay?"})
    DONE.append(f"paid {state.get('name', '')}")
    return {"log": [f"pay: {said}"]}


AWAY: dict[str, int] = {}
"""By name, how often the records will be away yet when a run of it looks."""


def look(state: Log) -> Log:
    name = state.get("name", "")
    if AWAY[name]:
        AWAY[name] -= 1
        raise DatabaseUnavailable("The database can't be used.", hint="This is a test.")
    return {"log": ["looked"]}


outages = chain(look)

paid_then_held = chain(pay, hold)
"""What is done for an answer, and then a step that takes its time."""
