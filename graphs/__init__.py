"""Graphs: how a kind of task is thought through and carried out, step by step. The only home of LangGraph."""
