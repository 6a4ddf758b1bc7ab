"""The ways in which mutants break the house: each leaves out one thing that the guarantee needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter

import engine.executor
import engine.reviews
import engine.votes
from core.actions import ProposedAction
from core.errors import CountersignError, NotFound
from core.ids import digest
from core.states import ReviewStatus
from core.verdicts import Allow, Deny, ReviewerSet, Verdict
from engine.gate import Gate
from engine.reviews import ReviewDesk
from engine.rulings import Ruled
from engine.services import Services
from ledger.database import Ledger
from ledger.effects import Effects
from ledger.tables import ReviewRow, RunRow
from policies.shelf import BookJudge

Patch = tuple[Any, str, Any]
Voters = dict[str, frozenset[str]]


# What people may do


def voters(
    *, own: bool = False, opened: bool = False, late: bool = False, then: bool = False, carried: bool = False
) -> Callable[[Ledger, ProposedAction, ReviewRow], Voters]:
    """Whose approval counts, with one of the conditions left out."""

    def count(ledger: Ledger, action: ProposedAction, review: ReviewRow) -> Voters:
        votes = ledger.reviews.votes(review.id)
        row = ledger.effects.action(action.id)
        while carried and row.edited_from:
            row = ledger.effects.action(row.edited_from)
            votes += [vote for each in ledger.reviews.of_action(row.id) for vote in ledger.reviews.votes(each.id)]
        opener = ledger.cases.get(action.case_id).opened_by
        found: Voters = {}
        for vote in votes:
            wrong = vote.choice != "approve" or (vote.person == action.proposer and not own)
            if wrong or (vote.person == opener and not opened) or (vote.at > review.due_at and not late):
                continue
            try:
                now = ledger.people.get(vote.workspace, vote.person).roles
            except NotFound:
                now = []
            found[vote.person] = frozenset(vote.roles) & frozenset(vote.roles if then else now)
        return found

    return count


def counting(voters: Callable[..., Voters]) -> list[Patch]:
    return [(engine.reviews, "valid_voters", voters), (engine.votes, "valid_voters", voters)]


def filled(satisfied: Callable[[Sequence[ReviewerSet], Mapping[str, frozenset[str]]], bool]) -> list[Patch]:
    return [(engine.reviews, "satisfied", satisfied), (engine.votes, "satisfied", satisfied)]


def one_is_enough(asked: Sequence[ReviewerSet], voters: Mapping[str, frozenset[str]]) -> bool:
    return any(each.role in roles for each in asked for roles in voters.values())


def heads_are_enough(asked: Sequence[ReviewerSet], voters: Mapping[str, frozenset[str]]) -> bool:
    return len(voters) >= sum(each.people for each in asked)


def each_group_by_itself(asked: Sequence[ReviewerSet], voters: Mapping[str, frozenset[str]]) -> bool:
    return all(sum(each.role in roles for roles in voters.values()) >= each.people for each in asked)


_may_vote = ReviewDesk._may_vote


def may_vote_although(words: str) -> Patch:
    def may_vote(self: ReviewDesk, ledger: Ledger, person: Any, review: ReviewRow, decision: Any) -> ProposedAction:
        try:
            return _may_vote(self, ledger, person, review, decision)
        except CountersignError as no:
            if words not in no.detail:
                raise
            return ledger.effects.proposed(ledger.effects.action(review.action_id))

    return ReviewDesk, "_may_vote", may_vote


def any_approval_of_the_case(ledger: Ledger, action: ProposedAction, verdict: Verdict) -> tuple[ReviewRow | None, str]:
    found = [row for row in ledger.reviews.of_case(action.case_id) if row.status == ReviewStatus.APPROVED]
    return (found[-1], "") if found else (None, "there is no approval")


def the_question_is_its_answer(
    ledger: Ledger, action: ProposedAction, verdict: Verdict
) -> tuple[ReviewRow | None, str]:
    asked = ledger.reviews.of_action(action.id)
    return (asked[-1], "") if asked else (None, "it was not asked about")


async def whatever_woke_it_up(self: Services, workspace: str, action_id: str) -> Ruled:
    return Ruled(action_id=action_id)


# What is decided


_decide = Gate.decide
_known_no = Gate._known_no
_decided = Effects.decided
_VERDICT: TypeAdapter[Verdict] = TypeAdapter(Verdict)


def _decided_before(ledger: Ledger, action: ProposedAction) -> Any:
    made = [row for row in ledger.effects.decisions(action.id) if row.stage != "execute"]
    return made[-1] if made else None


def as_it_was_first(self: Gate, ledger: Ledger, action: ProposedAction, *more: Any) -> Verdict:
    before = _decided_before(ledger, action)
    return _VERDICT.validate_python(before.body) if before else _decide(self, ledger, action, *more)


class _Waved(Allow):
    """An Allow in the place of a Deny, which is what is written down."""

    really: Deny


def no_is_yes(self: Gate, ledger: Ledger, action: ProposedAction, *more: Any) -> Verdict:
    verdict = _decide(self, ledger, action, *more)
    if isinstance(verdict, Deny) and _decided_before(ledger, action):
        return _Waved(
            **{name: getattr(verdict, name) for name in ("reason", "matches", "book", "facts")}, really=verdict
        )
    return verdict


def what_was_waved(self: Effects, action_id: str, stage: str, verdict: Verdict) -> None:
    _decided(self, action_id, stage, verdict.really if isinstance(verdict, _Waved) else verdict)


def only_once_decided(self: Effects, action_id: str, stage: str, verdict: Verdict) -> None:
    if stage != "execute":
        _decided(self, action_id, stage, verdict)


_replace = BookJudge.replace


def only_once(self: BookJudge, kind: str, *versions: Any) -> None:
    if self.at(kind, datetime.max.replace(tzinfo=UTC)) is None:
        _replace(self, kind, *versions)


def forgets(words: str) -> Patch:
    def known_no(self: Gate, *given: Any) -> Deny | None:
        found = _known_no(self, *given)
        return None if found and words in found.reason else found

    return Gate, "_known_no", known_no


def _content_without_arguments(self: ProposedAction) -> str:
    return digest([self.tool, self.workspace, self.case_id, self.proposer, self.step_key])


weak_id = cached_property(_content_without_arguments)
weak_id.__set_name__(ProposedAction, "id")


# What is counted, and how often it happens


_earlier = Effects.earlier


def only_what_is_done(self: Effects, count: Any, *more: Any) -> list[dict[str, Any]]:
    return _earlier(self, replace(count, include=frozenset({"done"})), *more)


_load, _effect_key = engine.executor.load, ProposedAction.effect_key.fget  # type: ignore[attr-defined]
_times: dict[str, int] = {}


def forgotten(ledger: Ledger, action_id: str) -> tuple[ProposedAction, dict[str, Any], None]:
    return *_load(ledger, action_id)[:2], None


def reserved_anew(self: Effects, run: RunRow) -> bool:
    _times[run.action_id] = _times.get(run.action_id, 0) + 1
    rows = self._session.connection()
    rows.exec_driver_sql("DELETE FROM run WHERE action_id = ?", (run.action_id,))
    return self._pen.insert(RunRow, [run.model_dump() | {"key": f"{run.key}:{_times[run.action_id]}"}]) == 1


def another_key(self: ProposedAction) -> str:
    assert _effect_key is not None
    return f"{_effect_key(self)}:{_times[self.id]}" if self.id in _times else str(_effect_key(self))
