"""The customer writes again while their case is open: what was planned before may not go on as if they had not.

In one transaction their words go into the case's inbox, every question that waits is superseded, and every approval
that has not run is taken back. Each such question wakes its graph like any other answer; the agent reads the words and
plans anew. What was proposed before them can't run either, asked about or not: the executor looks (`overtaken`).
What the house itself has to know, such as what came of a call at a provider, stays open.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from pydantic import BaseModel, Field

from core.actions import ProposedAction
from core.errors import Busy
from core.model_call import MODEL_CALL
from core.states import FINISHED, ReviewStatus
from engine import incidents
from ledger.database import Ledger
from ledger.tables import CaseRow, InboxRow

WROTE = "customer.wrote"
"""The event, in the inbox and in the trace. Its data is the customer's word and nothing else."""
WHY = "the customer wrote again"
_NOT_THE_PLAN = incidents.QUESTIONS | {MODEL_CALL}
"""What the house asks for itself: answered, it holds whatever the customer wrote."""
MOST = 50
"""What one customer may write in one case."""
_HEARD = "heard"
"""In the event's payload: the turn of the agent in which it was read."""


class Words(BaseModel):
    """What a customer writes in a case that is open."""

    key: str = Field(min_length=1, max_length=200)
    """The sender's own name for this message: the same one is taken once."""
    text: str = Field(min_length=1, max_length=20_000, pattern=r"^[^\x00]*$")


class Taken(BaseModel):
    """What became of a message."""

    case_id: str
    status: str
    new: bool
    """False where it was here before."""
    superseded: list[str] = []
    """The reviews that it put an end to."""


class Heard(BaseModel):
    """One message of the customer, as the agent gets it."""

    seq: int
    text: str
    at: datetime


def take(ledger: Ledger, case: CaseRow, words: Words, by: str) -> Taken:
    """Into the inbox of an open case; one that is over stays so. Raises `Busy` where somebody writes without end."""
    name = f"{case.id}:{hashlib.sha256(words.key.encode()).hexdigest()[:32]}"
    earlier = ledger.cases.said(case.id)
    taken = Taken(case_id=case.id, status=str(case.status), new=False)
    if case.status in FINISHED or any(each.event_id == name for each in earlier):
        return taken
    if len(earlier) >= MOST:
        raise Busy("Too much was written in this case.", retry_after=3600, hint="Wait for an answer.")
    ledger.cases.post(case, source="customer", event_id=name, event=WROTE, payload={"text": words.text, "by": by})
    ended = overtake(ledger, case)
    body = {"by": by, "message": words.key, "superseded": ended}
    told = hashlib.sha256(words.text.encode()).hexdigest()
    ledger.audit.append(WROTE, {**body, "sha256": told}, case_id=case.id)
    ledger.trace.add(case.id, WROTE, {**body, "text": words.text})
    return taken.model_copy(update={"new": True, "superseded": ended})


def overtake(ledger: Ledger, case: CaseRow) -> list[str]:
    """Ends every question of the agent's, and every approval of one that has not run. Returns their ids."""
    ended: list[str] = []
    for review in ledger.reviews.of_case(case.id):
        if review.status not in (ReviewStatus.OPEN, ReviewStatus.APPROVED):
            continue
        action = ledger.effects.action(review.action_id)
        ran = review.status == ReviewStatus.APPROVED and ledger.effects.run(action.id) is not None
        if ran or action.tool in _NOT_THE_PLAN:
            continue
        ledger.reviews.settle(review, ReviewStatus.SUPERSEDED)
        ledger.timers.cancel(review_id=review.id)
        body = {"review": review.id, "action": action.id, "reason": WHY}
        ledger.audit.append("review.superseded", body, case_id=case.id)
        ledger.trace.add(case.id, "review.superseded", body)
        ledger.outbox.tell(case, "review.decided", {"review": review.id, "status": str(review.status)})
        wakes = {"review_id": review.id, "interrupt_id": review.interrupt_id}
        name = f"{review.id}:{review.status}:{review.version}"
        ledger.cases.post(case, source="desk", event_id=name, event="review.decided", payload=wakes)
        ended.append(review.id)
    return ended


def taken_up(ledger: Ledger, case: CaseRow, event: InboxRow) -> None:
    """A segment begins with this event: what was asked since the words came in, and before they were read, ends too."""
    if event.type == WROTE and _HEARD not in event.payload:
        overtake(ledger, case)


def overtaken(ledger: Ledger, action: ProposedAction) -> bool:
    """Whether the customer wrote after the agent had planned this action.

    By turns and not by the time: a power cut may take a graph back to before it read what the ledger says it has.
    """
    turn = action.step_key.partition(".")[0]
    if not turn.isdigit():
        return False  # the house's own
    return any(each.payload.get(_HEARD, int(turn) + 1) > int(turn) for each in ledger.cases.said(action.case_id))


def unheard(ledger: Ledger, case_id: str, after: int) -> bool:
    return any(each.seq > after for each in ledger.cases.said(case_id))


def hear(ledger: Ledger, case_id: str, after: int, turn: int) -> list[Heard]:
    """What the customer wrote since the message with this number, in order; from now on it counts as read."""
    found = [each for each in ledger.cases.said(case_id) if each.seq > after]
    for each in found:
        each.payload = {**each.payload, _HEARD: turn}
        ledger.session.add(each)
    return [Heard(seq=each.seq, text=str(each.payload.get("text", "")), at=each.received_at) for each in found]
