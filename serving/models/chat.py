"""The chat model that the settings ask for. Importing this module imports no client of any server."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel

from agents.planner import NAME, EmbeddedPlanner
from agents.procedure import Procedure
from core.model_call import Hosting, ModelInUse
from core.settings import ModelSettings


def chat_model(settings: ModelSettings, procedure: Procedure) -> BaseChatModel:
    """`procedure` is what the embedded planner follows; a served model reads the role's prompt instead."""
    if settings.backend == "embedded":
        return EmbeddedPlanner(procedure=procedure)
    from serving.models.served import served_chat  # 4 seconds of imports that the embedded planner never needs

    return served_chat(settings)


def model_in_use(settings: ModelSettings) -> ModelInUse:
    """The same model as policy speaks of it."""
    embedded = settings.backend == "embedded"
    if settings.hosting is not None:
        hosting = Hosting(settings.hosting)
    elif embedded:
        hosting = Hosting.EMBEDDED
    else:
        hosting = Hosting.SELF_HOSTED if _is_ours(settings.base_url) else Hosting.MANAGED
    return ModelInUse(name=NAME if embedded else settings.name, hosting=hosting, region=settings.region)


def _is_ours(url: str) -> bool:
    """A private or loopback address. No name is looked up: what it points to may change after policy was asked."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_private or address.is_loopback
