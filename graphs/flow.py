"""The flow that kinds share: plan, act, gate, review, execute, reflect, finish.

    plan ──► act ──► gate ──┬─► execute ─┬─► reflect ──► act (or plan, after trouble)
                      │     └─► review ──┘        one task for each call
                      └── nothing to run ──► reflect
              └──► finish

A kind that needs other steps builds its own graph from the same nodes.
"""

from __future__ import annotations

from langgraph.graph import END, START, StateGraph

from graphs.execute import execute
from graphs.gate import gate
from graphs.pause import review
from graphs.reflect import reflect
from graphs.state import CaseState, Context, Question, Work
from graphs.thinking import act, finish, plan


def standard_flow() -> StateGraph[CaseState, Context, CaseState, CaseState]:
    graph = StateGraph(CaseState, context_schema=Context)
    graph.add_node("plan", plan)
    graph.add_node("act", act)
    graph.add_node("gate", gate)
    graph.add_node("review", review, input_schema=Question)
    graph.add_node("execute", execute, input_schema=Work)
    graph.add_node("reflect", reflect, defer=True)
    graph.add_node("finish", finish)
    graph.add_edge(START, "plan")
    graph.add_edge("execute", "reflect")
    graph.add_edge("review", "reflect")
    graph.add_edge("finish", END)
    return graph
