"""The chat model that the settings ask for. Importing this module imports no client of any server."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel

from agents.planner import EmbeddedPlanner
from agents.procedure import Procedure
from core.settings import ModelSettings


def chat_model(settings: ModelSettings, procedure: Procedure) -> BaseChatModel:
    """`procedure` is what the embedded planner follows; a served model reads the role's prompt instead."""
    if settings.backend == "embedded":
        return EmbeddedPlanner(procedure=procedure)
    from serving.models.served import served_chat  # 4 seconds of imports that the embedded planner never needs

    return served_chat(settings)
