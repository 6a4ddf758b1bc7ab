"""News between processes over PostgreSQL's LISTEN and NOTIFY: only that there is something new, never what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from psycopg import AsyncConnection

from core.ids import new_id
from ledger.server import ServerDatabase
from ledger.tables import SYSTEM
from ledger.trouble import explained

CHANNEL = "countersign_news"


class NewsLine:
    """One connection that listens; what is said goes by the pool, after the commits that it tells of.

    Said within them, it would hold a lock of the whole server over each commit's wait for the disk.
    """

    def __init__(self, database: ServerDatabase) -> None:
        self._database = database
        self._me = new_id("line")

    async def heard(self) -> AsyncIterator[None]:
        """Each time that another process has news, and at the beginning. Raises `DatabaseUnavailable` when cut off."""
        url = self._database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with explained():
            async with await AsyncConnection.connect(url, autocommit=True, connect_timeout=10) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                yield
                async for each in connection.notifies():
                    if each.payload != self._me:
                        yield

    async def say(self) -> None:
        """Raises `DatabaseUnavailable`, `Busy`: then the others look for themselves."""
        await asyncio.to_thread(self._say)

    def _say(self) -> None:
        with self._database.lend(autocommit=True) as connection:
            connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, self._me))

    async def last(self) -> int:
        """Rises whenever there is something new in the event log."""
        return await self._database.read(SYSTEM, lambda ledger: ledger.trace.last())
