"""How a proposal by hand stands, read from the rows of policy, people and the executor. Pure."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel

from core.actions import JSON
from core.states import FINISHED, ReviewStatus, RunStatus
from engine.rulings import ruling
from ledger.database import Ledger
from ledger.tables import ActionRow, ReviewRow


class Stage(StrEnum):
    """How far a proposal has come."""

    DONE = "done"
    ACCEPTED = "accepted"  # policy lets it: the case's next segment carries it out
    WAITING = "waiting"  # for people
    DENIED = "denied"  # by policy
    REFUSED = "refused"  # by people, or nobody decided in time
    ANSWERED = "answered"  # people answered with words instead: nothing is done
    FAILED = "failed"  # the provider said no: nothing happened there
    UNKNOWN = "unknown"  # it may have happened: people look there


UNSETTLED = frozenset({Stage.ACCEPTED, Stage.WAITING})


class Handed(BaseModel):
    """What came of a proposal, so far."""

    status: Stage
    tool: str
    action: str
    """Its id. Of a read nothing is kept under it."""
    described: str = ""
    reason: str = ""
    """What policy, people or the provider said."""
    rules: list[str] = []
    """The rules of policy that matched."""
    approval: str = ""
    """The question that waits for people."""
    waiting_for: list[str] = []
    """Whose roles it waits for."""
    result: dict[str, JSON] = {}


_OF_RUN = {RunStatus.DONE: Stage.DONE, RunStatus.FAILED: Stage.FAILED, RunStatus.UNKNOWN: Stage.UNKNOWN}


def last_asked(ledger: Ledger, action_id: str) -> ReviewRow | None:
    """The last question about a proposal, or about what people made of it."""
    found = None
    while reviews := ledger.reviews.of_action(action_id):
        found = reviews[-1]
        action_id = found.edited_to or ""
    return found


def standing_of(ledger: Ledger, row: ActionRow) -> Handed:
    decision = ledger.effects.decisions(row.id)[-1]
    rules = [str(match["rule"]) for match in decision.body["matches"] if not match["monitor"]]
    told = Handed(
        status=Stage.ACCEPTED,
        tool=row.tool,
        action=row.id,
        described=row.described,
        reason=str(decision.body["reason"]),
        rules=rules,
    )
    run = ledger.effects.run(row.id)
    if run is not None and run.status != RunStatus.INTENT:
        reason = run.reason or told.reason
        return told.model_copy(
            update={"status": _OF_RUN[RunStatus(run.status)], "result": run.result, "reason": reason}
        )
    if decision.verdict == "deny":
        return told.model_copy(update={"status": Stage.DENIED})
    reviews = ledger.reviews.of_action(row.id)
    if reviews:
        review = reviews[-1]
        match ReviewStatus(review.status):
            case ReviewStatus.OPEN:
                roles = [str(each["role"]) for each in review.reviewers]
                return told.model_copy(
                    update={
                        "status": Stage.WAITING,
                        "approval": review.id,
                        "waiting_for": roles,
                        "reason": review.reason,
                    }
                )
            case ReviewStatus.REJECTED | ReviewStatus.EXPIRED | ReviewStatus.SUPERSEDED | ReviewStatus.RESPONDED:
                outcome = ruling(ledger, row.id).outcome
                reason = outcome.reason if outcome is not None else ""
                if review.status == ReviewStatus.SUPERSEDED and ledger.cases.get(row.case_id).status not in FINISHED:
                    reason = (
                        "the question was withdrawn, as the case moved on: propose it again, and people are asked anew"
                    )
                stage = Stage.ANSWERED if review.status == ReviewStatus.RESPONDED else Stage.REFUSED
                return told.model_copy(update={"status": stage, "reason": reason, "approval": review.id})
            case ReviewStatus.EDITED:
                following = standing_of(ledger, ledger.effects.action(str(review.edited_to)))
                return following.model_copy(update={"reason": following.reason or "people changed its arguments"})
            case ReviewStatus.APPROVED:
                return told.model_copy(update={"approval": review.id})
    if ledger.cases.get(row.case_id).status in FINISHED:
        return told.model_copy(update={"status": Stage.REFUSED, "reason": "the case was over before it was done"})
    return told
