"""Plain graphs that one can talk to, for the tests of the chat."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class Sum(TypedDict):
    total: int


def count(state: Talk, config: RunnableConfig) -> dict[str, Any]:
    """Says how much was said, and by whom: what a run remembers."""
    said = [message for message in state["messages"] if message.type == "human"]
    who = config["configurable"].get("customer_id", "nobody")
    return {"messages": [AIMessage(f"{len(said)} of {who}: {said[-1].text}")]}


async def stream(state: Talk) -> dict[str, Any]:
    model = GenericFakeChatModel(messages=iter([AIMessage("Three plain words.")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


def ask(_state: Talk) -> dict[str, Any]:
    return {"messages": [AIMessage(f"They said: {interrupt('May I?')}")]}


def fail(_state: Talk) -> dict[str, Any]:
    raise ValueError("the till is empty")


def add(state: Sum) -> dict[str, Any]:
    return {"total": state["total"] + 1}


def _of(node: Any, state: type = Talk) -> StateGraph[Any]:
    graph = StateGraph(state)
    graph.add_node("only", node)
    graph.add_edge(START, "only")
    graph.add_edge("only", END)
    return graph


counts, streams, asks, fails = (_of(node) for node in (count, stream, ask, fail))
adds = _of(add, Sum)
"""Nobody can talk to it."""
