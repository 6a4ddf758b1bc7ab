"""Agents: a role, its prompt and a model. They return proposals; no executor is within their reach."""
