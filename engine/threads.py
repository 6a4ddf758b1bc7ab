"""Threads as people see them: who may see and change one, what it shows, and how its runs are asked for and called off.

Starting a run is in `engine/thread_starts.py`, carrying it out in `engine/thread_runs.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID, uuid4

from core.actions import JSON
from core.errors import Conflict, Forbidden, InvalidInput, NotFound
from core.people import Permission, Person, may, require
from engine.served import Served, State
from engine.sieve import Sieve
from engine.thread_log import encoded
from ledger.database import Database, Ledger
from ledger.thread_tables import ThreadRow, ThreadRunRow
from ledger.threads import Selection

Action = Literal["interrupt", "rollback"]
"""What becomes of a run that is called off: it stops where it is, or it goes and takes its steps along."""

_META_BYTES = 64_000


def thread_id_of(given: str) -> str:
    """Ids are UUIDs, as stock clients make them. Raises `InvalidInput`."""
    try:
        return str(UUID(given))
    except ValueError as error:
        raise InvalidInput(
            f"'{given[:60]}' is no id of a thread.", field="thread_id", hint="It is a UUID, in any version."
        ) from error


class Opened(Protocol):
    """A thread, in whichever form it was read."""

    @property
    def opened_by(self) -> str: ...


T = TypeVar("T", bound=Opened)


def seen_by(person: Person, thread: T | None) -> T:
    """The thread, for who may see it: whoever opened it, or may read all. To others there is none: `NotFound`."""
    if thread is None or not (thread.opened_by == person.id or may(person, Permission.READ)):
        raise NotFound("There is no such thread.", hint="POST /threads makes one.")
    return thread


def written_by(person: Person, thread: T | None) -> T:
    """The same for who may write to it. Raises `NotFound`, `Forbidden`."""
    found = seen_by(person, thread)
    require(person, Permission.SUBMIT)
    return found


class Threads:
    def __init__(self, database: Database, served: dict[str, Served]) -> None:
        self._database = database
        self.served = served

    def graph(self, name: str) -> Served:
        found = self.served.get(name)
        if found is None:
            known = ", ".join(sorted(self.served)) or "none"
            raise NotFound(f"There is no graph or assistant '{name[:60]}'.", hint=f"There are: {known}.")
        return found

    # threads

    async def open(
        self, person: Person, thread_id: str, meta: Mapping[str, JSON], *, or_get: bool = False
    ) -> ThreadRow:
        """A new thread; the one that there is, with `or_get`. Raises `Conflict` where the id is taken."""
        require(person, Permission.SUBMIT)
        check_meta(meta)
        named = thread_id_of(thread_id) if thread_id else str(uuid4())

        def work(ledger: Ledger) -> ThreadRow:
            fresh = ledger.threads.open(named, person.id, meta)
            if not fresh and not or_get:
                raise Conflict(
                    f"There is a thread {named}.", hint="Send if_exists: do_nothing to take it.", present="exists"
                )
            return seen_by(person, ledger.threads.get(named))

        return await self._database.write(person.workspace, work)

    async def get(self, person: Person, thread_id: str) -> ThreadRow:
        named = thread_id_of(thread_id)
        return await self._database.read(person.workspace, lambda ledger: seen_by(person, ledger.threads.get(named)))

    async def describe(self, person: Person, thread_id: str, meta: Mapping[str, JSON]) -> ThreadRow:
        """Adds to what the client keeps beside it."""
        check_meta(meta)
        named = thread_id_of(thread_id)

        def work(ledger: Ledger) -> ThreadRow:
            thread = written_by(person, ledger.threads.get(named, lock=True))
            thread.meta = {**thread.meta, **meta}
            check_meta(thread.meta)
            ledger.threads.touch(thread)
            return thread

        return await self._database.write(person.workspace, work)

    async def delete(self, person: Person, thread_id: str) -> None:
        """The thread and what it remembers. What was decided and done stays on record."""
        named = thread_id_of(thread_id)

        def work(ledger: Ledger) -> str:
            thread = written_by(person, ledger.threads.get(named, lock=True))
            if busy := ledger.threads.open_runs(named):
                raise Conflict(f"Run {busy[0].id} is not over.", hint="Cancel it first.", present=busy[0].status)
            graph = thread.graph
            ledger.threads.forget(named)
            return graph

        # The rows first: a run that began meanwhile would find its memory gone.
        graph = await self._database.write(person.workspace, work)
        if graph in self.served:
            await self.served[graph].forget(person, named)

    async def copy(self, person: Person, thread_id: str) -> ThreadRow:
        named, fresh = thread_id_of(thread_id), str(uuid4())
        original = await self._database.read(
            person.workspace, lambda ledger: written_by(person, ledger.threads.get(named))
        )
        if original.graph:
            await self.graph(original.graph).copy(person, named, fresh)

        def work(ledger: Ledger) -> ThreadRow:
            ledger.threads.open(fresh, person.id, original.meta)
            thread = seen_by(person, ledger.threads.get(fresh, lock=True))
            thread.starters = sorted({*original.starters, original.opened_by})
            thread.graph, thread.state, thread.interrupts = original.graph, original.state, original.interrupts
            thread.state_at = original.state_at
            thread.status = "interrupted" if original.interrupts else "idle"
            ledger.threads.touch(thread)
            return thread

        return await self._database.write(person.workspace, work)

    # their runs

    async def run(self, person: Person, thread_id: str, run_id: str) -> ThreadRunRow:
        named = thread_id_of(thread_id)
        return await self._database.read(person.workspace, lambda ledger: run_of(ledger, person, named, run_id))

    async def runs(
        self, person: Person, thread_id: str, *, status: str, limit: int, offset: int
    ) -> Sequence[ThreadRunRow]:
        named = thread_id_of(thread_id)

        def work(ledger: Ledger) -> Sequence[ThreadRunRow]:
            seen_by(person, ledger.threads.get(named))
            return ledger.threads.runs(named, status=status, limit=limit, offset=offset)

        return await self._database.read(person.workspace, work)

    async def drop_run(self, person: Person, thread_id: str, run_id: str) -> None:
        named = thread_id_of(thread_id)

        def work(ledger: Ledger) -> None:
            thread = written_by(person, ledger.threads.get(named, lock=True))
            run = run_of(ledger, person, named, run_id)
            if run.ended_at is None:
                raise Conflict(f"Run {run.id} is not over.", hint="Cancel it first.", present=run.status)
            if run.asked["anew"] and thread.interrupts:
                raise Conflict(
                    "A question is open that may be about this run.", hint="Answer it first.", present="asked"
                )
            ledger.threads.drop_run(run)

        await self._database.write(person.workspace, work)

    # what it holds

    async def search(
        self, person: Person, wanted: Wanted, *, sort: str, descending: bool, limit: int, offset: int
    ) -> list[ThreadRow]:
        """Those that the person may see and that hold what is wanted."""

        def work(ledger: Ledger) -> list[ThreadRow]:
            found = ledger.threads.find(_held(person, wanted), sort=sort, descending=descending)
            sieve = Sieve(wanted.metadata, wanted.values)
            return list(islice((row for row in found if sieve.passes(row.meta, row.state)), offset, offset + limit))

        return await self._database.read(person.workspace, work)

    async def count(self, person: Person, wanted: Wanted) -> int:
        def work(ledger: Ledger) -> int:
            found = ledger.threads.find(_held(person, wanted), sort="updated_at", descending=True)
            sieve = Sieve(wanted.metadata, wanted.values)
            return sum(sieve.passes(row.meta, row.state) for row in found)

        return await self._database.read(person.workspace, work)

    async def write_state(
        self, person: Person, thread_id: str, values: JSON, as_node: str | None, checkpoint: str
    ) -> str:
        """Writes values as a node would have; the new step. Raises `Conflict` while a run is at work."""
        named = thread_id_of(thread_id)

        def look(ledger: Ledger) -> tuple[str, bool]:
            thread = seen_by(person, ledger.threads.get(named))
            return thread.graph, bool(ledger.threads.open_runs(named))

        name, busy = await self._database.read(person.workspace, look)
        if not name:
            raise Conflict("No graph has run on this thread yet.", hint="Start a run.", present="empty")
        served = self.graph(name)
        if values is not None:
            require(person, Permission.SUBMIT)
            if busy:
                raise Conflict("A run is at work on this thread.", hint="Wait for it, or cancel it.", present="busy")
        step = await served.update(person, named, values, as_node, checkpoint)
        if values is not None and not served.personal:
            state = await served.state(person, named)
            await self._database.write(person.workspace, lambda ledger: _keep(ledger, named, state))
        return step

    async def shown(self, person: Person, questions: Mapping[str, Sequence[str]]) -> None:
        """This person sees these open questions of threads now: an answer without ids means them."""
        some = {thread_id: list(ids) for thread_id, ids in questions.items() if ids}
        if not some:
            return

        def news(ledger: Ledger) -> dict[str, list[str]]:
            return {one: ids for one, ids in some.items() if ledger.threads.seen(one, person.id) != ids}

        def work(ledger: Ledger) -> None:
            for thread_id, ids in news(ledger).items():
                ledger.threads.show(thread_id, person.id, ids)

        if await self._database.read(person.workspace, news):
            await self._database.write(person.workspace, work, durable=False)


class Wanted(Protocol):
    """What is looked for. `metadata` and `values` are to be held by a thread's own."""

    @property
    def metadata(self) -> Mapping[str, Any] | None: ...
    @property
    def values(self) -> Mapping[str, Any] | None: ...
    @property
    def ids(self) -> Sequence[str] | None: ...
    @property
    def status(self) -> str | None: ...


def _held(person: Person, wanted: Wanted) -> Selection:
    return Selection(
        opened_by="" if may(person, Permission.READ) else person.id,
        ids=None if wanted.ids is None else [thread_id_of(each) for each in wanted.ids],
        status=wanted.status or "",
    )


def _keep(ledger: Ledger, thread_id: str, state: State) -> None:
    thread = ledger.threads.get(thread_id, lock=True)
    if thread is not None:
        thread.state, thread.state_at = json.loads(encoded(state.values)), ledger.now
        thread.interrupts = json.loads(
            encoded({task.id: [each.shown() for each in task.interrupts] for task in state.tasks if task.interrupts})
        )
        if not ledger.threads.open_runs(thread_id):  # one that began meanwhile says itself how it leaves the thread
            thread.status = "interrupted" if state.next else "idle"
        ledger.threads.touch(thread)


def run_of(ledger: Ledger, person: Person, thread_id: str, run_id: str, *, lock: bool = False) -> ThreadRunRow:
    """Raises `NotFound`."""
    seen_by(person, ledger.threads.get(thread_id))
    run = ledger.threads.run(run_id, lock=lock)
    if run is None or run.thread_id != thread_id:
        raise NotFound(f"This thread has no run '{run_id[:60]}'.", hint="GET /threads/{thread_id}/runs lists them.")
    return run


def check_meta(meta: Mapping[str, Any]) -> None:
    if len(encoded(meta)) > _META_BYTES:
        raise InvalidInput(f"metadata is larger than {_META_BYTES:,} bytes.", field="metadata", hint="Send less.")


def refuse_detour(what: str) -> Forbidden:
    """For graphs whose questions are for reviewers: the answers are the only way past them."""
    return Forbidden(
        f"{what} could get around the questions of this graph, which reviewers answer.",
        hint='Answer its questions with command.resume. A graph with answered_by = "opener" may be steered.',
    )
