"""Kinds of business task on threads: a conversation that becomes a case, whose open reviews are its interrupts.

The thread holds nothing but the case's name. What is said goes into the case's inbox, an answer becomes a vote of its
caller on the desk, and what clients are shown is told from the case's log: no way leads around the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from core.actions import JSON
from core.errors import Forbidden, InvalidInput, NotFound, StaleState
from core.people import Permission, Person, may, require
from engine.answers import Answer, Says, fit, read
from engine.decisions import Choice, Decided, Decision
from engine.served import Emit, Outcome, Served, State, Turn, Within
from graphs.kind import TaskKind
from ledger.database import Ledger
from ledger.tables import CaseRow, ReviewRow
from serving.threads.kind_input import line_of
from serving.threads.kind_rooms import Rooms
from serving.threads.kind_run import Run
from serving.threads.kind_state import asked, begun, ended, entries, seq_of, states

T = TypeVar("T")

_CHOICES = {
    Says.APPROVE: Choice.APPROVE,
    Says.EDIT: Choice.EDIT,
    Says.REJECT: Choice.REJECT,
    Says.RESPOND: Choice.RESPOND,
}
REASON = "other"
"""The reason code of a rejection that brings none; its message is the note."""
_AROUND = "The state of a case is not written from outside: that would get around the gate."
_INSTEAD = "Send what the customer says as input, and answers with command.resume."
_EMPTY = State(values={}, next=[], tasks=[], checkpoint="", parent="", metadata={}, at=None)


class KindOnThreads:
    """Implements `engine.served.Served`."""

    personal = True

    def __init__(self, house: Rooms, kind: TaskKind) -> None:
        self._house = house
        self._kind = kind
        self.name = kind.name
        self.title = kind.title

    def schemas(self) -> dict[str, JSON]:
        payload = self._kind.intake.model_json_schema()
        talk = {
            "type": "object",
            "properties": {"messages": {"type": "array", "items": {"type": "object"}}},
            "required": ["messages"],
        }
        vouched = {name: {"type": "string"} for name, each in self._kind.payload.items() if each.vouched}
        state = {
            "type": "object",
            "properties": {
                "messages": {"type": "array", "items": {"type": "object"}},
                "case": {"type": "object"},
                "plan": {"type": "array", "items": {"type": "object"}},
            },
        }
        config = {"type": "object", "properties": vouched}
        return {
            "input_schema": {"anyOf": [talk, payload]},
            "output_schema": state,
            "state_schema": state,
            "config_schema": config,
            "context_schema": config,
        }

    async def run(self, turn: Turn, emit: Emit) -> Outcome:
        return await Run(self._house, self._kind, turn, emit).to_its_end()

    def steer(self, command: Mapping[str, JSON], checkpoint: str, beside: Sequence[str] = ()) -> None:
        """Only `goto: __end__` may pass, by which a client leaves what is asked: it decides nothing."""
        if checkpoint or command.get("update") or command.get("goto") not in (None, "", "__end__", ["__end__"]):
            raise Forbidden(_AROUND, hint=_INSTEAD)

    # answers

    async def accept(self, person: Person, thread_id: str, resume: JSON) -> Within | None:
        """Each answer as a vote of its caller, under the checks of the desk, all in the transaction of the run."""
        require(person, Permission.DECIDE)
        found = await self._read(person, partial(self._meant, person, thread_id, resume))
        case_id, ignored, decisions = found
        votes = [await self._house.desk.voting(person, name, each) for name, each in decisions.items()]

        def within(ledger: Ledger, run_id: str) -> None:
            self._vote(ledger, votes)
            self._leave(ledger, case_id, ignored, person)

        return within

    def _vote(self, ledger: Ledger, votes: list[Callable[[Ledger], Decided]]) -> None:
        for vote in votes:
            vote(ledger)

    def _meant(
        self, person: Person, thread_id: str, resume: JSON, ledger: Ledger
    ) -> tuple[str, list[str], dict[str, Decision]]:
        """The case, the questions that are left as they are, and what is decided of the others."""
        case = self._case(ledger, thread_id)
        if case is None:
            raise StaleState("Nothing is asked on this thread.", hint="It has no case yet.", present="no case")
        waiting = {each.id: each for each in ledger.reviews.of_case(case.id, only_open=True)}
        shown = ledger.threads.seen(thread_id, person.id)
        specs, whole = self._house.tools.specs(), may(person, Permission.READ)
        questions = [asked(ledger, case, each, specs, whole) for each in waiting.values()]
        keyed = fit(resume, questions, settled=ended(ledger, case.id), shown=shown)
        answers = [read(name, value, _where(resume, name)) for name, value in keyed.items()]
        ignored = [each.question for each in answers if each.says is Says.IGNORE]
        decided = [each for each in answers if each.says is not Says.IGNORE]
        return (
            case.id,
            ignored,
            {each.question: _decision(ledger, waiting[each.question], each, shown) for each in decided},
        )

    def _leave(self, ledger: Ledger, case_id: str, reviews: Sequence[str], person: Person) -> None:
        """Notes, once for each, that this person leaves these questions to others."""
        known = [row.body for row in ledger.trace.of_type(case_id, "review.left")] if reviews else []
        for review in reviews:
            if not any((each.get("review"), each.get("by")) == (review, person.id) for each in known):
                ledger.trace.add(case_id, "review.left", {"review": review, "by": person.id})

    # what is shown

    async def state(self, person: Person, thread_id: str, checkpoint: str = "", subgraphs: bool = False) -> State:
        def look(ledger: Ledger) -> State:
            case = self._case(ledger, thread_id)
            if case is None:
                return self._before(ledger, thread_id, checkpoint)
            until = self._until(case, checkpoint)
            telling = begun(ledger, self._kind, case, self._house.tools.specs(), self._notes(ledger, thread_id), whole)
            before = last = 0
            for row in entries(ledger, case.id, until=until):
                if telling.take(ledger, row) is not None:
                    before, last = last, int(row.seq or 0)
            if until and last != until:
                raise NotFound(f"There is no step '{checkpoint[:80]}'.", hint="The thread's history lists them.")
            if not until:
                telling.status = str(case.status)
            return telling.state(ledger, last, before)

        whole = may(person, Permission.READ)
        return await self._read(person, look)

    async def history(self, person: Person, thread_id: str, limit: int, before: str = "") -> list[State]:
        def look(ledger: Ledger) -> list[State]:
            case = self._case(ledger, thread_id)
            if case is None:
                state = self._before(ledger, thread_id, "")
                return [state] if state.values else []
            notes = self._notes(ledger, thread_id)
            telling = begun(ledger, self._kind, case, self._house.tools.specs(), notes, whole)
            end = self._until(case, before) if before else 0
            found = states(ledger, telling, until=end)
            found = found[:-1] if end and found else found
            return list(reversed(found))[:limit]

        whole = may(person, Permission.READ)
        return await self._read(person, look)

    def _before(self, ledger: Ledger, thread_id: str, checkpoint: str) -> State:
        """Of a talk that is no case yet."""
        if checkpoint:
            raise NotFound(f"There is no step '{checkpoint[:80]}'.", hint="The thread's history lists them.")
        said = self._notes(ledger, thread_id).get("said", ())
        if not said:
            return _EMPTY
        values = {"messages": [line_of(each).shown() for each in said]}
        thread = ledger.threads.get(thread_id)
        return State(values, [], [], f"{thread_id}-0", "", {}, thread.updated_at if thread else None)

    def _until(self, case: CaseRow, checkpoint: str) -> int:
        if not checkpoint:
            return 0
        if not (seq := seq_of(case, checkpoint)):
            raise NotFound(f"There is no step '{checkpoint[:80]}'.", hint="The thread's history lists them.")
        return seq

    # what may not be written

    async def update(
        self, person: Person, thread_id: str, values: JSON, as_node: str | None, checkpoint: str = ""
    ) -> str:
        """Agent Inbox ends a question that somebody ignores by `values: null` as the end: here nothing is decided."""
        if values is not None or checkpoint:
            raise Forbidden(_AROUND, hint=_INSTEAD)
        require(person, Permission.DECIDE)

        def ignore(ledger: Ledger) -> None:
            if (case := self._case(ledger, thread_id)) is not None:
                open_ = [each.id for each in ledger.reviews.of_case(case.id, only_open=True)]
                self._leave(ledger, case.id, open_, person)

        await self._house.database.write(person.workspace, ignore)
        return (await self.state(person, thread_id)).checkpoint

    async def roll_back(self, person: Person, thread_id: str, run_id: str) -> None:
        """What a case did is on record and stays; only the run goes."""

    async def copy(self, person: Person, thread_id: str, to: str) -> None:
        raise Forbidden("There can't be two of a case.", hint="Fork the case: POST /api/v1/cases/{id}/fork.")

    async def forget(self, person: Person, thread_id: str) -> None:
        """The case stays."""

    # rows

    def _case(self, ledger: Ledger, thread_id: str) -> CaseRow | None:
        thread = ledger.threads.get(thread_id)
        if thread is None:
            raise NotFound("There is no such thread.", hint="POST /threads makes one.")
        return ledger.cases.get(thread.case_id) if thread.case_id else None

    def _notes(self, ledger: Ledger, thread_id: str) -> Mapping[str, Any]:
        thread = ledger.threads.get(thread_id)
        return thread.notes if thread is not None else {}

    async def _read(self, person: Person, look: Callable[[Ledger], T]) -> T:
        return await self._house.database.read(person.workspace, look)


def _where(resume: JSON, question: str) -> str:
    return f"command.resume.{question}" if isinstance(resume, dict) and question in resume else "command.resume"


def _decision(ledger: Ledger, review: ReviewRow, answer: Answer, shown: list[str]) -> Decision:
    """Raises `StaleState` where nobody can say that its sender saw what they decide on, `InvalidInput`."""
    action = ledger.effects.action(review.action_id)
    seen = answer.seen
    if not seen:
        if review.id not in shown:
            raise StaleState(
                f"Approval {review.id} was not shown to you on this thread.",
                hint="Read the thread's state first, or send 'seen' of the approval that you looked at.",
                present=str(review.version),
            )
        seen = ledger.reviews.saw(review, action.args)
    if answer.action not in ("", action.tool):
        raise InvalidInput(f"It is about {action.tool}, not {answer.action[:60]}.", hint="Reject it instead.")
    if answer.says is Says.APPROVE and answer.args and dict(answer.args) != action.args:
        raise InvalidInput("It was approved with other arguments.", hint="Send type: edit to change them.")
    rejected = answer.says is Says.REJECT
    return Decision(
        choice=_CHOICES[answer.says],
        seen=seen[:64],
        reason_code=(answer.reason_code or REASON)[:64] if rejected else answer.reason_code[:64],
        note=answer.message,
        args=dict(answer.args) if answer.says is Says.EDIT else None,
    )


def served_kinds(house: Rooms) -> dict[str, Served]:
    """Each kind, by its name. `house` is the house that they are bound in."""
    return {name: KindOnThreads(house, kind) for name, kind in house.kinds.items()}
