"""No broker: events come in over HTTP, and subscribers read what is published from the house itself."""

from __future__ import annotations

from core.events import CloudEvent
from engine.bus.port import Health, Take


class EmbeddedBus:
    async def start(self, take: Take) -> None:
        """Nothing is delivered: who sends by HTTP has the answer at once."""

    async def publish(self, event: CloudEvent) -> None:
        """The outbox itself is what subscribers read."""

    async def health(self) -> Health:
        return Health(None, "events travel over HTTP alone")

    async def stop(self) -> None: ...
