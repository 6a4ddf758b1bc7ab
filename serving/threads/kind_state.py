"""What a thread of a kind shows: its case, told from the case's own log. Pure reading.

Who may read cases sees the plan, the questions with their facts, and which tools ran. To others, such as the shop's
chat for its customer, it is a talk: what they said, what was written to them, and that somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agents.conversation import Standing
from core.actions import JSON, ToolSpec
from core.states import ReviewStatus
from engine import incidents
from engine.served import Asked, State, Task
from engine.superseding import WROTE
from graphs.kind import TaskKind
from ledger.database import Ledger
from ledger.tables import CaseRow, ReviewRow, TraceRow
from serving.threads.kind_input import Line, line_of, text_of

Specs = Mapping[str, ToolSpec[Any]]

_NODES = {
    "plan.written": "plan",
    "plan.moved": "reflect",
    "action.judged": "gate",
    "call.invalid": "gate",
    "case.closed": "finish",
    "case.cancelled": "finish",
    "case.failed": "finish",
    WROTE: "customer",
}
_ENDED = {"case.closed": "closed", "case.cancelled": "cancelled", "case.failed": "failed"}
_ENDS = frozenset(ReviewStatus) - {ReviewStatus.OPEN}
_WAITS = "It waits for a person of the house. The case number is {case}."
_PAGE = 500


@dataclass(frozen=True)
class Step:
    """One entry of the log that a client hears of."""

    node: str
    update: dict[str, JSON]
    said: Line | None = None


@dataclass
class Telling:
    """A case as its thread tells it, entry by entry."""

    kind: TaskKind
    case: CaseRow
    specs: Specs
    whole: bool
    """For who may read cases."""
    lines: list[Line]
    asides: list[tuple[int, Line]]
    """What was said beside the case, such as how it stands, after which entry of its log; in order."""
    plan: list[dict[str, JSON]] = field(default_factory=list)
    status: str = "open"
    outcome: str = ""
    open_: list[str] = field(default_factory=list)
    """Reviews that wait."""
    seq: int = 0
    at: datetime | None = None
    told: int = 0
    """Letters of the case to its customer."""

    def take(self, ledger: Ledger, row: TraceRow) -> Step | None:
        """What an entry changes; None where clients do not hear of it."""
        while self.asides and self.asides[0][0] < int(row.seq or 0):
            self.lines.append(self.asides.pop(0)[1])
        self.seq, self.at = int(row.seq or 0), row.at
        said = self._said(ledger, row)
        if said is not None:
            self.lines.append(said)
        update = self._update(row)
        node = _NODES.get(row.type) or {"effect": "execute", "review": "review"}.get(row.type.partition(".")[0])
        return Step(node, update if self.whole else _bare(update), said) if node else None

    def _update(self, row: TraceRow) -> dict[str, JSON]:
        body = row.body
        match row.type.split("."):
            case ["plan", _]:
                self.plan = [{name: step[name] for name in ("title", "tool", "status")} for step in body["steps"]]
                return {"plan": self.plan}
            case ["review", "opened"]:
                self.open_.append(str(body["review"]))
                self.status = "waiting"
                return {"review": body["review"], "status": "open"}
            case ["review", what]:
                if what in _ENDS and body["review"] in self.open_:
                    self.open_.remove(str(body["review"]))
                    self.status = "waiting" if self.open_ else "running"
                return {"review": body["review"], "status": what}
            case ["effect", what]:
                return {"tool": body.get("tool", ""), "step": body.get("step", ""), "status": what}
            case ["case", _] if row.type in _ENDED:
                self.status, self.outcome = _ENDED[row.type], str(body.get("outcome", ""))
                self.open_ = self.open_ if self.status == "failed" else []
                return {"case": self._case()}
            case _ if row.type == WROTE:
                return {"superseded": body.get("superseded", [])}
            case _:
                return {name: body[name] for name in ("tool", "step") if name in body}

    def _said(self, ledger: Ledger, row: TraceRow) -> Line | None:
        """What the entry is to the talk."""
        talk, about = self.kind.converse, f"{self.case.id}-{row.seq}"
        if row.type == WROTE:
            name = str(row.body.get("message") or about)
            return None if any(each.id == name for each in self.lines) else Line(name, "human", str(row.body["text"]))
        if row.type == "effect.done" and talk is not None and row.body.get("tool") == talk.writes_by:
            self.told += 1
            return Line(about, "ai", talk.written(ledger.effects.action(str(row.body["action"])).args))
        if row.type == "review.opened" and not self.open_:
            if talk is None:
                return Line(about, "ai", _WAITS.format(case=self.case.id))
            return Line(about, "ai", talk.words(Standing(self.case.id, "waiting")))
        if row.type in ("case.closed", "case.cancelled"):
            outcome = str(row.body.get("outcome", "cancelled"))
            if talk is not None and not self.told:
                return Line(about, "ai", talk.words(Standing(self.case.id, "ended", outcome)))
            if talk is None:
                return Line(about, "ai", f"Case {self.case.id} ended: {outcome}.")
        return None

    def _case(self) -> dict[str, JSON]:
        return {"id": self.case.id, "kind": self.case.kind, "status": self.status, "outcome": self.outcome}

    def values(self) -> dict[str, JSON]:
        lines = [*self.lines, *(line for seq, line in self.asides if seq <= self.seq)]
        found: dict[str, JSON] = {"messages": [each.shown() for each in lines], "case": self._case()}
        return {**found, "plan": self.plan} if self.whole else found

    def questions(self, ledger: Ledger) -> list[Asked]:
        """Those that wait, in the order in which they were asked."""
        return [asked(ledger, self.case, ledger.reviews.get(each), self.specs, self.whole) for each in self.open_]

    def state(self, ledger: Ledger, step: int, parent: int) -> State:
        """As of now, under the name of the last step: what was said beside the case since then is told with it."""
        waiting = self.questions(ledger)
        tasks = [Task(id=each.task_id, name="review", interrupts=[each]) for each in waiting]
        ahead = {"waiting": ["review"], "open": ["plan"], "running": ["act"]}.get(self.status, [])
        meta: dict[str, JSON] = {"step": step, "source": "loop", "case": self.case.id}
        return State(
            values=self.values(),
            next=ahead,
            tasks=tasks,
            checkpoint=name_of(self.case, step),
            parent=name_of(self.case, parent) if parent else "",
            metadata=meta,
            at=self.at or self.case.opened_at,
        )


def begun(
    ledger: Ledger, kind: TaskKind, case: CaseRow, specs: Specs, notes: Mapping[str, Any], whole: bool
) -> Telling:
    """A case at its beginning. `notes` are those of its thread: what was said before there was a case."""
    lines = [line_of(each) for each in notes.get("said", ())]
    asides = [(int(each["seq"]), line_of(each)) for each in notes.get("asides", ())]
    if not lines and (text := text_of(kind, case.payload)):
        lines = [Line(f"{case.id}-0", "human", text)]
    return Telling(kind, case, specs, whole, lines, asides)


def entries(ledger: Ledger, case_id: str, after: int = 0, until: int = 0) -> Iterator[TraceRow]:
    """Of its log, in order; up to a number, if one is given."""
    while rows := ledger.trace.of_case(case_id, after, _PAGE):
        for row in rows:
            if until and int(row.seq or 0) > until:
                return
            yield row
        after = int(rows[-1].seq or 0)


def states(ledger: Ledger, telling: Telling, until: int = 0) -> list[State]:
    """The state after each step, the oldest first; the last one as it is now."""
    found: list[State] = []
    before = 0
    for row in entries(ledger, telling.case.id, until=until):
        if telling.take(ledger, row) is not None:
            found.append(telling.state(ledger, telling.seq, before))
            before = telling.seq
    if found and not until:
        found[-1] = replace(found[-1], values=telling.values())
    return found


def name_of(case: CaseRow, seq: int) -> str:
    """A step's own name: where the log of its case had come to."""
    return f"{case.id}-{seq}"


def seq_of(case: CaseRow, checkpoint: str) -> int:
    """The other way round; 0 for what is no step of this case."""
    number = checkpoint.removeprefix(f"{case.id}-")
    return int(number) if number != checkpoint and number.isascii() and number.isdigit() and len(number) < 19 else 0


def asked(ledger: Ledger, case: CaseRow, review: ReviewRow, specs: Specs, whole: bool) -> Asked:
    """A review as an interrupt: in the form of langchain 1.x, in that of Agent Inbox, and in our own words."""
    if not whole:
        # Under another id: who was shown no more than this has not seen what they would answer.
        name = f"{review.id}.pending"
        return Asked(name, name, _question("approval", {}, "A colleague has to look at it.", ()))
    action = ledger.effects.action(review.action_id)
    money = specs[action.tool].spends(specs[action.tool].parse(action.args)) if action.tool in specs else None
    house = action.tool in incidents.QUESTIONS or action.proposer == incidents.HOUSE
    may = ("approve", "reject") if house or action.tool not in specs else ("approve", "edit", "reject", "respond")
    wrote = [str(each.payload.get("text", "")) for each in ledger.cases.said(case.id)]
    later = "".join(f"\n\nThe customer wrote again: {each}" for each in wrote[-3:])
    due = review.due_at.isoformat(timespec="minutes")
    text = f"{action.described}\n\n{review.reason}{later}\n\nCase {case.id}, due {due}."
    value = _question(action.tool, action.args, text, may)
    schema = specs[action.tool].args.model_json_schema() if action.tool in specs else {}
    if schema:
        value["review_configs"][0]["args_schema"] = schema
    value |= {
        "review": review.id,
        "seen": ledger.reviews.saw(review, action.args),
        "reason": review.reason,
        "groups": [str(each["group"]) for each in review.reviewers],
        "due_at": review.due_at.isoformat(),
        "money": str(money) if money else None,
        "case": case.id,
        "wrote": wrote,
    }
    return Asked(review.id, review.id, value)


def _question(tool: str, args: Mapping[str, JSON], text: str, may: Sequence[str]) -> dict[str, Any]:
    return {
        "action_requests": [{"name": tool, "args": dict(args), "description": text}],
        "review_configs": [{"action_name": tool, "allowed_decisions": list(may)}],
        "action_request": {"action": tool, "args": dict(args)},
        "config": {
            "allow_ignore": bool(may),
            "allow_respond": "respond" in may,
            "allow_edit": "edit" in may,
            "allow_accept": "approve" in may,
        },
        "description": text,
    }


def ended(ledger: Ledger, case_id: str) -> dict[str, str]:
    """How each question of the case ended that is not open any more, the last one last."""
    why = {
        str(row.body["review"]): str(row.body.get("reason", ""))
        for row in entries(ledger, case_id)
        if row.type == "review.superseded"
    }
    found: list[tuple[datetime, str, str]] = []
    for review in ledger.reviews.of_case(case_id):
        votes = ledger.reviews.votes(review.id)
        if review.status == ReviewStatus.OPEN:
            continue
        if review.status == ReviewStatus.SUPERSEDED:
            how = f"superseded, as {why.get(review.id) or 'the case went on without it'}"
        else:
            how = f"{review.status} by {votes[-1].person if votes else 'the clock'}"
        found.append((review.decided_at or review.opened_at, review.id, how))
    return {name: how for _, name, how in sorted(found)}


def _bare(update: dict[str, JSON]) -> dict[str, JSON]:
    """Without what is for those who may read cases."""
    return {name: update[name] for name in ("status", "case", "superseded") if name in update}
