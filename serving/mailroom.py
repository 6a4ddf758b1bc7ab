"""Where events come in and go out: the bus that the settings name, and what takes and sends for the house."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from core.errors import SetupError
from core.settings import Settings
from engine.arrivals import Arrivals, Submit
from engine.bus.embedded import EmbeddedBus
from engine.bus.port import Bus
from engine.bus.publisher import Publisher
from engine.bus.reception import Reception
from engine.stream import Stream
from graphs.kind import TaskKind
from ledger.database import Database


@dataclass(frozen=True)
class Mailroom:
    arrivals: Arrivals
    bus: Bus
    publisher: Publisher
    _reception: Reception
    _at_work: list[asyncio.Task[None]] = field(default_factory=list)

    async def open(self) -> None:
        """What a broker has is taken from now on, and what the house has to tell goes out."""
        await self.bus.start(self._reception.take)
        self._at_work.append(asyncio.create_task(self.publisher.run(), name="publisher"))

    async def close(self) -> None:
        for task in self._at_work:
            task.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)
        self._at_work.clear()
        await self.bus.stop()


def mailroom(
    settings: Settings,
    database: Database,
    stream: Stream,
    ring: Callable[[str, str], Awaitable[None]],
    submit: Submit,
    kinds: Mapping[str, TaskKind],
) -> Mailroom:
    """Raises `SetupError` where the bus needs a package that is not installed."""
    arrivals = Arrivals(
        database,
        stream,
        ring,
        submit,
        {name: kind.news for name, kind in kinds.items()},
        gap=timedelta(seconds=settings.bus.gap_s),
        queue_limit=settings.engine.queue_limit,
    )
    bus = bus_in_use(settings)
    return Mailroom(arrivals, bus, Publisher(database, bus, stream), Reception(database, arrivals))


def bus_in_use(settings: Settings) -> Bus:
    if not settings.bus.url:
        return EmbeddedBus()
    try:
        from engine.bus.nats import NatsBus  # heavy: only who has a broker needs it
    except ImportError as missing:
        raise SetupError(
            f"NATS needs the package {missing.name}.", hint="pip install 'countersign-desk[bus]'."
        ) from missing
    return NatsBus(settings.bus.url, prefix=settings.bus.prefix)
