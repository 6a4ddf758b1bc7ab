"""What a person, or a program that comes as one, proposes in a case beside its agent.

It passes the gate like any other proposal, with the person as its proposer, who so can't approve it. A read is answered
at once. An effect is carried out by the case's next segment, under its fence: never beside one that runs, never in a
case that is over, and again by the next one if a process dies. Nothing but rows is remembered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from core.actions import JSON, Effect, Egress, OutcomeStatus, ProposedAction, ToolSpec
from core.errors import Conflict, InvalidInput, KeyReused, NotFound, StaleState
from core.ids import digest
from core.people import Permission, Person, may, require, require_kind
from core.ports import CaseView
from core.states import FINISHED, CaseStatus, Desired, ReviewStatus, RunStatus
from core.verdicts import Allow, Review
from engine import fence, incidents
from engine.executing import Executing
from engine.executor import AskAgain
from engine.gate import Gate, Ruling
from engine.handed import Handed, Stage, last_asked, standing_of
from engine.journal import Note
from engine.outcomes import outcome_of
from engine.provenance import Answered, Told
from engine.reviews import ReviewDesk
from engine.rulings import ruling
from engine.stream import Stream
from ledger.database import Database, Ledger
from ledger.tables import CaseRow, InboxRow

_MARK = "hand-"
"""Its step is `hand-<a digest of the caller's key, or of the call itself>`."""
_EVENT = "action.by_hand"


class Bounds(NamedTuple):
    """What a kind says of proposals by hand."""

    tools: frozenset[str]
    vouched: frozenset[str]
    """Fields of the payload for which the channel answers."""
    needs: Permission
    """What it takes to open a case takes it to act in one."""


class ByHand:
    def __init__(
        self,
        database: Database,
        gate: Gate,
        executor: Executing,
        desk: ReviewDesk,
        stream: Stream,
        ring: Callable[[str, str], Awaitable[None]],
        kinds: Mapping[str, Bounds],
    ) -> None:
        self._database = database
        self._gate = gate
        self._executor = executor
        self._desk = desk
        self._stream = stream
        self._ring = ring
        self._kinds = kinds

    # asking

    async def propose(self, person: Person, case_id: str, tool: str, args: Mapping[str, JSON], key: str = "") -> Handed:
        """Proposes a call in a case. The same key again proposes nothing, and tells how it stands.

        Without a key, the same call in the same case is the same proposal. One whose question was withdrawn, as the
        customer wrote, is asked about anew. Raises `NotFound` for a case that is not the caller's to see, `Forbidden`,
        `InvalidInput`, `Conflict` for a case that takes nothing up, `KeyReused`.
        """
        case = await self._database.read(person.workspace, lambda ledger: self._theirs(ledger, person, case_id))
        action, spec = self._action(person, case, tool, args, key)
        known = await self._database.read(person.workspace, lambda ledger: _known(ledger, action))
        if not known:
            _require_open(case)
        if spec.effect is Effect.READ:
            return await self._read(person, case, action)
        if not known:
            await self._judged(case, action, [_proposed(person, action)])
        if await self._database.write(person.workspace, lambda ledger: self._forward(ledger, action)):
            self._stream.publish()
            await self._ring(case.workspace, case.id)
        return await self.standing(person, case.id, action.id)

    def _theirs(self, ledger: Ledger, person: Person, case_id: str) -> CaseRow:
        """The case, if the caller may act in it."""
        case = ledger.cases.get(case_id)
        mine = case.opened_by == person.id
        if not mine and not may(person, Permission.READ):
            raise NotFound(f"There is no case '{case_id[:60]}' of yours.")
        bounds = self._kinds.get(case.kind)
        require(person, bounds.needs if bounds is not None else Permission.OPERATE)
        require_kind(person, case.kind)
        if not mine:
            require(person, Permission.OPERATE)
        return case

    def _action(
        self, person: Person, case: CaseRow, tool: str, args: Mapping[str, JSON], key: str
    ) -> tuple[ProposedAction, ToolSpec[Any]]:
        bounds = self._kinds.get(case.kind)
        if bounds is None or tool not in bounds.tools:
            there = ", ".join(sorted(bounds.tools)) if bounds is not None else "none"
            raise InvalidInput(
                f"A case of {case.kind} has no tool '{tool[:60]}'.", field="tool", hint=f"There are: {there}."
            )
        spec = self._gate.specs[tool]
        given = spec.parse(args).model_dump(mode="json")
        named: Any = key or {"tool": tool, "args": given}
        action = ProposedAction(
            workspace=case.workspace,
            case_id=case.id,
            kind=case.kind,
            tool=tool,
            schema_version=spec.version,
            args=given,
            proposer=person.id,
            step_key=f"{_MARK}{digest(named)[:24]}",
        )
        return action, spec

    async def _judged(self, case: CaseRow, action: ProposedAction, notes: list[Note]) -> Ruling:
        vouched = self._kinds[case.kind].vouched
        calls = await self._database.read(case.workspace, lambda ledger: _answered(ledger, case.id, self._gate.specs))

        def told() -> Told:
            return Told.of(case.payload, vouched, calls)

        (ruled,) = await self._gate.propose(case.workspace, case.id, [action], case.payload, notes, told)
        return ruled

    async def _read(self, person: Person, case: CaseRow, action: ProposedAction) -> Handed:
        verdict = (await self._judged(case, action, [_proposed(person, action)])).verdict
        rules = [match.rule for match in verdict.matches if not match.monitor]
        if not isinstance(verdict, Allow):
            return Handed(status=Stage.DENIED, tool=action.tool, action=action.id, reason=verdict.reason, rules=rules)
        outcome = await self._executor.read(action)
        return Handed(
            status=_AS_STAGE.get(outcome.status, Stage.FAILED),
            tool=action.tool,
            action=action.id,
            reason=outcome.reason,
            rules=rules,
            result=outcome.result,
        )

    def _forward(self, ledger: Ledger, action: ProposedAction) -> bool:
        """Sends a judged action on, to people or to the case's next segment; False if it is there, or goes no further.

        In the transaction that looks whether the case still takes anything up.
        """
        case = ledger.cases.get(action.case_id, lock=True)
        decision = ledger.effects.decisions(action.id)[-1]
        if _shut(case) or decision.verdict == "deny" or ledger.effects.run(action.id) is not None:
            return False
        if decision.verdict == "review":
            asked = last_asked(ledger, action.id)
            if asked is not None and asked.status != ReviewStatus.SUPERSEDED:
                return False  # withdrawn, as the customer wrote, it is asked anew: no vote of before counts
            self._desk.open(ledger, case, action.id, "", Review.model_validate(decision.body))
            return True
        payload = {"action_id": action.id}
        return ledger.cases.post(case, source="desk", event_id=f"{_MARK}{action.id}", event=_EVENT, payload=payload)

    # looking

    async def standing(self, person: Person, case_id: str, action_id: str) -> Handed:
        """How a proposal of this person stands. Raises `NotFound`."""

        def look(ledger: Ledger) -> Handed:
            row = ledger.effects.action(action_id)
            if row.case_id != case_id or row.proposer != person.id or not row.step_key.startswith(_MARK):
                raise NotFound(f"There is no proposal '{action_id[:70]}' of yours in this case.")
            return standing_of(ledger, row)

        return await self._database.read(person.workspace, look)

    # carrying out, in a segment

    async def take_up(self, case: CaseView, event: InboxRow) -> None:
        """Carries out what an event lets, if it is about a proposal by hand. Raises `CaseStopped` like any effect."""
        if event.payload.get("interrupt_id") or not event.payload.keys() & {"action_id", "review_id"}:
            return  # most events: no transaction for those
        asked = await self._database.read(case.workspace, lambda ledger: _about(ledger, event))
        if not asked:
            return
        await self._executor.recall(case.workspace, asked)
        try:
            ruled = await self._database.read(case.workspace, lambda ledger: ruling(ledger, asked))
        except StaleState:  # asked anew since: another event brings the answer
            return
        if ruled.outcome is not None:
            return
        try:
            outcome = await self._executor.run(case.workspace, ruled.action_id)
        except AskAgain as again:
            why = again.reason
            await self._database.write(case.workspace, lambda ledger: self._ask(ledger, ruled.action_id, why))
            return
        if outcome.status is OutcomeStatus.UNKNOWN:
            await self._database.write(
                case.workspace, lambda ledger: _reconcile(ledger, ruled.action_id, outcome.reason)
            )

    def _ask(self, ledger: Ledger, action_id: str, why: str) -> None:
        case = ledger.cases.get(ledger.effects.action(action_id).case_id, lock=True)
        fence.hold(case)
        verdict = Review.model_validate(ledger.effects.decisions(action_id)[-1].body)
        verdict = verdict.model_copy(update={"reason": f"{why[:1].upper()}{why[1:]}. {verdict.reason}"})
        self._desk.open(ledger, case, action_id, "", verdict)


_AS_STAGE = {
    OutcomeStatus.DONE: Stage.DONE,
    OutcomeStatus.DENIED: Stage.DENIED,
    OutcomeStatus.UNKNOWN: Stage.UNKNOWN,
}


def _shut(case: CaseRow) -> str:
    """Why nothing is taken up in the case now; empty if it is."""
    if case.simulated:
        return "It is a copy of a case: only its own agent acts in it."
    if case.status in FINISHED or case.erased_at is not None:
        return f"The case is {case.status}: nothing more is done in it."
    if case.desired != Desired.RUN or case.held or case.status in (CaseStatus.PAUSED, CaseStatus.FAILED):
        return "The case was stopped: nothing is done in it until an operator lets it go on."
    return ""


def _require_open(case: CaseRow) -> None:
    if why := _shut(case):
        hint = "Wait, or ask an operator." if case.status not in FINISHED else "Open another case."
        raise Conflict(why, hint=hint, present="simulated" if case.simulated else str(case.status))


def _proposed(person: Person, action: ProposedAction) -> Note:
    return Note(type="hand.proposed", body={"by": person.id, "tool": action.tool, "action": action.id})


def _known(ledger: Ledger, action: ProposedAction) -> bool:
    """Whether it was proposed before. Raises `KeyReused` where its key named another call."""
    for row in ledger.effects.actions(action.case_id):
        if row.id == action.id:
            return True
        if (row.step_key, row.proposer) == (action.step_key, action.proposer):
            raise KeyReused("That was the key of another call.", hint="Use a new key for a new proposal.")
    return False


def _answered(ledger: Ledger, case_id: str, specs: Mapping[str, ToolSpec[Any]]) -> list[Answered]:
    """The case's effects that happened. What its agent read is in no row, so nothing is vouched for by it here."""
    found = []
    for run in ledger.effects.runs(case_id):
        spec = specs.get(run.tool)
        if spec is not None and run.status in (RunStatus.DONE, RunStatus.UNKNOWN):
            row = ledger.effects.action(run.action_id)
            status = OutcomeStatus.DONE if run.status == RunStatus.DONE else OutcomeStatus.UNKNOWN
            outcome = outcome_of(ledger.effects.proposed(row), status, result=run.result)
            found.append(Answered(row.args, outcome.model_dump_json(), Egress.PROVIDER in spec.egress, keeps=True))
    return found


def _about(ledger: Ledger, event: InboxRow) -> str:
    """The proposal by hand that an event is about; empty for every other event."""
    named = str(event.payload.get("action_id", "")) if event.type == _EVENT else ""
    if not named and (review_id := str(event.payload.get("review_id", ""))):
        row = ledger.effects.action(ledger.reviews.get(review_id).action_id)
        named = str(row.args["action_id"]) if row.tool == incidents.RECONCILE else row.id
    if not named:
        return ""
    row = ledger.effects.action(named)
    while row.edited_from:
        row = ledger.effects.action(row.edited_from)
    return row.id if row.step_key.startswith(_MARK) else ""


def _reconcile(ledger: Ledger, action_id: str, reason: str) -> None:
    case = ledger.cases.get(ledger.effects.action(action_id).case_id, lock=True)
    fence.hold(case)
    incidents.ask_of_effect(ledger, case, incidents.RECONCILE, action_id, reason)
