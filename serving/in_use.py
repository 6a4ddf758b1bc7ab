"""What the settings choose: the queue, the shop, the release, each kind's book, and its graph with its model."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from agents.turns import ModelAgent
from core.clock import Clock
from core.settings import Settings
from engine.dbos_bell import DbosBell
from engine.doorbell import Doorbell, Limits
from engine.services import Services
from engine.task_bell import TaskBell
from graphs.kind import TaskKind
from graphs.runner import Prepared
from graphs.state import Context
from serving.models.chat import chat_model, model_in_use
from serving.storage import Storage
from tools.contract import Toolbelt
from tools.fulfillment.http import HttpShop
from tools.fulfillment.ports import Shop
from tools.fulfillment.shop import EmbeddedShop


def graphs_in_use(
    settings: Settings,
    kinds: Mapping[str, TaskKind],
    belts: Mapping[str, Toolbelt],
    services: Services,
    saver: Any,
    model: BaseChatModel | None,
) -> dict[str, Prepared]:
    """Each kind's graph, ready to run; `model` stands in for the one that the settings name."""
    return {
        name: Prepared(
            graph=kind.build().compile(checkpointer=saver),
            context=Context(
                agent=ModelAgent(
                    kind.role.name, model or chat_model(settings.model, kind.procedure), kind.role, belts[name].specs()
                ),
                specs=belts[name].specs(),
                services=services,
                budget=settings.budget,
                handover=kind.handover,
                outcomes=kind.outcomes,
                model=model_in_use(settings.model),
                payload=kind.payload,
            ),
        )
        for name, kind in kinds.items()
    }


def bell_in_use(settings: Settings, storage: Storage, bell: str, worker: str, *, serves: bool) -> Doorbell:
    wanted = settings.engine
    limits = Limits(wanted.concurrency, wanted.concurrency_in_all, wanted.segments_per_s)
    if bell == "tasks":
        return TaskBell(storage.database, limits)
    return DbosBell(
        storage.database,
        storage.queue,
        executor=worker if storage.shared else "embedded",
        limits=limits,
        serves=serves,
    )


def shop_in_use(settings: Settings, kinds: Mapping[str, TaskKind], clock: Clock) -> Shop:
    if settings.shop.url:
        return HttpShop(settings.shop.url, settings.shop.token.get_secret_value(), settings.shop.timeout_s)
    masters = settings.keys.masters(settings.data)
    return EmbeddedShop(settings.data / "shop.db", [kind.dialect for kind in kinds.values()], clock, masters=masters)


def release_in_use(settings: Settings) -> str:
    """What this process says that it runs."""
    return settings.engine.release or version("countersign-desk")


def book_in_use(settings: Settings, kind: TaskKind) -> Path:
    return settings.policies / kind.book.name if settings.policies else kind.book
