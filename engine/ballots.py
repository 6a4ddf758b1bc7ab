"""Whether a decision may be taken up: by this person, at this moment, on what they saw, and whole. Pure checks.

And what came of one that was sent before, under the key of its request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.actions import ProposedAction, ToolSpec
from core.errors import AlreadyDecided, InvalidInput, KeyReused, LeaseLost, PreconditionFailed, StaleState
from core.people import Person
from core.states import ReviewStatus
from engine import incidents
from engine.decisions import Choice, Decided, Decision
from engine.votes import missing, require_a_vote, valid_voters
from ledger.database import Ledger
from ledger.tables import ReviewRow


def voted_on(ledger: Ledger, person: Person, review: ReviewRow) -> ProposedAction:
    """The action that an open review asks about. Raises what `require_a_vote` raises, `AlreadyDecided` also if late."""
    ledger.reviews.still_open(review)
    if review.due_at <= ledger.now:
        raise AlreadyDecided("Its time is over.", hint="It will expire in a moment.", present="expired")
    action = ledger.effects.proposed(ledger.effects.action(review.action_id))
    require_a_vote(ledger, action, review, person)
    return action


def as_it_is(ledger: Ledger, person: Person, review: ReviewRow, action: ProposedAction, decision: Decision) -> None:
    """Nobody else holds it, and it is what was looked at. Raises `Conflict`s."""
    if decision.versions is not None and review.version not in decision.versions:
        raise PreconditionFailed("It changed since.", hint="Look again.", present=str(review.version))
    held = review.claimed_until is not None and review.claimed_until > ledger.now
    if held and review.claimed_by != person.id:
        raise StaleState(f"{review.claimed_by} holds it.", hint="Take another one.", present=review.claimed_by)
    if decision.claim:
        still_ones_own(review, person, decision.claim)
    if decision.seen != ledger.reviews.saw(review, action.args):
        raise StaleState("It changed since you looked at it.", hint="Look again.", present=str(review.version))


def still_ones_own(review: ReviewRow, person: Person, token: str) -> None:
    """Raises `LeaseLost` where others had the claim since this token was given out, or its holder let go of it."""
    if (review.claimed_by, review.claim_token) != (person.id, token):
        raise LeaseLost("Your claim is over.", hint="Look at it again, and claim it anew.", present=review.claimed_by)


def whole(decision: Decision, action: ProposedAction) -> None:
    """Raises `InvalidInput` where something is missing that this choice needs, or the choice itself."""
    match decision.choice:
        case Choice.REJECT if not decision.reason_code:
            raise InvalidInput("A rejection needs a reason code.", field="reason_code", hint="Give one.")
        case Choice.EDIT if action.proposer == incidents.HOUSE or decision.args is None:
            raise InvalidInput("Nothing can be edited here.", field="args", hint="Approve or reject it.")
        case Choice.RESPOND if action.proposer == incidents.HOUSE:
            raise InvalidInput("The house asks, no agent.", field="choice", hint="Approve or reject it.")
        case Choice.ESCALATE if action.tool in incidents.QUESTIONS:
            raise InvalidInput("The house asks its operators.", field="choice", hint="Approve or reject it.")
        case Choice.RESPOND | Choice.ESCALATE if not decision.note.strip():
            raise InvalidInput("It needs your words.", field="note", hint="Say what others have to know.")
        case _:
            pass


def earlier(
    ledger: Ledger, specs: Mapping[str, ToolSpec[Any]], person: Person, review_id: str, decision: Decision, key: str
) -> Decided | None:
    """What came of the decision that this request sent before, if it did. Raises `KeyReused`."""
    review = ledger.reviews.get(review_id)
    vote = next((v for v in ledger.reviews.votes(review_id) if v.person == person.id and v.request_key == key), None)
    if vote is not None:
        before = (vote.choice, vote.reason_code, vote.note, vote.seen)
        same = before == (decision.choice, decision.reason_code, decision.note, decision.seen)
        if decision.choice is Choice.EDIT and same:
            edited = ledger.effects.action(str(review.edited_to))
            same = specs[edited.tool].parse(decision.args or {}).model_dump(mode="json") == edited.args
    else:
        passed = [row for row in ledger.desk_work.escalations(review_id) if row.person == person.id]
        sent = next((row for row in passed if row.request_key == key), None)
        if sent is None:
            return None
        same = (Choice.ESCALATE, sent.note) == (decision.choice, decision.note) and decision.to in ("", sent.to_group)
    if not same:
        raise KeyReused(f"'{key[:60]}' was the key of another decision.", hint="Use a new key.")
    for following in ledger.reviews.of_action(review.edited_to or ""):
        review = following
    action = ledger.effects.proposed(ledger.effects.action(review.edited_to or review.action_id))
    is_open = review.status == ReviewStatus.OPEN
    waiting = missing(ledger.reviews.asked(review), valid_voters(ledger, action, review)) if is_open else []
    status = ReviewStatus(review.status)
    return Decided(review_id=review.id, status=status, action_id=action.id, waiting_for=waiting)
