"""How a run comes to be: asked for by a client, queued behind others or put in their place, and begun.

All that is decided about a thread is decided under the lock of its row, so two clients never both have their way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

from core.actions import JSON
from core.errors import Busy, Conflict, NotFound
from core.people import Permission, Person, require
from engine.served import Outcome, Served, Within
from engine.thread_log import END, encoded
from engine.threads import Action, check_meta, seen_by, written_by
from ledger.database import Ledger
from ledger.thread_tables import ThreadRow, ThreadRunRow

Strategy = Literal["reject", "interrupt", "rollback", "enqueue"]
DEATHS = 3
"""So many processes may die with a run."""


@dataclass(frozen=True)
class Wish:
    """A run that a client asks for."""

    graph: str
    input: JSON = None
    resume: JSON = None
    resumes: bool = False
    command: Mapping[str, JSON] = field(default_factory=dict)
    """`update` and `goto`."""
    config: Mapping[str, JSON] = field(default_factory=dict)
    context: Mapping[str, JSON] = field(default_factory=dict)
    modes: tuple[str, ...] = ("values",)
    subgraphs: bool = False
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    durability: Literal["sync", "async", "exit"] = "async"
    checkpoint: str = ""
    meta: Mapping[str, JSON] = field(default_factory=dict)
    strategy: Strategy = "enqueue"
    after_s: float = 0.0
    creates: bool = False
    """Makes the thread if there is none."""
    temporary: bool = False

    @property
    def anew(self) -> bool:
        """Whether it says something new, and does not just go on or answer."""
        return not self.resumes and (self.input is not None or bool(self.command) or bool(self.checkpoint))

    def kept(self) -> dict[str, Any]:
        names = ("input", "resumes", "command", "config", "context", "modes", "subgraphs", "before", "after")
        kept = {name: getattr(self, name) for name in (*names, "durability", "checkpoint")}
        return {**kept, "anew": self.anew}


@dataclass(frozen=True)
class Place:
    """Where runs are carried out."""

    worker: str
    lease_s: float
    queue_limit: int


@dataclass
class Started:
    run: ThreadRunRow
    begins: bool
    """This process has it now, and is to carry it out."""
    called_off: list[ThreadRunRow] = field(default_factory=list)
    """Others of the thread that are to end for it."""
    superseded: list[str] = field(default_factory=list)
    """Open questions whose place it took."""


def start(
    ledger: Ledger,
    person: Person,
    thread_id: str,
    wish: Wish,
    served: Served,
    place: Place,
    *,
    room: bool,
    within: Within | None,
) -> Started:
    """Writes the run, and begins it if nothing is in its way and there is `room` for it here."""
    check_meta(wish.meta)
    thread = ledger.threads.get(thread_id, lock=True)
    if thread is None and wish.creates:
        require(person, Permission.SUBMIT)
        ledger.threads.open(thread_id, person.id, wish.meta)
        thread = ledger.threads.get(thread_id)
    thread = seen_by(person, thread) if wish.resumes else written_by(person, thread)
    fits(thread, served)
    before = ledger.threads.open_runs(thread_id)
    if before and wish.strategy == "reject":
        raise Conflict(
            f"Run {before[0].id} of this thread is not over.",
            hint="Wait for it, cancel it, or choose another multitask_strategy.",
            present=before[0].status,
        )
    called_off = _call_off(ledger, thread, before, wish.strategy)
    _own(thread, served, wish)
    run = ledger.threads.queue(
        ThreadRunRow(
            id=str(uuid4()),
            thread_id=thread_id,
            graph=served.name,
            strategy=wish.strategy,
            person=person.model_dump(mode="json"),
            asked=wish.kept(),
            meta=dict(wish.meta),
            not_before=ledger.now + timedelta(seconds=wish.after_s) if wish.after_s else None,
            temporary=wish.temporary,
        )
    )
    if within is not None:
        within(ledger, run.id)
    started = Started(run, begins=False, called_off=called_off)
    if room and not wish.after_s and not any(each.ended_at is None for each in before):
        started.begins = True
        started.superseded = begin(ledger, thread, run, place)
        return started
    if ledger.threads.backlog() >= place.queue_limit:
        raise Busy("Too many runs wait.", retry_after=5, hint="Try again in a moment.")
    thread.status = "busy"
    ledger.threads.touch(thread)
    return started


def fits(thread: ThreadRow, served: Served) -> None:
    """A thread keeps to the graph of its first run: another one could not read its state. Raises `Conflict`."""
    if thread.graph not in ("", served.name):
        raise Conflict(f"This thread is of graph {thread.graph}.", hint="Make another thread.", present=thread.graph)


def _own(thread: ThreadRow, served: Served, wish: Wish) -> None:
    if not thread.graph:
        thread.graph = served.name
        thread.meta = {**thread.meta, "graph_id": served.name, "assistant_id": served.name}


def _call_off(
    ledger: Ledger, thread: ThreadRow, before: Sequence[ThreadRunRow], strategy: Strategy
) -> list[ThreadRunRow]:
    if strategy not in ("interrupt", "rollback"):
        return []
    return [run for run in before if call_off(ledger, run, strategy)]


def call_off(ledger: Ledger, run: ThreadRunRow, action: Action) -> bool:
    """Marks a run that is to end; one that waits ends at once. False if it has ended already."""
    if run.ended_at is not None:
        return False
    run.wanted, run.updated_at = action, ledger.now
    if run.status == "pending":
        run.status, run.ended_at = "interrupted", ledger.now
        ledger.threads.log(run.id, [(ledger.threads.last_event(run.id) + 1, END, encoded({"values": None}))])
        if action == "rollback":
            ledger.threads.drop_run(run)
            return True
    ledger.session.add(run)
    return True


def begin(ledger: Ledger, thread: ThreadRow, run: ThreadRunRow, place: Place) -> list[str]:
    """This process has the run from now on. Returns the open questions whose place it takes, for ever."""
    run.status, run.worker, run.attempt = "running", place.worker, run.attempt + 1
    run.lease_until, run.updated_at = ledger.threads.lease(place.lease_s), ledger.now
    thread.status = "busy"
    open_ = [each["id"] for asked in thread.interrupts.values() for each in asked]
    superseded: list[str] = []
    if open_ and run.asked["anew"]:
        superseded = [each for each in open_ if _supersede(ledger, thread, each, run)]
        thread.interrupts = {}
    elif open_ and run.asked["resumes"]:
        answered = {each.interrupt_id for each in ledger.threads.answers(thread.id)}
        left = {
            task: [each for each in asked if each["id"] not in answered] for task, asked in thread.interrupts.items()
        }
        thread.interrupts = {task: asked for task, asked in left.items() if asked}
    ledger.session.add(run)
    ledger.threads.touch(thread)
    return superseded


def _supersede(ledger: Ledger, thread: ThreadRow, question: str, run: ThreadRunRow) -> bool:
    person = str(run.person["id"])
    if not ledger.threads.answer(thread.id, question, "superseded", person, None, run.id):
        return False  # it was answered, and no run took the answer up
    ledger.audit.append("thread.superseded", {"thread": thread.id, "question": question, "by": person})
    return True


def take(ledger: Ledger, run_id: str, place: Place) -> tuple[ThreadRow, ThreadRunRow, list[str]] | None:
    """Begins a run that waits, or one that another process lost. None if it is not its turn, or somebody was faster."""
    found = ledger.threads.run(run_id)
    thread = ledger.threads.get(found.thread_id, lock=True) if found else None
    run = ledger.threads.run(run_id, lock=True)
    if thread is None or run is None or run.ended_at is not None:
        return None
    if run.status == "running":
        if run.lease_until is None or run.lease_until >= ledger.now:
            return None
    elif not _its_turn(ledger, run):
        return None
    return thread, run, begin(ledger, thread, run, place)


def _its_turn(ledger: Ledger, run: ThreadRunRow) -> bool:
    """Of those of its thread that may begin now it is the first, and none is at work."""
    for each in ledger.threads.open_runs(run.thread_id):
        if each.status == "running":
            return False
        if each.not_before is None or each.not_before <= ledger.now:
            return each.id == run.id
    return False


def deaths(run: ThreadRunRow) -> int:
    """How many processes died with it, as it is begun anew."""
    return run.attempt - 1 - int(run.problem.get("handed_over", 0))


def end(
    ledger: Ledger, run: ThreadRunRow, status: str, outcome: Outcome | None, problem: Mapping[str, str] | None
) -> bool:
    """Writes how a run of this process ended. Whether others of its thread wait."""
    thread = ledger.threads.get(run.thread_id, lock=True)
    if thread is None:
        raise NotFound("The thread is no more.")
    run.status, run.ended_at, run.updated_at, run.lease_until = status, ledger.now, ledger.now, None
    run.problem = dict(problem or {})
    ledger.session.add(run)
    if outcome is not None:
        thread.state_at = ledger.now
        if outcome.values is not None:
            thread.state = dict(outcome.values)
        thread.interrupts = questions(outcome)
    waiting = any(each.id != run.id for each in ledger.threads.open_runs(thread.id))
    if waiting:
        thread.status = "busy"
    elif status == "error":
        thread.status = "error"
    else:
        thread.status = "interrupted" if outcome is not None and outcome.ended == "interrupted" else "idle"
    ledger.threads.touch(thread)
    return waiting


def questions(outcome: Outcome) -> dict[str, Any]:
    """By task, as threads show them."""
    found: dict[str, Any] = {}
    for each in outcome.asked:
        found.setdefault(each.task_id, []).append(each.shown())
    return found
