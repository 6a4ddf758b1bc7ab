"""Rows of the ledger as the wire shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.actions import Effect, ToolSpec
from core.errors import NotFound
from core.money import Money
from core.people import Permission, Person, may
from core.verdicts import Fact, RuleMatch
from core.wire import REASON_CODES, ActionView, ApprovalSummary, CaseDetail, CaseSummary, CostView, PlanView, TraceEntry
from core.wire_approvals import ApprovalDetail, FactView, PassedOn, VoteView
from engine.undo_window import waits
from ledger.database import Ledger
from ledger.tables import ActionRow, CaseRow, ReviewRow, TraceRow
from serving.house import House

_LAST_STEPS = 50
_PLANS = ("plan.written", "plan.moved")


def readable(ledger: Ledger, person: Person, case_id: str) -> CaseRow:
    """The case, for whoever may read all or opened this one. Raises `NotFound`, which tells a stranger nothing."""
    case = ledger.cases.get(case_id)
    if not may(person, Permission.READ) and case.opened_by != person.id:
        raise NotFound(f"There is no case '{case_id[:60]}' of yours.")
    return case


def case_summary(ledger: Ledger, case: CaseRow) -> CaseSummary:
    groups: list[str] = []
    if case.status in ("waiting", "failed"):
        for review in ledger.reviews.of_case(case.id, only_open=True):
            groups += [str(each["group"]) for each in review.reviewers]
    return CaseSummary(
        id=case.id,
        kind=case.kind,
        status=str(case.status),
        subject=case.subject,
        outcome=case.outcome,
        problem=case.problem,
        opened_at=case.opened_at,
        closed_at=case.closed_at,
        waiting_for=sorted(set(groups)),
        simulated=case.simulated,
        forked_from=case.forked_from,
        priority=case.priority,
    )


def case_detail(house: House, ledger: Ledger, case: CaseRow) -> CaseDetail:
    return CaseDetail(
        case=case_summary(ledger, case),
        payload=case.payload,
        summary=case.summary,
        plan=plan(ledger, case.id),
        actions=[action_view(ledger, row) for row in ledger.effects.actions(case.id)],
        approvals=[approval_summary(house, ledger, row) for row in ledger.reviews.of_case(case.id)],
        costs=[
            CostView(
                component=row.component,
                amount=Money(amount_minor=row.amount_minor, currency=row.currency),
                quantity=row.quantity,
                unit=row.unit,
            )
            for row in ledger.costs.of_case(case.id)
        ],
    )


def plan(ledger: Ledger, case_id: str) -> list[PlanView]:
    """The plan as it stands: the last one that the case's log has."""
    steps: list[dict[str, str]] = []
    after = 0
    while rows := ledger.trace.of_case(case_id, after):
        for row in rows:
            if row.type in _PLANS:
                steps = row.body["steps"]
        after = int(rows[-1].seq or 0)
    return [PlanView(title=step["title"], tool=step["tool"], status=step["status"]) for step in steps]


def action_view(ledger: Ledger, row: ActionRow) -> ActionView:
    decisions = ledger.effects.decisions(row.id)
    body: dict[str, Any] = decisions[-1].body if decisions else {}
    run = ledger.effects.run(row.id)
    return ActionView(
        id=row.id,
        tool=row.tool,
        described=row.described,
        effect=row.effect,
        args=row.args,
        proposer=row.proposer,
        step_key=row.step_key,
        verdict=str(body.get("verdict", "review")),
        reason=str(body.get("reason", "")),
        rules=[RuleMatch.model_validate(match) for match in body.get("matches", ())],
        run=str(run.status) if run else "",
        result=run.result if run else {},
        edited_from=row.edited_from,
    )


def approval_summary(
    house: House, ledger: Ledger, review: ReviewRow, action: ActionRow | None = None, case: CaseRow | None = None
) -> ApprovalSummary:
    action = action or ledger.effects.action(review.action_id)
    case = case or ledger.cases.get(review.case_id)
    spec = house.tools.specs().get(action.tool)
    people = sum(int(each["people"]) for each in review.reviewers)
    money = spec.spends(spec.parse(action.args)) if spec else None
    return ApprovalSummary(
        id=review.id,
        case_id=review.case_id,
        kind=case.kind,
        subject=case.subject,
        tool=action.tool,
        described=action.described,
        money=money,
        reason=review.reason,
        groups=[str(each["group"]) for each in review.reviewers],
        roles=[str(each["role"]) for each in review.reviewers],
        people=people,
        status=str(review.status),
        opened_at=review.opened_at,
        due_at=review.due_at,
        claimed_by=review.claimed_by if _held(ledger, review) else "",
        claimed_until=review.claimed_until if _held(ledger, review) else None,
        simulated=case.simulated,
        high_risk=_high_risk(spec, people),
        undo_until=review.undo_until if waits(ledger, review) else None,
        version=review.version,
    )


def _held(ledger: Ledger, review: ReviewRow) -> bool:
    return review.claimed_until is not None and review.claimed_until > ledger.now


def _high_risk(spec: ToolSpec[Any] | None, people: int) -> bool:
    return spec is not None and spec.effect is Effect.IRREVERSIBLE and people > 1


def approval_detail(house: House, ledger: Ledger, review: ReviewRow) -> ApprovalDetail:
    action = ledger.effects.action(review.action_id)
    case = ledger.cases.get(review.case_id)
    spec = house.tools.specs().get(action.tool)
    decisions = ledger.effects.decisions(action.id)
    matches = [RuleMatch.model_validate(each) for each in (decisions[-1].body["matches"] if decisions else ())]
    facts = {path: Fact.model_validate(fact) for path, fact in review.facts.items()}
    speaks_for, speaks_against = house.kinds[case.kind].evidence(facts) if case.kind in house.kinds else ([], [])
    return ApprovalDetail(
        approval=approval_summary(house, ledger, review),
        seen=ledger.reviews.saw(review, action.args),
        args=action.args,
        args_schema=spec.args.model_json_schema() if spec else {},
        effect=action.effect,
        matches=matches,
        book={key: str(value) for key, value in review.book.items()},
        policy_since=_policy_since(house, ledger, case.kind, str(review.book.get("digest", ""))),
        facts=[
            FactView(
                path=path,
                value=fact["value"],
                source=fact["source"],
                at=fact["at"],
                witnessed=fact["witnessed"],
            )
            for path, fact in review.facts.items()
        ],
        evidence_for=speaks_for,
        evidence_against=speaks_against,
        votes=[
            VoteView(person=vote.person, choice=vote.choice, reason_code=vote.reason_code, note=vote.note, at=vote.at)
            for vote in ledger.reviews.votes(review.id)
        ],
        passed_on=[
            PassedOn(
                person=row.person,
                from_group=row.from_group,
                to_group=row.to_group,
                note=row.note,
                at=row.at,
                taken_back=row.undone_at is not None,
            )
            for row in ledger.desk_work.escalations(review.id)
        ],
        reason_codes=dict(reason_codes(house, case.kind)),
        trace=[trace_entry(row) for row in ledger.trace.last_of_case(case.id, _LAST_STEPS)],
        case=case_summary(ledger, case),
        payload=case.payload,
        plan=plan(ledger, case.id),
    )


def reason_codes(house: House, kind: str) -> Mapping[str, str]:
    """Why an action of a kind may be rejected, each code with its words."""
    return house.kinds[kind].reasons if kind in house.kinds else REASON_CODES


def _policy_since(house: House, ledger: Ledger, kind: str, digest: str) -> str:
    present = house.judge.book(kind, ledger.now)
    return f"{present.policy} {present.version}" if digest and present.digest != digest else ""


def trace_entry(row: TraceRow) -> TraceEntry:
    return TraceEntry(seq=int(row.seq or 0), case_id=row.case_id, type=row.type, body=row.body, at=row.at)
