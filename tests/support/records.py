"""Rows for stories about a ledger: one of each sort."""

from __future__ import annotations

from core.actions import ProposedAction
from core.money import Money
from core.states import RunStatus
from core.verdicts import Allow, BookRef, Review, ReviewerSet
from ledger.database import Ledger
from ledger.desk_tables import EscalationRow
from ledger.key_tables import DataKeyRow
from ledger.policy_tables import PolicyRow
from ledger.process_tables import ArrivalRow, OutboxRow, SourceRow, WorkerRow
from ledger.request_keys import RequestKeyRow
from ledger.tables import CaseRow, RunRow, VoteRow
from ledger.thread_tables import ThreadAnswerRow, ThreadEventRow, ThreadRow, ThreadRunRow, ThreadSeenRow

BOOK = BookRef(policy="p", version="1", digest="0" * 64)
DESK = ReviewerSet(group="desk", role="clerk", people=1, within_s=3600)


def open_case(ledger: Ledger, key: str | None = None, **payload: int) -> CaseRow:
    case, _ = ledger.cases.open(kind="k", payload=payload, subject="cus_1", opened_by="ann", request_key=key)
    return case


def action(case: str, step: str = "1") -> ProposedAction:
    return ProposedAction(
        workspace="default", case_id=case, kind="k", tool="t", schema_version=1, args={}, proposer="p", step_key=step
    )


def everything(ledger: Ledger) -> str:
    """Writes a row of each sort; returns the case."""
    case = open_case(ledger, "key-1")
    ledger.cases.post(case, source="api", event_id="e1", event="x", payload={})
    acted = action(case.id)
    ledger.effects.propose(acted, effect="read", described="")
    ledger.effects.decided(acted.id, "execute", Allow(reason="fine", book=BOOK))
    ledger.effects.reserve(run_of(acted, ledger))
    review = ledger.reviews.open(
        case_id=case.id, action_id=acted.id, interrupt_id="i", verdict=Review(reason="", book=BOOK, reviewers=(DESK,))
    )
    vote = VoteRow(review_id=review.id, action_id=acted.id, person="ann", choice="approve", seen="s")
    ledger.reviews.vote(vote)
    ledger.desk_work.passed_on(
        EscalationRow(
            review_id=review.id,
            case_id=case.id,
            action_id=acted.id,
            person="bo",
            from_group="a",
            to_group="b",
            version=2,
        )
    )
    ledger.desk_work.save_filter("ann", "mine", {}, "ann")
    ledger.timers.set(case_id=case.id, purpose="x", due_at=ledger.now)
    ledger.trace.add(case.id, "x", {})
    ledger.costs.post(key="c", case_id=case.id, component="x", amount=Money.zero("USD"))
    ledger.audit.append("x", {"case": case.id}, case_id=case.id)
    ledger.people.add("default", "ann", frozenset({"clerk"}))
    ledger.people.new_token("default", "ann", None)
    ledger.people.link("default", "https://issuer.example", "ann-1", "ann")
    ledger.policies.hand_in("0" * 64, {}, "ann")
    ledger.policies.trust("ann", "a public key")
    ledger.policies.publish(
        PolicyRow(kind="k", name="p", version="1", digest="0" * 64, text="", source="published", key="k")
    )
    for row in (
        WorkerRow(workspace="default", id="w", role="all", started_at=ledger.now, beat_at=ledger.now),
        OutboxRow(event_id="e", type="x", case_id=case.id, seq=1, at=ledger.now),
        SourceRow(workspace="default", source="s", case_id=case.id),
        RequestKeyRow(id="k", person="ann", request="0" * 64, begun_at=ledger.now),
        ArrivalRow(
            workspace="default",
            source="s",
            case_id=case.id,
            number=2,
            event_id="e2",
            type="x",
            received_at=ledger.now,
            due_at=ledger.now,
        ),
        DataKeyRow(workspace="default", id="k", wrapped="w", master="m", created_at=ledger.now),
        ThreadRow(workspace="default", id="t", opened_by="ann", created_at=ledger.now, updated_at=ledger.now),
        ThreadRunRow(id="r", thread_id="t", graph="g", created_at=ledger.now, updated_at=ledger.now),
        ThreadEventRow(run_id="r", seq=1, event="end", data="null"),
        ThreadAnswerRow(
            workspace="default", thread_id="t", interrupt_id="i", kind="answered", person="ann", at=ledger.now
        ),
        ThreadSeenRow(workspace="default", thread_id="t", person="ann", at=ledger.now),
    ):
        ledger.session.add(row)
    return case.id


def run_of(acted: ProposedAction, ledger: Ledger) -> RunRow:
    return RunRow(
        action_id=acted.id,
        case_id=acted.case_id,
        key=acted.effect_key,
        tool=acted.tool,
        args_digest="0",
        subject="cus_1",
        proposer=acted.proposer,
        status=RunStatus.INTENT,
        started_at=ledger.now,
    )
