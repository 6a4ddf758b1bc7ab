"""One case through the house, answered by a scripted reviewer. Knows no suite and no engine of suites.

result = await run_case(house, Case(kind="returns", payload={...}), REVIEWERS["approve-all"])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from core.actions import JSON, Effect
from core.people import Person
from core.states import FINISHED, CaseStatus, RunStatus
from engine import incidents
from evals.reviewers import Reviewer
from ledger.database import Ledger
from serving.house import House

_MOST_REVIEWS = 500
"""More than any case has: facts that never stop moving would ask people for ever."""


@dataclass(frozen=True)
class Case:
    kind: str
    payload: dict[str, JSON]
    workspace: str = "default"
    """A workspace of its own keeps a case out of the counts of all others."""


class ProposedCall(BaseModel):
    """A call that the agent proposed: what policy said, whom it asked, and what came of it."""

    tool: str
    args: dict[str, JSON]
    effect: Effect
    verdict: str
    rules: list[str]
    reason: str
    asked: list[str] = []
    """Groups of reviewers."""
    run: RunStatus | None = None
    """Of an effect; None if it never began."""


class CaseResult(BaseModel):
    case_id: str
    status: CaseStatus
    outcome: str
    problem: str = ""
    """Why the case could not go on, where it could not."""
    calls: list[ProposedCall] = []
    reviews: int = 0
    votes: int = 0

    @property
    def writes(self) -> list[ProposedCall]:
        return [call for call in self.calls if call.effect is not Effect.READ]


async def run_case(house: House, case: Case, reviewer: Reviewer) -> CaseResult:
    """Submits it and answers every review until it is finished or can't go on."""
    submitter = Person(id="suite", workspace=case.workspace, roles=frozenset({"service"}))
    row, _ = await house.submit(submitter, case.kind, case.payload)
    return await attend(house, case.workspace, row.id, reviewer)


async def attend(house: House, workspace: str, case_id: str, reviewer: Reviewer) -> CaseResult:
    """Answers what a case waits for, from wherever it stands."""
    answered: set[str] = set()
    votes = 0
    while waiting := await _rest(house, workspace, case_id):
        if len(answered) > _MOST_REVIEWS or answered & set(waiting):
            break
        for review_id in waiting:
            answered.add(review_id)
            votes += await reviewer.answer(house, workspace, review_id)
    return await house.database.read(
        workspace, lambda ledger: _result(ledger, house, case_id).model_copy(update={"votes": votes})
    )


async def _rest(house: House, workspace: str, case_id: str) -> list[str]:
    """Waits until nobody works on the case; the reviews that then wait for people of the business."""
    while True:
        news = house.stream.ticket()
        waiting = await house.database.read(workspace, lambda ledger: _waiting(ledger, case_id))
        if waiting is not None:
            return waiting
        await news.wait()


def _waiting(ledger: Ledger, case_id: str) -> list[str] | None:
    case = ledger.cases.get(case_id)
    if case.status in FINISHED or case.status == CaseStatus.FAILED:
        return []
    if case.status != CaseStatus.WAITING or ledger.cases.unprocessed(case_id):
        return None
    reviews = ledger.reviews.of_case(case_id, only_open=True)
    return [each.id for each in reviews if ledger.effects.action(each.action_id).proposer != incidents.HOUSE]


def _result(ledger: Ledger, house: House, case_id: str) -> CaseResult:
    case = ledger.cases.get(case_id)
    return CaseResult(
        case_id=case_id,
        status=case.status,
        outcome=case.outcome,
        problem=case.problem if case.status not in FINISHED else "",
        calls=[_call(ledger, house, body) for body in _judged(ledger, case_id)],
        reviews=len(ledger.reviews.of_case(case_id)),
    )


def _judged(ledger: Ledger, case_id: str) -> list[dict[str, Any]]:
    found, after = list[dict[str, Any]](), 0
    while page := ledger.trace.of_case(case_id, after):
        found += [entry.body for entry in page if entry.type == "action.judged"]
        after = page[-1].seq or after
    return found


def _call(ledger: Ledger, house: House, judged: dict[str, Any]) -> ProposedCall:
    run = ledger.effects.run(judged["action"])
    reviews = ledger.reviews.of_action(judged["action"])
    return ProposedCall(
        tool=judged["tool"],
        args=judged["args"],
        effect=house.tools.specs()[judged["tool"]].effect,
        verdict=judged["verdict"],
        rules=judged["rules"],
        reason=judged["reason"],
        asked=list(dict.fromkeys(each.group for review in reviews for each in ledger.reviews.asked(review))),
        run=RunStatus(run.status) if run else None,
    )
