"""The publisher's seat: of many processes over one database, one sends what is in the outbox."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ledger.database import Database
from ledger.trouble import explained

_ABANDONED_S = 30
"""The server takes the seat from a process that said nothing for so long: one that was stopped holds up nobody."""
_FRESH_S = 10.0


class Seat:
    """Held in a session of the server: it is free again when the process is gone. A data folder has one process."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine if database.engine.dialect.name == "postgresql" else None
        self._session: Connection | None = None
        self._said = 0.0
        self._entry = threading.Lock()
        self._gone = False

    async def taken(self) -> bool:
        """Whether it is ours, now. Raises `DatabaseUnavailable`."""
        if self._engine is None:
            return True
        if self._session is not None and time.monotonic() - self._said < _FRESH_S:
            return True
        return await asyncio.to_thread(self._sit)

    def _sit(self) -> bool:
        with self._entry:  # whoever leaves meanwhile would leave a session behind
            return not self._gone and self._seated()

    def _seated(self) -> bool:
        assert self._engine is not None
        if self._session is not None:
            try:
                self._session.execute(text("SELECT 1"))
            except DBAPIError:
                self._rise()
            else:
                self._said = time.monotonic()
                return True
        with explained():
            session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            session.detach()  # it is not one of the pool's any more
            session.execute(text(f"SET idle_session_timeout = '{_ABANDONED_S}s'"))
            mine = session.execute(text("SELECT pg_try_advisory_lock(hashtext('countersign publisher'))")).scalar_one()
        if not mine:
            session.close()
            return False
        self._session, self._said = session, time.monotonic()
        return True

    def _rise(self) -> None:
        if self._session is not None:
            with suppress(DBAPIError):  # the server may have closed it
                self._session.close()
        self._session = None

    async def leave(self) -> None:
        await asyncio.to_thread(self._go)

    def _go(self) -> None:
        with self._entry:
            self._gone = True
            self._rise()
