"""One checker over any run: do the provider's log, the effects ledger, the approvals and the queue agree?"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator

from pydantic import BaseModel, ValidationError

from core.actions import Egress, ProposedAction
from core.errors import Conflict, Erased, NotFound
from core.ids import digest
from core.ports import LoggedCall, ProviderLog, Tools
from core.states import FINISHED, CaseStatus, ReviewStatus, RunStatus
from core.verdicts import Review
from engine.outcomes import cost_key, costs_of
from engine.reversal import SETTLED, undoing
from engine.votes import APPROVE, barred, satisfied, seats
from ledger.database import Database, Ledger
from ledger.policies import point
from ledger.tables import SYSTEM, RunRow

_PAGE = 1000


class Finding(BaseModel):
    """Something that does not add up. `what` is one of lost, duplicated, unrecorded, ungated, stuck."""

    what: str
    case_id: str
    detail: str


class Report(BaseModel):
    """What was compared, and what did not agree."""

    cases: int = 0
    unfinished: int = 0
    runs: int = 0
    provider_calls: int = 0
    findings: list[Finding] = []

    def count(self, what: str) -> int:
        return sum(finding.what == what for finding in self.findings)


class Checker:
    def __init__(self, database: Database, log: ProviderLog, tools: Tools) -> None:
        self._database = database
        self._log = log
        self._tools = tools

    async def check(self) -> Report:
        """Compares everything with everything. Raises `ProviderUnavailable`."""
        calls = [call async for call in self._calls()]
        return await self._database.read(SYSTEM, lambda ledger: self._compare(ledger, calls))

    async def _calls(self) -> AsyncIterator[LoggedCall]:
        after = 0
        while page := await self._log.log(after, _PAGE):
            for call in page:
                yield call
            after = page[-1].seq

    def _compare(self, ledger: Ledger, calls: list[LoggedCall]) -> Report:
        runs = {run.key: run for run in _runs(ledger)}
        ours = ledger.cases.known({call.case_id for call in calls})
        calls = [call for call in calls if call.case_id in ours]
        counts = ledger.cases.by_status()
        report = Report(
            cases=sum(counts.values()),
            unfinished=sum(count for status, count in counts.items() if status not in FINISHED),
            runs=len(runs),
            provider_calls=len(calls),
        )
        report.findings += self._provider_and_ledger(runs, calls)
        report.findings += [f for run in runs.values() for f in _gate(ledger, run)]
        report.findings += [f for run in runs.values() for f in self._priced(ledger, run)]
        report.findings += _taken_back(runs.values())
        report.findings += _policies(ledger, runs)
        report.findings += [
            Finding(what="stuck", case_id=case_id, detail=f"it is {status}, and nothing is going to happen to it")
            for case_id, status in ledger.cases.stuck()
        ]
        report.findings += self._left_undone(ledger, runs.values())
        report.findings += [
            Finding(what="lost", case_id=case_id, detail="it is over, and nothing tells anybody outside")
            for case_id in ledger.cases.untold()
        ]
        report.findings += [
            Finding(what="lost", case_id=run.case_id, detail=f"nobody knows what came of {run.tool}")
            for run in runs.values()
            if run.status in (RunStatus.INTENT, RunStatus.UNKNOWN) and _forgotten(ledger, run)
        ]
        return report

    def _left_undone(self, ledger: Ledger, runs: Iterable[RunRow]) -> Iterator[Finding]:
        """What a cancelled case did is taken back, or is going to be."""
        specs = self._tools.specs()
        for case_id in sorted({run.case_id for run in runs if run.status == RunStatus.DONE and not run.simulated}):
            case = ledger.cases.get(case_id)
            if case.status != CaseStatus.CANCELLED or case.erased_at is not None:
                continue
            if ledger.timers.pending(case_id) or ledger.reviews.of_case(case_id, only_open=True):
                continue
            try:
                left = [each.effect.tool for each in undoing(ledger, case, specs) if each.standing not in SETTLED]
            except (NotFound, Conflict):
                continue  # that is told of already
            if left:
                detail = f"it was cancelled, and nothing is going to take back its {', '.join(left)}"
                yield Finding(what="stuck", case_id=case_id, detail=detail)

    def _provider_and_ledger(self, runs: dict[str, RunRow], calls: list[LoggedCall]) -> Iterator[Finding]:
        done_there = {call.key for call in calls}
        for call in calls:
            run = runs.get(call.key)
            if run is None:
                detail = f"the provider did {call.operation} (its entry {call.seq}), the ledger knows nothing of it"
                yield Finding(what="unrecorded", case_id=call.case_id, detail=detail)
            elif run.simulated:
                detail = f"the provider did {call.operation} (its entry {call.seq}) for a copy of a case"
                yield Finding(what="ungated", case_id=call.case_id, detail=detail)
            elif run.status == RunStatus.FAILED:
                detail = f"the ledger says that {call.operation} failed, the provider did it (its entry {call.seq})"
                yield Finding(what="lost", case_id=call.case_id, detail=detail)
        for run in runs.values():
            spec = self._tools.specs().get(run.tool)  # none: a kind that is gone
            if run.simulated:
                continue
            if run.status == RunStatus.DONE and spec and Egress.PROVIDER in spec.egress and run.key not in done_there:
                detail = f"the ledger says that {run.tool} is done, the provider knows nothing of it"
                yield Finding(what="lost", case_id=run.case_id, detail=detail)
        same = Counter((call.case_id, call.operation, _action_key(call.key)) for call in calls)
        for (case_id, operation, _key), times in same.items():
            if times > 1:
                detail = f"{operation} happened {times} times for one action of one step"
                yield Finding(what="duplicated", case_id=case_id, detail=detail)

    def _priced(self, ledger: Ledger, run: RunRow) -> Iterator[Finding]:
        """What an effect cost was posted, also where people told that it happened."""
        spec = self._tools.specs().get(run.tool)
        if run.status != RunStatus.DONE or run.simulated or spec is None:
            return
        try:
            costs = costs_of(spec, ledger.effects.action(run.action_id).args, run.result)
        except NotFound:
            return  # that is told of already
        except ValidationError:
            if ledger.cases.get(run.case_id).erased_at is None:
                raise
            return  # nobody can say any more what it would have cost
        posted = ledger.costs.keys_of_case(run.case_id) if costs else set()
        for component in costs:
            if cost_key(run.action_id, component) not in posted:
                detail = f"{run.tool} is done, and its {component} was posted nowhere"
                yield Finding(what="unrecorded", case_id=run.case_id, detail=detail)


def _taken_back(runs: Iterable[RunRow]) -> Iterator[Finding]:
    """What takes an effect back has its effect done, in the same case, and is the only one that does."""
    by_action = {run.action_id: run for run in runs}
    seen: set[str] = set()
    for run in by_action.values():
        if not run.compensates or run.status == RunStatus.FAILED:
            continue
        effect = by_action.get(run.compensates)
        if effect is None or effect.status != RunStatus.DONE or effect.case_id != run.case_id or effect.compensates:
            detail = f"{run.tool} took something back that was not done"
            yield Finding(what="ungated", case_id=run.case_id, detail=detail)
        elif run.compensates in seen:
            yield Finding(what="duplicated", case_id=run.case_id, detail=f"{effect.tool} was taken back twice")
        seen.add(run.compensates)


def _action_key(key: str) -> str:
    """Case, plan step and action of an idempotency key, without what a storm adds when the ledger is off."""
    return ":".join(key.split(":")[:3])


def _runs(ledger: Ledger) -> Iterator[RunRow]:
    after = ""
    while page := ledger.effects.all_runs(after, _PAGE):
        yield from page
        after = page[-1].action_id


def _gate(ledger: Ledger, run: RunRow) -> Iterator[Finding]:
    """What ran was decided on right then, is what was decided on, and had the approvals that it took."""
    why = ""
    try:
        action = ledger.effects.proposed(ledger.effects.action(run.action_id))
        made = [row for row in ledger.effects.decisions(action.id) if row.stage == "execute"]
        decided = [row for row in made if row.at <= run.started_at]
        if digest(action.args) != run.args_digest:
            why = "with other arguments than those of its action"
        elif not decided or decided[-1].verdict == "deny":
            why = "and no decision let it"
        elif decided[-1].verdict == "review":
            why = _not_approved(ledger, action, run, Review.model_validate(decided[-1].body))
    except Erased:
        if ledger.cases.get(run.case_id).erased_at is None:
            why = "and the key of its case was destroyed, which has its data"
    except (NotFound, Conflict) as gone:
        why = f"and {gone.detail}"
    if why:
        yield Finding(what="ungated", case_id=run.case_id, detail=f"{run.tool} ran {why}")


def _not_approved(ledger: Ledger, action: ProposedAction, run: RunRow, verdict: Review) -> str:
    """Exactly one approval of this very action, complete, and before it ran; or why not."""
    approved = [row for row in ledger.reviews.of_action(action.id) if row.status == ReviewStatus.APPROVED]
    earlier = [row for row in approved if row.decided_at is not None and row.decided_at <= run.started_at]
    if len(earlier) != 1:
        return f"with {len(earlier)} approvals of this action before it"
    own = barred(ledger, action)
    voters = {
        vote.person: frozenset(vote.roles)
        for vote in ledger.reviews.votes(earlier[0].id)
        if vote.choice == APPROVE
        and vote.person not in own
        and vote.action_id == action.id
        and vote.at <= run.started_at
    }
    asked = seats(verdict.reviewers, ledger.reviews.asked(earlier[0]))
    return "" if satisfied(asked, voters) else "and the votes do not fill the seats that were asked for"


def _policies(ledger: Ledger, runs: dict[str, RunRow]) -> Iterator[Finding]:
    """Each version that is in force came by an action that was let, comes after the one before it, and is itself."""
    last: dict[str, str] = {}
    for row in ledger.policies.published():
        why = ""
        if row.source != "installed" and row.key not in runs:
            why = "came into force, and no action brought it"
        elif row.follows != last.get(row.kind, ""):
            why = "does not come after the one before it"
        elif hashlib.sha256(row.text.encode()).hexdigest() != row.digest:
            why = "is not what was published"
        last[row.kind] = point(row)
        if why:
            detail = f"the policy {row.name} {row.version} {why}"
            yield Finding(what="ungated", case_id=row.case_id, detail=detail)


def _forgotten(ledger: Ledger, run: RunRow) -> bool:
    """Its case is over, and no person is asked either."""
    over = ledger.cases.get(run.case_id).status in FINISHED
    return over and not ledger.reviews.of_case(run.case_id, only_open=True)
