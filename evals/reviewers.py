"""Scripted reviewers: they vote as people do, through the approvals service, on what they were shown.

A reviewer can do no more than a person with that role: the desk checks the role, the digest of what was
seen, the seats and the four eyes, and the vote is a row like every other.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.people import Person
from core.states import ReviewStatus
from engine.decisions import Choice, Decision
from ledger.database import Ledger
from serving.house import House


@dataclass(frozen=True)
class Reviewer:
    """Answers every review with the same choice, as many people as it takes."""

    name: str
    choice: Choice

    async def answer(self, house: House, workspace: str, review_id: str) -> int:
        """Votes until the review is decided. Returns how many votes that took."""
        people = await house.database.write(workspace, lambda ledger: _staff(ledger, review_id))
        for votes, person in enumerate(people, 1):
            seen = await house.database.read(workspace, lambda ledger: _shown(ledger, review_id))
            decision = Decision(
                choice=self.choice,
                seen=seen,
                reason_code="" if self.choice is Choice.APPROVE else "scripted",
                note=f"the scripted reviewer {self.name}",
            )
            decided = await house.desk.decide(person, review_id, decision)
            if decided.status is not ReviewStatus.OPEN:
                return votes
        raise AssertionError(f"{len(people)} people could not decide {review_id}")


REVIEWERS = {
    reviewer.name: reviewer
    for reviewer in (Reviewer("approve-all", Choice.APPROVE), Reviewer("reject-all", Choice.REJECT))
}


def _staff(ledger: Ledger, review_id: str) -> list[Person]:
    """A person for each seat that the review asks for, known to the house from now on."""
    seats = [
        (f"{each.group}-{number}", each.role)
        for each in ledger.reviews.asked(ledger.reviews.get(review_id))
        for number in range(1, each.people + 1)
    ]
    for name, role in seats:
        ledger.people.add(ledger.workspace, name, frozenset({role}))
    return [Person(id=name, workspace=ledger.workspace, roles=frozenset({role})) for name, role in seats]


def _shown(ledger: Ledger, review_id: str) -> str:
    review = ledger.reviews.get(review_id)
    return ledger.reviews.saw(review, ledger.effects.action(review.action_id).args)
