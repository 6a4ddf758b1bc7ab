"""The unit of work: one transaction is one function, with nothing awaited inside.

A step is a plain function of a `Ledger`. It is committed as a whole when it returns and rolled back
when it raises. Because it can't await, no transaction is ever held open over a network call. On SQLite
it runs right in the event loop, one writer at a time (docs/decisions/0003); on a database server it
runs in a thread, one hop for each transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from sqlalchemy import Connection, Engine, column, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria
from sqlmodel import Session, create_engine

import ledger.process_tables
import ledger.thread_tables  # noqa: F401 - all tables are there before the line below
from core.clock import Clock, SystemClock
from core.errors import DatabaseUnavailable
from core.key_file import beside, read
from core.sealing import MasterRing
from ledger.arrivals import Arrivals
from ledger.audit import AuditChain
from ledger.cases import Cases
from ledger.costs import Costs
from ledger.desk_work import DeskWork
from ledger.effects import Effects
from ledger.keys import Keys, Reload
from ledger.outbox import Outbox
from ledger.pen import Pen
from ledger.people import People
from ledger.policies import Policies
from ledger.prepared import SCOPED
from ledger.request_keys import RequestKeys, at_work
from ledger.retention import Retention
from ledger.reviews import Reviews
from ledger.tables import SYSTEM, Row
from ledger.threads import Threads
from ledger.timers import Timers
from ledger.trace import Trace
from ledger.trouble import LAST, passes, pauses, told
from ledger.workers import Workers

T = TypeVar("T")

_HELD_S = 0.1
"""How long a SQLite transaction waits, the event loop with it, until whoever holds the file lets go."""

# SQLModel takes a field's name away from a class without a table. The criterion that the unit of work
# puts on every query asks this base class for it once, before it asks the tables. A table that is made
# after this line would take it for its default.
type.__setattr__(Row, "workspace", column("workspace"))


@runtime_checkable
class Closing(Protocol):
    def close(self) -> None: ...


class Ledger:
    """All records, inside one transaction of one workspace."""

    def __init__(self, session: Session, workspace: str, clock: Clock) -> None:
        self.session = session
        self.workspace = workspace
        self.now = session.info["now"] = clock.now()
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
    def desk_work(self) -> DeskWork:
        return DeskWork(self.session, self.now)

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
    def workers(self) -> Workers:
        return Workers(self.session, self.now, self._pen)

    @cached_property
    def policies(self) -> Policies:
        return Policies(self.session, self.now)

    @cached_property
    def request_keys(self) -> RequestKeys:
        return RequestKeys(self.session, self.now, self._pen)

    @cached_property
    def retention(self) -> Retention:
        return Retention(self.session, self.now)

    @cached_property
    def arrivals(self) -> Arrivals:
        return Arrivals(self.session, self.now, self._pen)

    @cached_property
    def outbox(self) -> Outbox:
        return Outbox(self.session, self.now, self._pen)

    @cached_property
    def threads(self) -> Threads:
        return Threads(self.session, self.now, self._pen)

    @cached_property
    def audit(self) -> AuditChain:
        return AuditChain(self.session, self.workspace, self.now, self._pen)

    def finish(self) -> None:
        """Writes what was only gathered; called before the commit."""
        if "audit" in self.__dict__:
            self.audit.seal()
        self._pen.write()


class _NotYet(Exception):
    """The transaction surely was not committed, and may be tried again."""


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


@event.listens_for(_Session, "before_flush")
def _give_keys(session: Session, _context: object, _instances: object) -> None:
    if (keys := session.info.get("keys")) is not None:
        keys.own_rows(session)


@contextmanager
def _kept(session: Session) -> Iterator[None]:
    """Keys that were made in a transaction which is not committed are nobody's."""
    try:
        yield
    finally:
        if (keys := session.info["keys"]) is not None:
            keys.rolled_back(session)


class _Phase:
    committing = False
    """From now on nobody can say without looking whether it was kept."""


class Database:
    def __init__(
        self,
        engine: Engine,
        clock: Clock | None = None,
        *,
        patience_s: float = 10.0,
    ) -> None:
        """`patience_s` is how long a transaction is tried again while the database is away or others hold it."""
        self.engine = engine
        self.keys: Keys | None = None
        self.clock: Clock = clock or SystemClock()
        self._patience_s = patience_s
        self._inline = engine.dialect.name == "sqlite"
        self.people_epoch = 0
        """Goes up with each commit that had to do with people or tokens: what was known of them before is old."""
        self.apart = not self._inline
        """It may die without this process, and come back without the last that was not durable."""

    async def write(self, workspace: str, step: Callable[[Ledger], T], *, durable: bool = True) -> T:
        """Runs one transaction. What `step` raises rolls it back and comes out unchanged.

        Every commit survives the process. A durable one is on disk before this returns, with all that
        were committed before it; the others may be lost in a power cut, and are for what can be told
        again: by a checkpoint, or by the provider.

        Where the database went away, or others were faster, and surely nothing was committed, `step` runs again,
        for a while. Raises `DatabaseUnavailable`; one whose `committed` is `unknown` was not tried again.
        """
        return await self._run(workspace, step, writes=True, durable=durable)

    async def read(self, workspace: str, step: Callable[[Ledger], T]) -> T:
        return await self._run(workspace, step, writes=False, durable=False)

    async def _run(self, workspace: str, step: Callable[[Ledger], T], writes: bool, durable: bool) -> T:
        for turn, pause in enumerate(pauses(self._patience_s)):
            try:
                return await self._once(workspace, step, writes, durable, turn)
            except _NotYet:
                await asyncio.sleep(pause)
        return await self._once(workspace, step, writes, durable, LAST)

    async def _once(self, workspace: str, step: Callable[[Ledger], T], writes: bool, durable: bool, turn: int) -> T:
        if self._inline:
            return self._attempt(workspace, step, writes, durable, turn)
        return await asyncio.to_thread(self._attempt, workspace, step, writes, durable, turn)

    def transact(self, workspace: str, step: Callable[[Ledger], T], writes: bool = True, durable: bool = True) -> T:
        """The same for callers without an event loop (commands, migrations)."""
        for turn, pause in enumerate(pauses(self._patience_s)):
            try:
                return self._attempt(workspace, step, writes, durable, turn)
            except _NotYet:
                time.sleep(pause)
        return self._attempt(workspace, step, writes, durable, LAST)

    def _attempt(self, workspace: str, step: Callable[[Ledger], T], writes: bool, durable: bool, turn: int) -> T:
        phase = _Phase()
        options = {"writes": writes, "durable": durable}
        try:
            with self.engine.connect().execution_options(**options) as connection:
                return self._transaction(connection, workspace, step, writes, phase)
        except (SQLAlchemyError, DatabaseUnavailable) as error:
            clock_away = isinstance(error, DatabaseUnavailable)
            if turn != LAST and (clock_away or passes(error, committing=phase.committing, turn=turn)):
                raise _NotYet from error
            if isinstance(error, DatabaseUnavailable) or (known := told(error, committing=phase.committing)) is None:
                raise  # the server's clock could not be asked; or it is a defect of ours
            raise known from error

    def _transaction(
        self, connection: Connection, workspace: str, step: Callable[[Ledger], T], writes: bool, phase: _Phase
    ) -> T:
        info = {"workspace": workspace, "keys": self.keys}
        with _Session(connection, expire_on_commit=False, info=info, autoflush=True) as session, _kept(session):
            session.begin()
            ledger = Ledger(session, workspace, self.clock)
            result = step(ledger)
            if writes:
                keyed = at_work()
                if keyed is not None:  # what its request does first: the key is taken with it
                    ledger.request_keys.begin(keyed)
                ledger.finish()
                session.flush()
                if self.apart and "outbox" in ledger.__dict__:  # others hear of it before long: it has to last
                    session.connection().exec_driver_sql("SET LOCAL synchronous_commit TO ON")
                phase.committing = True
                session.commit()
                self.people_epoch += "people" in ledger.__dict__
                if keyed is not None:
                    keyed.kept = True
            else:
                session.expunge_all()  # rows stay readable after the transaction
                session.rollback()
            return result

    def use(self, masters: MasterRing, keep_s: float = 300.0, reload: Reload | None = None) -> None:
        """From now on what is about people is sealed; before, and without, it is kept in the clear."""
        self.keys = Keys(masters, self._aside(), keep_s, reload).serve(self.engine)

    def _aside(self) -> Engine:
        """With a connection to spare for who holds one already."""
        return self.engine

    def close(self) -> None:
        self.engine.dispose()
        if self.keys is not None:
            self.keys.close()
        if isinstance(self.clock, Closing):
            self.clock.close()


def sqlite_database(
    path: Path, clock: Clock | None = None, *, patience_s: float = 10.0, masters: MasterRing | None = None
) -> Database:
    """A database in one file, in write-ahead mode. Its keys are those that are given, or lie beside it."""
    # Who waits for another process's transaction does so between attempts, not inside the library: the loop goes on.
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _HELD_S, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if writes := options.get("writes", True):
            wanted = "FULL" if options.get("durable", True) else "NORMAL"
            if connection.info.get("synchronous") != wanted:  # it stays until it is changed
                connection.exec_driver_sql(f"PRAGMA synchronous={wanted}")
                connection.info["synchronous"] = wanted
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    database = Database(engine, clock, patience_s=patience_s)
    if masters is not None:
        database.use(masters)
    elif (found := read(beside(path.parent))) is not None:
        database.use(found, reload=lambda: read(beside(path.parent)))
    return database
