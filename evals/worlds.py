"""A shop that begins anew for each task: every task has a database file of its own, copied from one.

The house keeps this one shop for its whole life; what is behind it is exchanged between two tasks.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.actions import JSON
from core.ports import LoggedCall
from tools.fulfillment.ports import Dialect, FoundCall
from tools.fulfillment.shop import EmbeddedShop


class Worlds:
    """Implements `tools.fulfillment.ports.Shop`. Its log is that of all worlds so far, in their order."""

    def __init__(self, folder: Path, dialect: Dialect) -> None:
        self._folder, self._dialect = folder, dialect
        self._now: EmbeddedShop | None = None
        self._begun = 0
        self._earlier: list[LoggedCall] = []

    async def load(self, records: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """What every world begins with."""
        template = EmbeddedShop(self._folder / "template.db", [self._dialect])
        try:
            await template.load(records)
        finally:
            await template.close()

    async def begin(self) -> None:
        """From here on there is a fresh world, and no way back to the one before."""
        await self.close()
        self._begun += 1
        path = self._folder / f"world-{self._begun}.db"
        await asyncio.to_thread(shutil.copyfile, self._folder / "template.db", path)
        self._now = EmbeddedShop(path, [self._dialect])

    async def state(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Every record of the present world, by collection and id."""
        return {collection: await self._shop.dump(collection) for collection in self._dialect.collections}

    async def close(self) -> None:
        if self._now is None:
            return
        self._earlier = await self.log(limit=10**9)
        await self._now.close()
        self._now = None
        (self._folder / f"world-{self._begun}.db").unlink()

    async def read(self, query: str, args: Mapping[str, JSON]) -> dict[str, JSON]:
        return await self._shop.read(query, args)

    async def write(self, operation: str, args: Mapping[str, JSON], *, key: str, case_id: str) -> dict[str, JSON]:
        return await self._shop.write(operation, args, key=key, case_id=case_id)

    async def find(self, key: str) -> FoundCall | None:
        return await self._shop.find(key)

    async def log(self, after: int = 0, limit: int = 1000) -> list[LoggedCall]:
        present = await self._now.log(limit=10**9) if self._now else []
        first = len(self._earlier)
        numbered = [call.model_copy(update={"seq": first + number}) for number, call in enumerate(present, 1)]
        return [call for call in (*self._earlier, *numbered) if call.seq > after][:limit]

    @property
    def _shop(self) -> EmbeddedShop:
        assert self._now is not None, "begin() comes first"
        return self._now
