"""Plain graphs whose questions and payments depend on more than their state: config, context, metadata, tags."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt

PAID: list[tuple[str, Any, Any]] = []
"""Name, amount and answer of each payment, in their order."""
TROUBLE: set[str] = set()
"""Names whose payments fail."""


class State(TypedDict, total=False):
    name: str
    log: Annotated[list[str], add]


class Beside(TypedDict, total=False):
    amount: int


def _amounts(config: RunnableConfig, runtime: Runtime[Beside]) -> list[Any]:
    given, beside = config["configurable"], config["metadata"]
    return [given.get("amount"), (runtime.context or {}).get("amount"), beside.get("amount"), config.get("tags")]


def pay(state: State, config: RunnableConfig, runtime: Runtime[Beside]) -> State:
    said = interrupt({"pay": _amounts(config, runtime)})
    if state["name"] in TROUBLE:
        raise ConnectionError("the bank is away")
    PAID.append((state["name"], _amounts(config, runtime), said))
    return {"log": ["paid"]}


def pay_twice(state: State) -> State:
    for part in ("first", "second"):
        PAID.append((state["name"], part, interrupt("Pay it?")))
    return {"log": ["paid"]}


def _of(node: Any) -> StateGraph[Any, Any]:
    graph = StateGraph(State, context_schema=Beside)
    graph.add_node(node.__name__, node)
    graph.add_edge(START, node.__name__)
    graph.add_edge(node.__name__, END)
    return graph


pays = _of(pay)
pays_twice = _of(pay_twice)


def pays_below() -> StateGraph[Any, Any]:
    """The same question in a graph within the graph."""
    graph = StateGraph(State)
    graph.add_node("below", pays_twice.compile())
    graph.add_edge(START, "below")
    graph.add_edge("below", END)
    return graph
