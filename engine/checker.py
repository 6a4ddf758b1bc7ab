"""One checker over any run: do the provider's log, the effects ledger, the approvals and the queue agree?"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator

from pydantic import BaseModel

from core.actions import Egress, ProposedAction
from core.errors import Conflict, NotFound
from core.ids import digest
from core.ports import LoggedCall, ProviderLog, Tools
from core.states import FINISHED, ReviewStatus, RunStatus
from core.verdicts import Review
from engine.votes import APPROVE, barred, satisfied, seats
from ledger.database import Database, Ledger
from ledger.policies import point
from ledger.tables import SYSTEM, CaseRow, RunRow

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
        unfinished = ledger.cases.unfinished()
        report = Report(
            cases=sum(ledger.cases.by_status().values()),
            unfinished=len(unfinished),
            runs=len(runs),
            provider_calls=len(calls),
        )
        report.findings += self._provider_and_ledger(runs, calls)
        report.findings += [f for run in runs.values() for f in _gate(ledger, run)]
        report.findings += _policies(ledger, runs)
        report.findings += [f for case in unfinished for f in _stuck(ledger, case)]
        report.findings += [
            Finding(what="lost", case_id=run.case_id, detail=f"nobody knows what came of {run.tool}")
            for run in runs.values()
            if run.status in (RunStatus.INTENT, RunStatus.UNKNOWN) and _forgotten(ledger, run)
        ]
        return report

    def _provider_and_ledger(self, runs: dict[str, RunRow], calls: list[LoggedCall]) -> Iterator[Finding]:
        done_there = {call.key for call in calls}
        for call in calls:
            run = runs.get(call.key)
            if run is None:
                detail = f"the provider did {call.operation} (its entry {call.seq}), the ledger knows nothing of it"
                yield Finding(what="unrecorded", case_id=call.case_id, detail=detail)
            elif run.status == RunStatus.FAILED:
                detail = f"the ledger says that {call.operation} failed, the provider did it (its entry {call.seq})"
                yield Finding(what="lost", case_id=call.case_id, detail=detail)
        for run in runs.values():
            spec = self._tools.specs().get(run.tool)  # none: a kind that is gone
            if run.status == RunStatus.DONE and spec and Egress.PROVIDER in spec.egress and run.key not in done_there:
                detail = f"the ledger says that {run.tool} is done, the provider knows nothing of it"
                yield Finding(what="lost", case_id=run.case_id, detail=detail)
        same = Counter((call.case_id, call.operation, _action_key(call.key)) for call in calls)
        for (case_id, operation, _key), times in same.items():
            if times > 1:
                detail = f"{operation} happened {times} times for one action of one step"
                yield Finding(what="duplicated", case_id=case_id, detail=detail)


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


def _stuck(ledger: Ledger, case: CaseRow) -> Iterator[Finding]:
    waits = (
        ledger.reviews.of_case(case.id, only_open=True)
        or ledger.timers.pending(case.id)
        or ledger.cases.unprocessed(case.id)
    )
    if not waits:
        detail = f"it is {case.status}, and nothing is going to happen to it"
        yield Finding(what="stuck", case_id=case.id, detail=detail)
