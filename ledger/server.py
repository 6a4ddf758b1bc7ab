"""The ledger on a PostgreSQL server that many processes share, told in the server's own time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text

from core.clock import Clock
from core.sealing import MasterRing
from ledger.database import Database
from ledger.trouble import explained

_STOOD_STILL_MS = 10_000
"""No transaction waits for anything here: one that does nothing so long is of a process that was stopped, and others
wait for its rows."""

_KEEP_S = 5.0
"""How long the server's time is reckoned from the last look at it: two quartzes part by microseconds in it."""


def driver_url(url: str) -> str:
    """The address as SQLAlchemy and psycopg take it, from the plain `postgresql://…` of the settings."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def shown(url: str) -> str:
    """The address for people: without its password."""
    return make_url(url).render_as_string()


_COUNTING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_GONE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
"""A server whose machine is gone says nothing: after so long nobody waits for it. Seconds, and milliseconds."""


class ServerClock:
    """The server's clock. A process whose own is wrong, or was stopped for a while, tells the same time as all others.

    The time of day of this machine is never asked: between two looks, what passed is measured by a clock that only
    counts, also while the machine sleeps.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._look: tuple[datetime, float] | None = None
        """What the server said, and when that was by the clock that counts; replaced as one, for threads."""

    def close(self) -> None:
        self._engine.dispose()

    def now(self) -> datetime:
        """Raises `DatabaseUnavailable`."""
        look = self._look
        if look is None or (passed := _counted() - look[1]) > _KEEP_S:
            with explained(), self._engine.connect() as connection:
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                seen: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            look = self._look = (seen.astimezone(UTC), _counted())
            passed = 0.0
        return look[0] + timedelta(seconds=passed)


def _counted() -> float:
    return time.clock_gettime(_COUNTING)


class ServerDatabase(Database):
    """A database on a server. Its pool is lent to others who keep their tables beside ours."""

    def _aside(self) -> Engine:
        """The pool has no connection to spare when all threads have one."""
        return _engine(self.engine.url.render_as_string(hide_password=False), 1, self._patience_s)

    @contextmanager
    def lend(self, autocommit: bool = False) -> Iterator[Any]:
        """A psycopg connection, in a transaction that is committed at its end, or committing each statement.

        Such a commit does not wait for the disk: it may be lost in a power cut, and is for what can be told again.
        Raises `DatabaseUnavailable`.
        """
        options: dict[str, Any] = (
            {"isolation_level": "AUTOCOMMIT"} if autocommit else {"writes": True, "durable": False}
        )
        with (
            explained(),
            self.engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection.connection.driver_connection


def server_database(
    url: str,
    clock: Clock | None = None,
    *,
    connections: int = 10,
    patience_s: float = 10.0,
    masters: MasterRing | None = None,
) -> ServerDatabase:
    """`url` is like `postgresql://user:password@host/database`. Nothing is connected to yet."""
    engine = _engine(url, connections, patience_s)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options: Any = connection.get_execution_options()
        if options.get("writes", False) and not options.get("durable", True):
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")

    # A connection of its own: whoever asks the time may hold one of the others, and all may be held.
    clock = clock or ServerClock(_engine(url, 1, patience_s))
    database = ServerDatabase(engine, clock, patience_s=patience_s)
    if masters is not None:
        database.use(masters)
    return database


def _engine(url: str, connections: int, patience_s: float) -> Engine:
    return create_engine(
        driver_url(url),
        pool_size=connections,
        max_overflow=0,
        pool_pre_ping=True,
        pool_timeout=max(1.0, patience_s),
        connect_args={
            "connect_timeout": 10,
            "application_name": "countersign",
            **_GONE,
            "options": f"-c idle_in_transaction_session_timeout={_STOOD_STILL_MS}",
        },
    )
