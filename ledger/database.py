"""The unit of work: one transaction is one function, with nothing awaited inside.

A step is a plain function of a `Ledger`. It is committed as a whole when it returns and rolled back
when it raises. Because it can't await, no transaction is ever held open over a network call. On SQLite
it runs right in the event loop, one writer at a time (docs/decisions/0003); on a database server it
runs in a thread, one hop for each transaction.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria
from sqlmodel import Session, create_engine

from core.clock import Clock, SystemClock
from core.errors import SetupError
from ledger.audit import AuditChain
from ledger.cases import Cases
from ledger.costs import Costs
from ledger.effects import Effects
from ledger.pen import Pen
from ledger.people import People
from ledger.policies import Policies
from ledger.prepared import SCOPED
from ledger.reviews import Reviews
from ledger.tables import SYSTEM, Row
from ledger.timers import Timers
from ledger.trace import Trace

T = TypeVar("T")


class Ledger:
    """All records, inside one transaction of one workspace."""

    def __init__(self, session: Session, workspace: str, clock: Clock) -> None:
        self.session = session
        self.workspace = workspace
        self.now = clock.now()
        self._pen = Pen(session)

    @cached_property
    def cases(self) -> Cases:
        return Cases(self.session, self.now)

    @cached_property
    def effects(self) -> Effects:
        return Effects(self.session, self.now, self._pen)

    @cached_property
    def reviews(self) -> Reviews:
        return Reviews(self.session, self.now)

    @cached_property
    def timers(self) -> Timers:
        return Timers(self.session, self.now)

    @cached_property
    def trace(self) -> Trace:
        return Trace(self.session, self.now, self._pen)

    @cached_property
    def costs(self) -> Costs:
        return Costs(self.session, self.now, self._pen)

    @cached_property
    def people(self) -> People:
        return People(self.session, self.now)

    @cached_property
    def policies(self) -> Policies:
        return Policies(self.session, self.now)

    @cached_property
    def audit(self) -> AuditChain:
        return AuditChain(self.session, self.workspace, self.now, self._pen)

    def finish(self) -> None:
        """Writes what was only gathered; called before the commit."""
        if "audit" in self.__dict__:
            self.audit.seal()
        self._pen.write()


class _Session(Session):
    """A session of one workspace: it adds the workspace to every query and to every new row."""


@event.listens_for(_Session, "do_orm_execute")
def _only_this_workspace(state: ORMExecuteState) -> None:
    workspace = state.session.info["workspace"]
    if workspace == SYSTEM or state.execution_options.get(SCOPED):
        return
    if not state.is_orm_statement or state.is_insert:
        raise AssertionError(f"a statement that can't be held to the workspace {workspace!r}: {state.statement}")
    state.statement = state.statement.options(
        with_loader_criteria(Row, lambda cls: cls.workspace == workspace, include_aliases=True)
    )


@event.listens_for(_Session, "before_flush")
def _stamp_workspace(session: Session, _context: object, _instances: object) -> None:
    workspace = session.info["workspace"]
    for row in (*session.new, *session.dirty):
        if isinstance(row, Row):
            if not row.workspace:
                row.workspace = workspace
            if row.workspace == SYSTEM or workspace not in (SYSTEM, row.workspace):
                raise AssertionError(f"{type(row).__name__} of {row.workspace!r} written by {workspace!r}")


class Database:
    def __init__(self, engine: Engine, clock: Clock | None = None) -> None:
        self.engine = engine
        self.clock: Clock = clock or SystemClock()
        self._inline = engine.dialect.name == "sqlite"

    async def write(self, workspace: str, step: Callable[[Ledger], T], *, durable: bool = True) -> T:
        """Runs one transaction. What `step` raises rolls it back and comes out unchanged.

        Every commit survives the process. A durable one is on disk before this returns, with all that
        were committed before it; the others may be lost in a power cut, and are for what can be told
        again: by a checkpoint, or by the provider.
        """
        return await self._run(workspace, step, writes=True, durable=durable)

    async def read(self, workspace: str, step: Callable[[Ledger], T]) -> T:
        return await self._run(workspace, step, writes=False, durable=False)

    async def _run(self, workspace: str, step: Callable[[Ledger], T], writes: bool, durable: bool) -> T:
        if self._inline:
            return self.transact(workspace, step, writes, durable)
        return await asyncio.to_thread(self.transact, workspace, step, writes, durable)

    def transact(self, workspace: str, step: Callable[[Ledger], T], writes: bool = True, durable: bool = True) -> T:
        """The same for callers without an event loop (commands, migrations)."""
        options = {"writes": writes, "durable": durable}
        with self.engine.connect().execution_options(**options) as connection, self._explained():
            session = _Session(connection, expire_on_commit=False, info={"workspace": workspace}, autoflush=True)
            with session, session.begin():
                ledger = Ledger(session, workspace, self.clock)
                result = step(ledger)
                if writes:
                    ledger.finish()
                else:
                    session.expunge_all()  # rows stay readable after the transaction
                    session.rollback()
                return result

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            if not isinstance(error, OperationalError) and type(error) is not DatabaseError:
                raise  # a broken constraint or query is a defect of ours
            raise SetupError(
                f"The database could not be used: {error.orig}.",
                hint="Check the disk, the folder's permissions and that nothing else holds the file.",
            ) from error

    def close(self) -> None:
        self.engine.dispose()


def sqlite_database(path: Path, clock: Clock | None = None) -> Database:
    """A database in one file, in write-ahead mode."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if writes := options.get("writes", True):
            connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options.get('durable', True) else 'NORMAL'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return Database(engine, clock)


def lock_folder(folder: Path) -> IO[str]:
    """Makes a data folder and holds it for this process. Raises `SetupError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / "lock", "a+", encoding="utf-8")  # noqa: SIM115 - held for the process's life
    except OSError as error:
        raise SetupError(
            f"The data folder {folder} can't be written: {error.strerror}.",
            hint="Choose another with COUNTERSIGN_DATA, or give yourself the permission.",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.seek(0)
        holder = handle.read().strip()
        handle.close()
        raise SetupError(
            f"The data folder {folder} is in use by process {holder or 'unknown'}.",
            hint="Stop that process, or choose another folder with COUNTERSIGN_DATA.",
        ) from error
    handle.seek(0)
    handle.truncate()
    handle.write(str(os.getpid()))
    handle.flush()
    return handle
