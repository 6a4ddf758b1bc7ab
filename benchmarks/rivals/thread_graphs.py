"""The graphs that each server of the comparison runs: one step, and one that asks before its second."""

from __future__ import annotations

from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    number: int
    answer: str


def step(state: State) -> State:
    return {"number": state.get("number", 0) + 1}


def ask(state: State) -> State:
    return {"answer": str(interrupt({"number": state.get("number", 0)}))}


def _trivial() -> StateGraph[State]:
    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_edge("step", END)
    return graph


def _asks() -> StateGraph[State]:
    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_node("ask", ask)
    graph.add_edge(START, "step")
    graph.add_edge("step", "ask")
    graph.add_edge("ask", END)
    return graph


builder = _trivial()
trivial = builder.compile()
asks = _asks().compile()
