"""What takes an effect back: which of a case's effects can be, by which action, and where that stands. Pure rules.

A compensation is an action of its own, proposed by the house alone. It is named after what it takes back, and holds
nothing but what the tool's declaration makes of the effect's arguments and result: whoever writes another one into the
store gets nothing run. The second guard (`ledger/guards.py`) asks for the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import ValidationError

from core.actions import ProposedAction, ToolSpec
from core.errors import InvalidInput
from core.states import FINISHED, CaseStatus, ReviewStatus, RunStatus
from engine import incidents
from ledger.database import Ledger
from ledger.tables import ActionRow, CaseRow, ReviewRow, RunRow

Specs = Mapping[str, ToolSpec[Any]]

_MARK, _NAMED = "undo-", 32
"""Its step is `undo-<the beginning of the effect's id>-<which attempt>`."""


UNDO_TIMER = "case.undo"
WANTED = "case.undo_wanted"
_LOOK_AGAIN = timedelta(seconds=30)
"""What a process left unfinished, or what nobody could tell yet, is looked at again after this."""


class Standing(StrEnum):
    """Where the compensation of one effect stands."""

    TAKEN_BACK = "taken_back"
    LEFT = "left"  # people let it stand
    TO_PROPOSE = "to_propose"
    TO_RUN = "to_run"
    TO_ASK = "to_ask"  # policy lets it, if people do: a question has to be opened
    FAILED = "failed"  # people are to be asked what now
    UNKNOWN = "unknown"  # it, or the effect itself, may have happened: people are to look there
    WAITING = "waiting"  # for people
    UNSETTLED = "unsettled"  # nobody knows yet whether the effect itself happened


SETTLED = frozenset({Standing.TAKEN_BACK, Standing.LEFT})
"""Nothing is left to do about it."""


class Undo(NamedTuple):
    """An effect of a case, and how it is taken back."""

    effect: ActionRow
    standing: Standing
    action: ProposedAction | None = None
    """The compensation: the one to propose, or the last one that was proposed."""
    why: str = ""


def takes_back(action: ProposedAction) -> str:
    """The beginning of the id of the effect that it takes back; empty for every other action."""
    if action.proposer != incidents.HOUSE or not action.step_key.startswith(_MARK):
        return ""
    return action.step_key[len(_MARK) : len(_MARK) + _NAMED]


def original(ledger: Ledger, action: ProposedAction, specs: Specs) -> tuple[RunRow | None, str]:
    """What a compensation takes back, or why it may not: it isn't what the tool's declaration makes of the effect."""
    named = takes_back(action)
    run = next((row for row in ledger.effects.runs(action.case_id) if row.action_id.startswith(named)), None)
    if run is None or run.status != RunStatus.DONE or run.simulated or run.compensates:
        return None, "what it takes back was not done"
    effect = ledger.effects.action(run.action_id)
    declared, why = _derived(specs, effect, run)
    if declared is None or (action.tool, action.args) != declared:
        return None, why or "it is not what takes this effect back"
    if ledger.cases.get(action.case_id).status not in FINISHED:
        return None, "the case still goes on"
    if any(each.compensates == run.action_id and each.status != RunStatus.FAILED for each in _runs(ledger, action)):
        return None, "it was taken back already"
    return run, ""


def _runs(ledger: Ledger, action: ProposedAction) -> Iterator[RunRow]:
    return (row for row in ledger.effects.runs(action.case_id) if row.action_id != action.id)


def _derived(specs: Specs, effect: ActionRow, run: RunRow) -> tuple[tuple[str, dict[str, Any]] | None, str]:
    """Tool and arguments of what takes the effect back; or why nothing can be made."""
    spec = specs.get(effect.tool)
    if spec is None or spec.compensated_by is None or spec.compensated_by.tool not in specs:
        return None, f"nothing takes {effect.tool} back"
    back = spec.compensated_by
    try:
        asked, answered = spec.parse(effect.args), spec.result.model_validate(run.result)
        args = specs[back.tool].parse(back.args(asked, answered)).model_dump(mode="json")
    except (ValidationError, InvalidInput, AttributeError) as unfit:  # its result is not what its schema says
        return None, f"what {effect.tool} answered is not known well enough: {str(unfit).splitlines()[0]}"
    return (back.tool, args), ""


def undoing(ledger: Ledger, case: CaseRow, specs: Specs) -> list[Undo]:
    """What a finished case did that can be taken back, the last effect first, and where each stands."""
    if case.simulated:
        return []
    runs = [run for run in ledger.effects.runs(case.id) if not run.compensates and not run.simulated]
    runs = [run for run in runs if _reversible(specs, run)]
    runs.sort(key=lambda run: (run.finished_at or ledger.now, run.started_at, _turn(run)), reverse=True)
    let_be: set[str] = set()
    found = []
    for run in runs:
        if run.status == RunStatus.FAILED:
            continue
        undo = _standing(ledger, case, specs, run, let_be)
        if undo.standing is Standing.LEFT and undo.action is not None:
            let_be.add(_thing(specs, run.tool, undo.action.args))
        found.append(undo)
    return found


def _turn(run: RunRow) -> list[int]:
    """Its place in the plan, where the clock tells nothing: turn and number within it."""
    return [int(number) for number in re.findall(r"\d+", run.key.split(":")[1])]


def _standing(ledger: Ledger, case: CaseRow, specs: Specs, run: RunRow, let_be: set[str]) -> Undo:
    effect = ledger.effects.action(run.action_id)
    if run.status == RunStatus.UNKNOWN:
        return Undo(effect, _when_known(ledger, case, run.action_id), why=run.reason)
    if run.status != RunStatus.DONE:
        return Undo(effect, Standing.UNSETTLED)
    last = _attempts(ledger, run)[-1:]
    declared, why = _derived(specs, effect, run)
    if declared is None:
        asked = _asked(ledger, case, incidents.UNDO, run.action_id)
        return Undo(effect, _after_asking(asked, Standing.WAITING, Standing.LEFT), why=why)
    tool, args = declared
    thing = _thing(specs, run.tool, args)
    for other in ledger.effects.runs(case.id):
        done = other.status == RunStatus.DONE and not other.simulated and other.tool == tool
        after = other.compensates == run.action_id or (other.finished_at or ledger.now) >= (
            run.finished_at or ledger.now
        )
        if done and after and other.action_id != run.action_id:
            its = ledger.effects.proposed(ledger.effects.action(other.action_id))
            if _thing(specs, run.tool, its.args) == thing:
                return Undo(effect, Standing.TAKEN_BACK, its)
    if thing in let_be:
        return Undo(effect, Standing.LEFT)
    if not last:
        return Undo(effect, Standing.TO_PROPOSE, _proposal(case, run, specs[tool], args, 1))
    tried = ledger.effects.proposed(last[0])
    standing, why = _of_attempt(ledger, case, tried)
    if standing is not Standing.FAILED:
        return Undo(effect, standing, tried, why)
    asked = _asked(ledger, case, incidents.UNDO, tried.id)
    standing = _after_asking(asked, Standing.WAITING, Standing.LEFT, Standing.TO_PROPOSE)
    if standing is Standing.TO_PROPOSE:
        tried = _proposal(case, run, specs[tool], args, len(_attempts(ledger, run)) + 1)
    return Undo(effect, standing, tried, why)


def _of_attempt(ledger: Ledger, case: CaseRow, action: ProposedAction) -> tuple[Standing, str]:
    run = ledger.effects.run(action.id)
    if run is not None:
        match RunStatus(run.status):
            case RunStatus.DONE:
                return Standing.TAKEN_BACK, ""
            case RunStatus.FAILED:
                return Standing.FAILED, run.reason
            case RunStatus.INTENT:
                return Standing.TO_RUN, ""
            case RunStatus.UNKNOWN:
                return _when_known(ledger, case, action.id), run.reason
    decision = ledger.effects.decisions(action.id)[-1]
    reason = str(decision.body["reason"])
    if decision.verdict == "deny":
        return Standing.FAILED, reason
    reviews = ledger.reviews.of_action(action.id)
    if not reviews:
        return (Standing.TO_ASK if decision.verdict == "review" else Standing.TO_RUN), reason
    match ReviewStatus(reviews[-1].status):
        case ReviewStatus.OPEN:
            return Standing.WAITING, reason
        case ReviewStatus.APPROVED:
            return Standing.TO_RUN, reason
        case ReviewStatus.SUPERSEDED:
            return Standing.TO_ASK, reason
        case ReviewStatus.REJECTED | ReviewStatus.RESPONDED | ReviewStatus.EXPIRED | ReviewStatus.EDITED:
            return Standing.LEFT, "people refused it"


def _attempts(ledger: Ledger, run: RunRow) -> list[ActionRow]:
    """The compensations of an effect that were proposed, in order."""
    mine = f"{_MARK}{run.action_id[:_NAMED]}-"
    rows = [row for row in ledger.effects.actions(run.case_id) if row.step_key.startswith(mine)]
    return sorted(
        (row for row in rows if row.proposer == incidents.HOUSE), key=lambda row: int(row.step_key[len(mine) :])
    )


def _proposal(case: CaseRow, run: RunRow, spec: ToolSpec[Any], args: dict[str, Any], attempt: int) -> ProposedAction:
    return ProposedAction(
        workspace=case.workspace,
        case_id=case.id,
        kind=case.kind,
        tool=spec.name,
        schema_version=spec.version,
        args=args,
        proposer=incidents.HOUSE,
        step_key=f"{_MARK}{run.action_id[:_NAMED]}-{attempt}",
    )


def _thing(specs: Specs, tool: str, args: Mapping[str, Any]) -> str:
    """What is taken back, as the declaration names it, and by which tool."""
    back = specs[tool].compensated_by
    assert back is not None
    return f"{back.tool} {json.dumps(back.thing(args), sort_keys=True)}"


def _asked(ledger: Ledger, case: CaseRow, tool: str, about: str) -> ReviewRow | None:
    """The house's last question about an action."""
    for row in reversed(ledger.effects.actions(case.id)):
        if (row.tool, row.proposer, row.args.get("action_id")) == (tool, incidents.HOUSE, about):
            return ledger.reviews.of_action(row.id)[-1]
    return None


def _when_known(ledger: Ledger, case: CaseRow, about: str) -> Standing:
    """Where a run stands of which nobody knows what came of it. What people said is not written to it yet."""
    asked = _asked(ledger, case, incidents.RECONCILE, about)
    status = ReviewStatus(asked.status) if asked is not None else ReviewStatus.SUPERSEDED
    match status:
        case ReviewStatus.OPEN:
            return Standing.WAITING
        case ReviewStatus.APPROVED | ReviewStatus.REJECTED | ReviewStatus.RESPONDED | ReviewStatus.EDITED:
            return Standing.UNSETTLED
        case ReviewStatus.EXPIRED:
            return Standing.LEFT
        case ReviewStatus.SUPERSEDED:
            return Standing.UNKNOWN


def not_asked_about(ledger: Ledger, case: CaseRow, specs: Specs) -> list[RunRow]:
    """Effects that nothing takes back, of which nobody knows whether they happened: no question says so yet."""
    return [
        run
        for run in ledger.effects.runs(case.id)
        if run.status == RunStatus.UNKNOWN
        and not (run.simulated or run.compensates or _reversible(specs, run))
        and _when_known(ledger, case, run.action_id) is Standing.UNKNOWN
    ]


def in_the_air(ledger: Ledger, case: CaseRow) -> bool:
    """Whether a call is still out of which nobody has heard: people may have to be asked about it."""
    return any(run.status == RunStatus.INTENT and not run.simulated for run in ledger.effects.runs(case.id))


def _reversible(specs: Specs, run: RunRow) -> bool:
    return (spec := specs.get(run.tool)) is not None and spec.compensated_by is not None


def _after_asking(
    asked: ReviewRow | None,
    waiting: Standing,
    no: Standing,
    yes: Standing | None = None,
) -> Standing:
    if asked is None:
        return Standing.FAILED
    if asked.status == ReviewStatus.OPEN:
        return waiting
    return yes if yes is not None and asked.status == ReviewStatus.APPROVED else no


# when it is gone about


def ended_by_people(ledger: Ledger, case: CaseRow) -> None:
    """A case ends before its work was done. Called in the transaction that ends it."""
    unsettled = (RunStatus.DONE, RunStatus.INTENT, RunStatus.UNKNOWN)
    if not case.simulated and any(run.status in unsettled for run in ledger.effects.runs(case.id)):
        wake(ledger, case)


def answered(ledger: Ledger, case: CaseRow, asked: ActionRow) -> None:
    """People decided something of a case that is over: if what it did is being taken back, that goes on."""
    ours = asked.tool in (incidents.UNDO, incidents.RECONCILE) or asked.step_key.startswith(_MARK)
    if ours and (case.status == CaseStatus.CANCELLED or _wanted(ledger, case)):
        wake(ledger, case)


def _wanted(ledger: Ledger, case: CaseRow) -> bool:
    """Whether an operator asked for it, where the case has closed."""
    return any(entry.type == WANTED for entry in ledger.audit.entries(case_id=case.id, limit=100_000))


def wake(ledger: Ledger, case: CaseRow) -> None:
    """The sweeper's next round goes on with it."""
    if not any(timer.purpose == UNDO_TIMER and timer.due_at <= ledger.now for timer in ledger.timers.pending(case.id)):
        ledger.timers.set(case_id=case.id, purpose=UNDO_TIMER, due_at=ledger.now)


def fired(ledger: Ledger, case: CaseRow) -> bool:
    """Whether there is something to go on with. If this process dies on the way, another timer brings it back."""
    if case.status not in FINISHED:
        return False
    ledger.timers.set(case_id=case.id, purpose=UNDO_TIMER, due_at=ledger.now + _LOOK_AGAIN)
    return True
