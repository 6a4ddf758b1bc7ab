"""Casting a ballot, and what came of it in words: every way it can end is one of these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.errors import Conflict, CountersignError, Forbidden, InvalidInput, OutcomeUnknown
from core.states import ReviewStatus
from desk.ballots import Ballot, Unanswered
from desk.client import DeskClient


class Result(StrEnum):
    DECIDED = "decided"
    COUNTED = "counted"  # a vote among several; others have to follow
    CONFLICT = "conflict"  # somebody or something was faster
    REFUSED = "refused"  # the vote is not acceptable, or not from this person
    UNKNOWN = "unknown"  # it may have counted: the same ballot may be sent again


@dataclass(frozen=True)
class Outcome:
    result: Result
    text: str
    status: str = ""
    """What the approval became, when it left the queue."""


_DONE = {
    "approve": ReviewStatus.APPROVED,
    "reject": ReviewStatus.REJECTED,
    "edit": ReviewStatus.EDITED,
    "respond": ReviewStatus.RESPONDED,
}


async def cast(client: DeskClient, meant: Ballot, unanswered: Unanswered) -> Outcome:
    """Sends it, under the key of an unanswered one that says the same. Never raises what a server can answer."""
    sent = unanswered.same(meant)
    try:
        decided = await client.decide(sent)
    except OutcomeUnknown as error:
        unanswered.keep(sent)
        return Outcome(Result.UNKNOWN, f"{error.detail} It may have counted: the same key sends the same vote again.")
    except Conflict as error:
        unanswered.settle(sent.approval)
        return Outcome(Result.CONFLICT, str(error))
    except Forbidden as error:
        role = str(error.extra.get("missing_role", ""))
        missing = f" Missing role: {role}." if role and role not in error.detail else ""
        return Outcome(Result.REFUSED, f"{error}{missing}")
    except InvalidInput as error:
        return Outcome(Result.REFUSED, f"{error}{f' ({error.field})' if error.field else ''}")
    except CountersignError as error:
        return Outcome(Result.REFUSED, str(error))
    unanswered.settle(sent.approval)
    waiting = ", ".join(decided.waiting_for)
    done = _DONE[sent.decide.choice]
    if decided.approval != sent.approval:
        return Outcome(Result.DECIDED, f"Edited. Now it waits for {waiting or 'somebody else'}.", done.value)
    if decided.status == ReviewStatus.OPEN:
        return Outcome(Result.COUNTED, f"Your vote counts. It still waits for {waiting or 'others'}.")
    return Outcome(Result.DECIDED, f"{decided.status.capitalize()}.", decided.status)
