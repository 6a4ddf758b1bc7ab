"""Passing a question on: to the next group of policy's chain, or to a named one. It is no vote, and gives none.

Whoever passes it on has no vote on the action any more, whatever other roles they have (`votes.barred`), so nobody can
hand a question to themselves. Policy's own chain takes over the seat. A group outside of it is asked as well, and the
seat stays to be filled by others: nobody gets around those whom policy asks.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.actions import ProposedAction
from core.errors import Conflict, InvalidInput
from core.people import Person
from core.verdicts import ReviewerSet
from engine.decisions import Decision
from engine.review_log import log_step
from engine.undo_window import due_again, groups_of, preface
from engine.votes import barred, unfilled, valid_voters
from ledger.database import Ledger
from ledger.desk_tables import EscalationRow
from ledger.tables import ReviewRow


def hand_on(
    ledger: Ledger,
    person: Person,
    review: ReviewRow,
    action: ProposedAction,
    decision: Decision,
    known: Mapping[str, ReviewerSet],
    request_key: str,
) -> list[str]:
    """`known` are the groups of the policy in force. Returns the groups that are asked now.

    Raises `InvalidInput` where there is no such group, `Conflict` where nobody else sits in it.
    """
    asked = ledger.reviews.asked(review)
    waiting = unfilled(asked, valid_voters(ledger, action, review), range(len(asked)))
    own = [n for n in waiting if asked[n].role in person.roles]
    if not own:
        raise InvalidInput("Your group has done its part.", field="choice", hint="Leave it to the others.")
    before = {"reviewers": list(review.reviewers)}
    n, to = _goes_to(asked, own, decision.to, known)
    _somebody_else(ledger, action, review, person, to)
    if to in asked[n].successors:
        ledger.reviews.hand_on(review, n, to)
    else:
        ledger.reviews.ask_too(review, to)
    review.claimed_by, review.claim_token, review.claimed_until = "", "", None
    row = EscalationRow(
        review_id=review.id,
        case_id=review.case_id,
        action_id=action.id,
        person=person.id,
        from_group=asked[n].group,
        to_group=to.group,
        note=decision.note,
        before=before,
        version=review.version,
        request_key=request_key,
    )
    ledger.desk_work.passed_on(row)
    review.reason = f"{preface(row)}{review.reason}"
    due_again(ledger, review)
    log_step(
        ledger,
        review,
        "review.escalated",
        by=person.id,
        late=[],
        to=to.group,
        note=decision.note,
        seen=decision.seen,
        groups=groups_of(review),
        due_at=review.due_at.isoformat(),
    )
    return groups_of(review)


def _goes_to(
    asked: tuple[ReviewerSet, ...], own: list[int], to: str, known: Mapping[str, ReviewerSet]
) -> tuple[int, ReviewerSet]:
    """Which of one's own sets is passed on, and to whom."""
    for n in own:
        for successor in asked[n].successors:
            if to in ("", successor.group):
                return n, successor
    if not to:
        raise InvalidInput(
            "Policy has nobody who takes over from your group.",
            field="to",
            hint=f"Name a group: {', '.join(sorted(known)) or 'policy knows none'}.",
        )
    if any(each.group == to for each in asked):
        raise InvalidInput(f"{to} is asked already.", field="to", hint="Leave it to them.")
    if to not in known:
        names = ", ".join(sorted(known))
        raise InvalidInput(f"Policy knows no group '{to[:60]}'.", field="to", hint=f"There are: {names}.")
    return own[0], known[to]


def _somebody_else(ledger: Ledger, action: ProposedAction, review: ReviewRow, person: Person, to: ReviewerSet) -> None:
    out = {person.id, *barred(ledger, action), *(vote.person for vote in ledger.reviews.votes(review.id))}
    able = [row for row in ledger.people.everyone() if row.active and to.role in row.roles and row.id not in out]
    if len(able) < to.people:
        raise Conflict(
            f"In {to.group} nobody else is known who could decide this, or too few.",
            hint="Choose another group, or leave it in the queue.",
            present=to.group,
        )
