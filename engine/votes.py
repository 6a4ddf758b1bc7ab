"""Do these votes carry this action? Asked when a person votes, and again when the action is about to run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.actions import ProposedAction
from core.errors import NotFound
from core.states import ReviewStatus
from core.verdicts import Review, ReviewerSet
from engine import incidents
from ledger.database import Ledger
from ledger.tables import ReviewRow, VoteRow

APPROVE = "approve"


def satisfied(asked: Sequence[ReviewerSet], voters: dict[str, frozenset[str]]) -> bool:
    """Whether distinct people can fill every seat: nobody sits twice, not even with two roles."""
    seats = [each.role for each in asked for _ in range(each.people)]
    taken: dict[str, int] = {}

    def seat(index: int, tried: set[str]) -> bool:
        for person, roles in voters.items():
            if seats[index] in roles and person not in tried:
                tried.add(person)
                if person not in taken or seat(taken[person], tried):
                    taken[person] = index
                    return True
        return False

    return all(seat(index, set()) for index in range(len(seats)))


def unfilled(asked: Sequence[ReviewerSet], voters: dict[str, frozenset[str]], order: Iterable[int]) -> list[int]:
    """Which sets wait for people still, by position. Of two that compete for a person, the first in `order` has it."""
    filled: list[int] = []
    for n in order:
        if satisfied([asked[each] for each in (*filled, n)], voters):
            filled.append(n)
    return [n for n in range(len(asked)) if n not in filled]


def missing(asked: Sequence[ReviewerSet], voters: dict[str, frozenset[str]]) -> list[str]:
    """The roles whose seats can't all be filled, for people to read."""
    return [each.role for each in asked if not satisfied([each], voters)] or (
        [] if satisfied(asked, voters) else [each.role for each in asked]
    )


def valid_voters(ledger: Ledger, action: ProposedAction, review: ReviewRow) -> dict[str, frozenset[str]]:
    """People whose approval of this very action counts now, with the roles that they hold now."""
    voters: dict[str, frozenset[str]] = {}
    opened_by = "" if action.tool in incidents.QUESTIONS else ledger.cases.get(action.case_id).opened_by
    for vote in ledger.reviews.votes(review.id):
        if _counts(vote, action, review) and vote.person != opened_by:
            try:
                person = ledger.people.get(vote.workspace, vote.person)
            except NotFound:
                continue
            voters[vote.person] = frozenset(person.roles) & frozenset(vote.roles)
    return voters


def _counts(vote: VoteRow, action: ProposedAction, review: ReviewRow) -> bool:
    return (
        vote.choice == APPROVE
        and vote.action_id == action.id
        and vote.person != action.proposer
        and vote.at <= review.due_at
    )


def approval(ledger: Ledger, action: ProposedAction, verdict: Review) -> tuple[ReviewRow | None, str]:
    """The approved review of the action, and why its votes do not carry what policy asks for now."""
    approved = [row for row in ledger.reviews.of_action(action.id) if row.status == ReviewStatus.APPROVED]
    if not approved:
        return None, "policy asks for people now, and there is no approval of this action"
    review = approved[-1]
    if any(vote.choice != APPROVE for vote in ledger.reviews.votes(review.id)):
        return review, "somebody refused it"
    voters, asked = valid_voters(ledger, action, review), seats(verdict.reviewers, ledger.reviews.asked(review))
    if not satisfied(asked, voters):
        return review, f"approval is missing from: {', '.join(missing(asked, voters))}"
    return review, ""


def seats(asked: Sequence[ReviewerSet], reviewed: Sequence[ReviewerSet]) -> list[ReviewerSet]:
    """Whose seats have to be filled: of those whom policy asks for now, or of those who took over from them.

    The review says who was late; policy as it is now says who may take over, and with how many people.
    """
    took_over = {(each.stands_for[0], each.group, each.role) for each in reviewed if each.stands_for}
    return [
        next((late for late in each.successors if (each.group, late.group, late.role) in took_over), each)
        for each in asked
    ]


def further_reasons(ledger: Ledger, review: ReviewRow, verdict: Review) -> str:
    """Rules that ask for people now and did not when the review was opened: its voters never saw them."""
    shown = [row for row in ledger.effects.decisions(review.action_id) if row.at <= review.opened_at]
    known = {match["rule"] for row in shown[-1:] for match in row.body["matches"]}
    new = [match for match in verdict.matches if not match.monitor and match.rule not in known]
    further = [f"{match.rule}: {match.reason}" for match in new if match.decides != "allow"]
    return f"there are further reasons since it was approved: {'; '.join(further)}" if further else ""
