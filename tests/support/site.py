"""Several houses over one database, as several processes would be; time passes for all of them at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from core.clock import FakeClock
from core.settings import EngineSettings
from tests.support.till import Till, open_till

LEASE_S = 600.0


class Site:
    """A database that several houses of this test share, and the clock that it tells."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.clock = FakeClock()

    @asynccontextmanager
    async def worker(self, name: str, *, drain_s: float = 0.5, release: str = "", **more: Any) -> AsyncIterator[Till]:
        engine = EngineSettings(sweep_s=3600, lease_s=LEASE_S, worker=name, drain_s=drain_s, release=release)
        async with open_till(self.folder, server=self.url, clock=self.clock, engine=engine, **more) as till:
            yield till

    async def leases_pass(self, leases: float, *alive: Till) -> None:
        """Time passes; these go on with their rounds meanwhile, the others say nothing."""
        for _ in range(round(leases * 4)):
            self.clock.advance(timedelta(seconds=LEASE_S / 4))
            for till in alive:
                await till.house.sweeper.sweep()
