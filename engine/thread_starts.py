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
from core.errors import Busy, Conflict
from core.people import Permission, Person, require, require_kind
from engine.served import Outcome, Served, Within
from engine.thread_log import END, encoded
from engine.threads import Action, check_meta, seen_by, written_by
from ledger.database import Ledger
from ledger.thread_quick import ThreadNow, Unended
from ledger.thread_tables import ThreadRunRow

Strategy = Literal["reject", "interrupt", "rollback", "enqueue"]
DEATHS = 3
"""So many processes may die with a run."""
_OUTAGES = 20
"""So often the records may be away while it is at work, and it is none of its doing."""
_PAUSE_S = 1.0
"""Before a run goes on that was cut off so."""


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
    talk: str = ""
    """The conversation that the thread is made for, if it is: each has one."""
    temporary: bool = False

    @property
    def anew(self) -> bool:
        """Whether it says something new, and does not just go on or answer."""
        return not self.resumes and (self.input is not None or bool(self.command) or bool(self.checkpoint))

    @property
    def beside(self) -> Sequence[str]:
        """What it brings to something that another run began."""
        brought = {"config.configurable": self.config.get("configurable"), "context": self.context}
        return [] if self.anew else [name for name, value in brought.items() if value]

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
    of_person: int
    """So many runs of one person may wait, those that are for later among them."""


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
    quick = ledger.threads.quick
    thread = quick.now(thread_id)
    if thread is None and wish.creates:
        require(person, Permission.SUBMIT)
        thread = _made(ledger, person, thread_id, wish)
    thread = seen_by(person, thread) if wish.resumes else written_by(person, thread)
    require_kind(person, served.name)
    fits(thread.graph, served)
    before = quick.unended(thread_id) if thread.busy else []
    if before and wish.strategy == "reject":
        raise Conflict(
            f"Run {before[0].id} of this thread is not over.",
            hint="Wait for it, cancel it, or choose another multitask_strategy.",
            present=before[0].status,
        )
    called_off = _call_off(ledger, before, wish.strategy)
    run = _run_of(ledger, person, thread_id, wish, served)
    if within is not None:
        within(ledger, run.id)
    started = Started(run, begins=False, called_off=called_off)
    own = _own(thread, served)
    at_work = [each for each in called_off if each.ended_at is None]
    if room and not wish.after_s and not at_work and not _left(before, called_off):
        started.begins = True
        changes, started.superseded = begin(ledger, thread, run, place)
        quick.add_run(run)
        quick.change_thread(thread_id, **own, **changes)
        return started
    if ledger.threads.backlog_of(person.id) >= place.of_person:
        raise Busy(
            f"{place.of_person} runs of {person.id} wait already.", retry_after=5, hint="Wait for some, or cancel some."
        )
    if not wish.after_s and ledger.threads.backlog() >= place.queue_limit:
        raise Busy("Too many runs wait.", retry_after=5, hint="Try again in a moment.")
    quick.add_run(run)
    quick.change_thread(thread_id, **own, status="busy")
    return started


def _made(ledger: Ledger, person: Person, thread_id: str, wish: Wish) -> ThreadNow | None:
    if not wish.talk:
        return ledger.threads.quick.add_thread(thread_id, person.id, wish.meta)
    if not ledger.threads.open(thread_id, person.id, wish.meta, wish.talk):
        raise Conflict("This conversation has a thread.", hint="Look for it again.", present="exists")
    return ledger.threads.quick.now(thread_id)


def _run_of(ledger: Ledger, person: Person, thread_id: str, wish: Wish, served: Served) -> ThreadRunRow:
    return ThreadRunRow(
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


def fits(graph: str, served: Served) -> None:
    """A thread keeps to the graph of its first run: another one could not read its state. Raises `Conflict`."""
    if graph not in ("", served.name):
        raise Conflict(f"This thread is of graph {graph}.", hint="Make another thread.", present=graph)


def _own(thread: ThreadNow, served: Served) -> dict[str, Any]:
    if thread.graph:
        return {}
    return {
        "graph": served.name,
        "meta": {**thread.meta, "graph_id": served.name, "assistant_id": served.name},
    }


def _left(before: Sequence[Unended], called_off: Sequence[ThreadRunRow]) -> bool:
    """Whether one of those that were there is still to be waited for."""
    gone = {each.id for each in called_off}
    return any(each.id not in gone for each in before)


def _call_off(ledger: Ledger, before: Sequence[Unended], strategy: Strategy) -> list[ThreadRunRow]:
    if strategy not in ("interrupt", "rollback"):
        return []
    rows = [ledger.threads.run(each.id, lock=True) for each in before]
    return [row for row in rows if row is not None and call_off(ledger, row, strategy)]


def call_off(ledger: Ledger, run: ThreadRunRow, action: Action) -> bool:
    """Marks a run that is to end; one that never began ends at once. False if it has ended already.

    Raises `Conflict` for one that can't be taken back.
    """
    if run.ended_at is not None:
        return False
    if action == "rollback" and _goes_on(run):
        raise Conflict(
            f"Run {run.id} goes on with what was said before it, and that can't be taken back.",
            hint="Call it off with action (or multitask_strategy) interrupt: what was answered and done stays.",
            present=run.status,
        )
    run.wanted, run.updated_at = action, ledger.now
    if run.status == "pending" and not run.attempt:
        run.status, run.ended_at = "interrupted", ledger.now
        ledger.threads.quick.log(run.id, [(ledger.threads.last_event(run.id) + 1, END, encoded({"values": None}))])
        if action == "rollback":
            ledger.threads.drop_run(run)
            return True
    ledger.session.add(run)
    return True


def _goes_on(run: ThreadRunRow) -> bool:
    """Whether it writes into steps that others made. Answers count, and what was done for them stays: a question that
    came back with its answer still there would have the same done twice."""
    anew = run.asked["input"] is not None and not run.asked["command"]
    return bool(run.asked["resumes"]) or (run.attempt > 0 and not anew)


def begin(ledger: Ledger, thread: ThreadNow, run: ThreadRunRow, place: Place) -> tuple[dict[str, Any], list[str]]:
    """This process has the run from now on. What changes of the thread, and questions that it takes the place of."""
    open_, starter = thread.interrupts, str(run.person["id"])
    _seize(ledger, run, place)
    changes: dict[str, Any] = {"status": "busy"}
    superseded: list[str] = []
    if run.asked["anew"] and starter not in thread.starters:
        changes["starters"] = sorted({*thread.starters, starter})
    if open_ and run.asked["anew"]:
        ids = [str(each["id"]) for asked in open_.values() for each in asked]
        superseded = [each for each in ids if _supersede(ledger, thread.id, each, run)]
        changes["interrupts"] = {}
    elif open_ and run.asked["resumes"]:
        answered = {each.interrupt_id for each in ledger.threads.answers(thread.id)}
        left = {task: [each for each in asked if each["id"] not in answered] for task, asked in open_.items()}
        changes["interrupts"] = {task: asked for task, asked in left.items() if asked}
    return changes, superseded


def _seize(ledger: Ledger, run: ThreadRunRow, place: Place) -> None:
    run.status, run.worker, run.attempt = "running", place.worker, run.attempt + 1
    run.lease_until, run.updated_at = ledger.threads.lease(place.lease_s), ledger.now


def _supersede(ledger: Ledger, thread_id: str, question: str, run: ThreadRunRow) -> bool:
    person = str(run.person["id"])
    if not ledger.threads.answer(thread_id, question, "superseded", person, None, run.id):
        return False  # it was answered, and no run took the answer up
    ledger.audit.append("thread.superseded", {"thread": thread_id, "question": question, "by": person})
    return True


def take(ledger: Ledger, run_id: str, place: Place) -> tuple[ThreadRunRow, list[str]] | None:
    """Begins a run that waits, or one that another process lost. None if it is not its turn, or somebody was faster.

    One that was called off meanwhile (`wanted`) is taken as well: only to be ended, by whoever has it now.
    """
    found = ledger.threads.run(run_id)
    thread = ledger.threads.quick.now(found.thread_id) if found else None
    run = ledger.threads.run(run_id, lock=True)
    if thread is None or run is None or run.ended_at is not None:
        return None
    if run.status == "running":
        if run.lease_until is None or run.lease_until >= ledger.now:
            return None
    elif not _its_turn(ledger, run):
        return None
    if run.wanted:
        _seize(ledger, run, place)
        ledger.session.add(run)
        return run, []
    changes, superseded = begin(ledger, thread, run, place)
    ledger.session.add(run)
    ledger.threads.quick.change_thread(thread.id, **changes)
    return run, superseded


def _its_turn(ledger: Ledger, run: ThreadRunRow) -> bool:
    """Of those of its thread that may begin now it is the first, and none is at work."""
    for each in ledger.threads.quick.unended(run.thread_id):
        if each.status == "running":
            return False
        if each.not_before is None or each.not_before <= ledger.now:
            return each.id == run.id
    return False


def deaths(run: ThreadRunRow) -> int:
    """How many processes died with it, as it is begun anew."""
    return run.attempt - 1 - int(run.problem.get("handed_over", 0)) - min(int(run.problem.get("away", 0)), _OUTAGES)


def excuse(ledger: Ledger, run_id: str, attempt: int) -> None:
    """The records were away, and its process lives: nobody died with this attempt, and the next one is due soon."""
    row = ledger.threads.run(run_id, lock=True)
    if row is not None and row.attempt == attempt and row.status == "running":
        row.lease_until = ledger.threads.lease(_PAUSE_S)
        row.problem = {**row.problem, "away": int(row.problem.get("away", 0)) + 1}
        ledger.session.add(row)


def end(
    ledger: Ledger, run: ThreadRunRow, status: str, outcome: Outcome | None, problem: Mapping[str, str] | None
) -> bool:
    """Writes how a run of this process ended. Whether others of its thread wait."""
    quick = ledger.threads.quick
    quick.change_run(run.id, status=status, ended_at=ledger.now, lease_until=None, problem=dict(problem or {}))
    left = "interrupted" if outcome is not None and outcome.ended == "interrupted" else "idle"
    changes: dict[str, Any] = {}
    if outcome is not None:
        changes = {"state_at": ledger.now, "interrupts": questions(outcome)}
        if outcome.values is not None:
            changes["state"] = dict(outcome.values)
    return quick.settle(run.thread_id, run.id, "error" if status == "error" else left, **changes)


def questions(outcome: Outcome) -> dict[str, Any]:
    """By task, as threads show them."""
    found: dict[str, Any] = {}
    for each in outcome.asked:
        found.setdefault(each.task_id, []).append(each.shown())
    return found
