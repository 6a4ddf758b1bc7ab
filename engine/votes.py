"""Do these votes carry this action? Asked when a person votes, and again when the action is about to run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.actions import ProposedAction
from core.errors import AlreadyDecided, Forbidden, NotFound
from core.people import SERVICE, Person
from core.states import ReviewStatus
from core.verdicts import Review, ReviewerSet, RuleMatch
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


def barred(ledger: Ledger, action: ProposedAction) -> dict[str, str]:
    """Who has no vote on this action whatever their roles, and why not: whoever is a party to it.

    Whose id is an argument is named by it; who holds a token of an account is behind what it did. The house's own
    questions may be answered by who opened the case, or wrote in it as its customer.
    """
    parties = dict.fromkeys(named(action), "It is about you: somebody else has to approve it.")
    if action.tool not in incidents.QUESTIONS:
        opener = ledger.cases.get(action.case_id).opened_by
        for writer in _spoke(ledger, action):
            parties |= _through(ledger, action, writer, "wrote as its customer")
            parties[writer] = "You wrote as the customer of this case: somebody else has to decide."
        parties |= _through(ledger, action, opener, "opened this case")
        parties[opener] = "You opened this case: somebody else has to decide."
    parties |= _through(ledger, action, action.proposer, "proposed this action")
    parties |= dict.fromkeys(ledger.desk_work.passed_on_by(action.id), "You passed it on: others decide.")
    return parties | {action.proposer: "You proposed this action: somebody else has to approve it."}


def _through(ledger: Ledger, action: ProposedAction, account: str, what: str) -> dict[str, str]:
    """Who was given a token of an account, and so may be behind what it did."""
    keepers = ledger.people.keepers(action.workspace, account)
    return dict.fromkeys(keepers, f"You hold a token of {account}, who {what}.")


def _spoke(ledger: Ledger, action: ProposedAction) -> frozenset[str]:
    """Who wrote as the customer before it ran: what they say later does not undo a vote that counted."""
    said = ledger.cases.said(action.case_id)
    run = ledger.effects.run(action.id) if said else None
    return frozenset(
        str(each.payload["by"])
        for each in said
        if each.payload.get("by") and (run is None or each.received_at <= run.started_at)
    )


def named(action: ProposedAction) -> frozenset[str]:
    """The ids that the action would name, if they are people's: all text that stands as an argument of its own."""
    return frozenset(value for value in action.args.values() if isinstance(value, str))


def require_a_vote(ledger: Ledger, action: ProposedAction, review: ReviewRow, person: Person) -> None:
    """Raises `Forbidden` if this person's word can't count here, `AlreadyDecided` if they have given it."""
    if why := barred(ledger, action).get(person.id):
        raise Forbidden(why, hint="Leave it in the queue.")
    roles = {str(each["role"]) for each in review.reviewers}
    if not roles & person.roles:
        wanted = " or ".join(sorted(roles))
        raise Forbidden(f"It takes the role {wanted}.", hint="Ask somebody who has it.", missing_role=wanted)
    if any(vote.person == person.id for vote in ledger.reviews.votes(review.id)):
        raise AlreadyDecided("You have voted on it already.", hint="It waits for others.", present="voted")


def valid_voters(ledger: Ledger, action: ProposedAction, review: ReviewRow) -> dict[str, frozenset[str]]:
    """People whose approval of this very action counts now, with the roles that they hold now."""
    voters: dict[str, frozenset[str]] = {}
    parties = barred(ledger, action)
    for vote in ledger.reviews.votes(review.id):
        if _counts(vote, action, review) and vote.person not in parties:
            try:
                person = ledger.people.get(vote.workspace, vote.person)
            except NotFound:
                continue
            if SERVICE in person.roles:
                continue
            voters[vote.person] = frozenset(person.roles) & frozenset(vote.roles)
    return voters


def _counts(vote: VoteRow, action: ProposedAction, review: ReviewRow) -> bool:
    return vote.choice == APPROVE and vote.action_id == action.id and vote.at <= review.due_at


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


def outgrown(ledger: Ledger, review: ReviewRow) -> bool:
    """Whether the action ran by this approval, and policy asked for more people when it was proposed again.

    Only of a permit is a run not the end of it. An approval that has not run is judged by the executor.
    """
    if review.status != ReviewStatus.APPROVED or ledger.effects.run(review.action_id) is None:
        return False
    verdict = ledger.effects.decisions(review.action_id)[-1]
    action = ledger.effects.proposed(ledger.effects.action(review.action_id))
    return verdict.verdict == "review" and bool(approval(ledger, action, Review.model_validate(verdict.body))[1])


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
    """Rules that ask for people now and did not when the review was opened: its voters never saw them.

    A rule that says something else under its old name is another rule.
    """
    shown = [row for row in ledger.effects.decisions(review.action_id) if row.at <= review.opened_at]
    known = {RuleMatch.model_validate(match) for row in shown[-1:] for match in row.body["matches"]}
    new = [match for match in verdict.matches if not match.monitor and match not in known]
    further = [f"{match.rule}: {match.reason}" for match in new if match.decides != "allow"]
    return f"there are further reasons since it was approved: {'; '.join(further)}" if further else ""
