"""What a database's own errors mean: is it away, is it full, may the same be tried again, was it committed?

Errors of a statement itself (an unknown column, a broken constraint) are defects of ours and come out as they are.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoneLeft

from core.errors import Busy, CountersignError, DatabaseUnavailable, NotAllowed, SetupError

_FIRST_S, _LONGEST_S = 0.02, 1.0
"""Between two attempts."""
LAST = -1
"""The turn after which nothing is tried again."""
_LOOKS = 3
_TAKEN = "23505"
"""A unique key is there already, says PostgreSQL."""

RECORDS_AWAY = (DatabaseUnavailable, Busy)
"""Raised where the records can't be reached: whoever was at work on a case can say nothing of it."""


class Trouble(Enum):
    AWAY = "away"
    """The connection was lost, or none was to be had."""
    CROSSED = "crossed"
    """Others were at work on the same rows: the whole transaction may be tried again."""
    STUCK = "stuck"
    """No room, no permission, a broken disk: trying again at once won't help."""
    NO_DATABASE = "no database"
    DENIED = "denied"
    """This login may not do that (`ledger/roles.py`)."""


_LITE = {
    sqlite3.SQLITE_BUSY: Trouble.CROSSED,
    sqlite3.SQLITE_LOCKED: Trouble.CROSSED,
    sqlite3.SQLITE_FULL: Trouble.STUCK,
    sqlite3.SQLITE_IOERR: Trouble.STUCK,
    sqlite3.SQLITE_READONLY: Trouble.STUCK,
    sqlite3.SQLITE_CANTOPEN: Trouble.STUCK,
    sqlite3.SQLITE_PERM: Trouble.STUCK,
    sqlite3.SQLITE_NOMEM: Trouble.STUCK,
    sqlite3.SQLITE_PROTOCOL: Trouble.CROSSED,
    sqlite3.SQLITE_CORRUPT: Trouble.NO_DATABASE,
    sqlite3.SQLITE_NOTADB: Trouble.NO_DATABASE,
}
_SERVER = {
    "08": Trouble.AWAY,
    "57P": Trouble.AWAY,
    "40001": Trouble.CROSSED,
    "40P01": Trouble.CROSSED,
    "55P03": Trouble.CROSSED,
    "25P03": Trouble.AWAY,  # this process stood still in a transaction, and the server took it back
    "25006": Trouble.AWAY,  # a server that only reads: another one is about to take over
    "53300": Trouble.AWAY,  # it takes no more connections
    "53": Trouble.STUCK,
    "58": Trouble.STUCK,
    "57014": Trouble.STUCK,
    "42501": Trouble.DENIED,
    "XX001": Trouble.NO_DATABASE,
    "XX002": Trouble.NO_DATABASE,
}
"""By the beginning of PostgreSQL's SQLSTATE; the longest that fits."""


def trouble(error: BaseException) -> Trouble | None:
    """What is wrong with the database, if that is what is wrong. `error` is SQLAlchemy's or a driver's."""
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, sqlite3.Error):
        return _LITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF)
    if lost:
        return Trouble.AWAY
    if not type(cause).__module__.startswith("psycopg"):
        return None
    state = getattr(cause, "sqlstate", None) or ""
    for length in (5, 3, 2):
        if found := _SERVER.get(state[:length]):
            return found
    # What the driver says by itself carries no state: the connection could not be made, or broke.
    return Trouble.AWAY if not state and type(cause).__name__ in ("OperationalError", "ConnectionTimeout") else None


def told(error: BaseException, *, committing: bool = False) -> CountersignError | None:
    """The error of our tree that says it, or None where it is none of the database's."""
    if isinstance(error, NoneLeft):
        return Busy(
            "All connections to the database are in use.",
            hint="Try again in a moment; more: COUNTERSIGN_DATABASE__CONNECTIONS.",
        )
    found = trouble(error)
    if found is None:
        return None
    why = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
    if found is Trouble.NO_DATABASE:
        return SetupError(f"The database is damaged: {why}.", hint="Restore a copy, or look at its disk.")
    if found is Trouble.DENIED:
        return NotAllowed(
            f"The database does not let this login do that: {why}.",
            hint="Its owner gives logins their parts with 'countersign roles', and brings the tables up to date.",
        )
    unsure = committing and (found is Trouble.AWAY or _on_disk(error))
    hint = "Check its disk and the permissions." if found is Trouble.STUCK else "Is it running, and in reach?"
    if found is Trouble.CROSSED:
        hint = "Another process holds it for long."
    if unsure:
        hint += " Whether the last change was kept is not known: look before you send it again without its key."
    return DatabaseUnavailable(
        f"The database can't be used: {why}.", hint=hint, committed="unknown" if unsure else "no"
    )


def _on_disk(error: BaseException) -> bool:
    cause = getattr(error, "orig", None)
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF if isinstance(cause, sqlite3.Error) else 0
    return code == sqlite3.SQLITE_IOERR


def passes(error: BaseException, *, committing: bool, turn: int) -> bool:
    """Whether the same transaction may be tried again: it surely was not committed, and it may go well in a moment.

    Whoever looked, found nothing and then wrote what another one had written meanwhile looks again. Who finds it taken
    every time (`turn` counts from 0) has made a mistake, and is told.
    """
    match trouble(error):
        case Trouble.CROSSED:
            return True
        case Trouble.AWAY:
            return not committing
        case _:
            return turn < _LOOKS and getattr(getattr(error, "orig", None), "sqlstate", "") == _TAKEN


def pauses(patience_s: float) -> Iterator[float]:
    """Seconds to wait between attempts, longer and longer, each a little other than the next process's.

    Without any patience it is looked again a few times all the same: others may have been faster.
    """
    until, pause, turn = time.monotonic() + patience_s, _FIRST_S, 0
    while (left := until - time.monotonic()) > 0 or turn < _LOOKS:
        yield min(pause * random.uniform(0.5, 1.0), max(left, _FIRST_S))
        pause, turn = min(pause * 2, _LONGEST_S), turn + 1


@contextmanager
def explained() -> Iterator[None]:
    """Around whoever uses a database without the unit of work: checkpoints, clocks."""
    try:
        yield
    except Exception as error:  # what is none of the database's comes out as it is
        if (known := told(error, committing=True)) is None:
            raise
        raise known from error
