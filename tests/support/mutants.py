"""Houses that are broken in one place each, to prove that the guarantee's stories would notice.

    python -m tests.support.mutants

prints which story kills which mutant, and which of them the database stops by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

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
from engine.segments import Segments
from engine.services import Services
from ledger import guards
from ledger.database import Ledger, sqlite_database
from ledger.effects import Effects
from ledger.tables import ReviewRow, RunRow
from policies.shelf import BookJudge
from tests.guarantee.attacks import ATTACKS, Story
from tests.guarantee.stage import empty_house, on_stage, play
from tests.support.oracle import Broken

Patch = tuple[Any, str, Any]
Voters = dict[str, frozenset[str]]


@dataclass(frozen=True)
class Mutant:
    """`stopped`: with nothing but its trigger, the database refuses what this mutant would let happen."""

    name: str
    patches: Sequence[Patch]
    stopped: bool = False

    @contextmanager
    def at_large(self) -> Iterator[None]:
        with ExitStack() as stack:
            for target, name, instead in self.patches:
                stack.enter_context(patch.object(target, name, instead))
            yield


# What people may do


def _voters(
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


def _counting(voters: Callable[..., Voters]) -> list[Patch]:
    return [(engine.reviews, "valid_voters", voters), (engine.votes, "valid_voters", voters)]


def _filled(satisfied: Callable[[Sequence[ReviewerSet], Mapping[str, frozenset[str]]], bool]) -> list[Patch]:
    return [(engine.reviews, "satisfied", satisfied), (engine.votes, "satisfied", satisfied)]


def _one_is_enough(asked: Sequence[ReviewerSet], voters: Mapping[str, frozenset[str]]) -> bool:
    return any(each.role in roles for each in asked for roles in voters.values())


def _heads_are_enough(asked: Sequence[ReviewerSet], voters: Mapping[str, frozenset[str]]) -> bool:
    return len(voters) >= sum(each.people for each in asked)


def _each_group_by_itself(asked: Sequence[ReviewerSet], voters: Mapping[str, frozenset[str]]) -> bool:
    return all(sum(each.role in roles for roles in voters.values()) >= each.people for each in asked)


_may_vote = ReviewDesk._may_vote


def _may_vote_although(words: str) -> Patch:
    def may_vote(self: ReviewDesk, ledger: Ledger, person: Any, review: ReviewRow, decision: Any) -> ProposedAction:
        try:
            return _may_vote(self, ledger, person, review, decision)
        except CountersignError as no:
            if words not in no.detail:
                raise
            return ledger.effects.proposed(ledger.effects.action(review.action_id))

    return ReviewDesk, "_may_vote", may_vote


def _any_approval_of_the_case(ledger: Ledger, action: ProposedAction, verdict: Verdict) -> tuple[ReviewRow | None, str]:
    found = [row for row in ledger.reviews.of_case(action.case_id) if row.status == ReviewStatus.APPROVED]
    return (found[-1], "") if found else (None, "there is no approval")


def _the_question_is_its_answer(
    ledger: Ledger, action: ProposedAction, verdict: Verdict
) -> tuple[ReviewRow | None, str]:
    asked = ledger.reviews.of_action(action.id)
    return (asked[-1], "") if asked else (None, "it was not asked about")


async def _whatever_woke_it_up(self: Services, workspace: str, action_id: str) -> Ruled:
    return Ruled(action_id=action_id)


# What is decided


_decide = Gate.decide
_known_no = Gate._known_no
_VERDICT: TypeAdapter[Verdict] = TypeAdapter(Verdict)


def _decided_before(ledger: Ledger, action: ProposedAction) -> Any:
    made = [row for row in ledger.effects.decisions(action.id) if row.stage != "execute"]
    return made[-1] if made else None


def _as_it_was_first(self: Gate, ledger: Ledger, action: ProposedAction, *more: Any) -> Verdict:
    before = _decided_before(ledger, action)
    return _VERDICT.validate_python(before.body) if before else _decide(self, ledger, action, *more)


def _no_is_yes(self: Gate, ledger: Ledger, action: ProposedAction, *more: Any) -> Verdict:
    verdict = _decide(self, ledger, action, *more)
    if isinstance(verdict, Deny) and _decided_before(ledger, action):
        return Allow(reason=verdict.reason, matches=verdict.matches, book=verdict.book, facts=verdict.facts)
    return verdict


_replace = BookJudge.replace


def _only_once(self: BookJudge, kind: str, *versions: Any) -> None:
    if self.at(kind, datetime.max.replace(tzinfo=UTC)) is None:
        _replace(self, kind, *versions)


def _forgets(words: str) -> Patch:
    def known_no(self: Gate, *given: Any) -> Deny | None:
        found = _known_no(self, *given)
        return None if found and words in found.reason else found

    return Gate, "_known_no", known_no


def _content_without_arguments(self: ProposedAction) -> str:
    return digest([self.tool, self.workspace, self.case_id, self.proposer, self.step_key])


_weak_id = cached_property(_content_without_arguments)
_weak_id.__set_name__(ProposedAction, "id")


# What is counted, and how often it happens


_earlier = Effects.earlier


def _only_what_is_done(self: Effects, count: Any, action: ProposedAction, subject: str) -> list[dict[str, Any]]:
    return _earlier(self, replace(count, include=frozenset({"done"})), action, subject)


_load, _effect_key = engine.executor.load, ProposedAction.effect_key.fget  # type: ignore[attr-defined]
_times: dict[str, int] = {}


def _forgotten(ledger: Ledger, action_id: str) -> tuple[ProposedAction, dict[str, Any], None]:
    return *_load(ledger, action_id)[:2], None


def _reserved_anew(self: Effects, run: RunRow) -> bool:
    _times[run.action_id] = _times.get(run.action_id, 0) + 1
    rows = self._session.connection()
    rows.exec_driver_sql("DELETE FROM run WHERE action_id = ?", (run.action_id,))
    return self._pen.insert(RunRow, [run.model_dump() | {"key": f"{run.key}:{_times[run.action_id]}"}]) == 1


def _another_key(self: ProposedAction) -> str:
    assert _effect_key is not None
    return f"{_effect_key(self)}:{_times[self.id]}" if self.id in _times else str(_effect_key(self))


MUTANTS = (
    Mutant("weak hash", [(ProposedAction, "id", _weak_id)]),
    Mutant("votes carried over an edit", _counting(_voters(carried=True)), stopped=True),
    Mutant(
        "self-approval by the proposer",
        [_may_vote_although("You proposed this"), *_counting(_voters(own=True))],
        stopped=True,
    ),
    Mutant(
        "self-approval by the opener",
        [_may_vote_although("You opened this"), *_counting(_voters(opened=True))],
        stopped=True,
    ),
    Mutant("one of two people suffices", _filled(_one_is_enough), stopped=True),
    Mutant(
        "any role counts", [(engine.reviews, "_seated", lambda *_: None), *_filled(_heads_are_enough)], stopped=True
    ),
    Mutant("one person on two seats", _filled(_each_group_by_itself), stopped=True),
    Mutant("no expiry", [_may_vote_although("Its time is over"), *_counting(_voters(late=True))], stopped=True),
    Mutant("a role taken away counts", _counting(_voters(then=True)), stopped=True),
    Mutant("unseen is seen", [_may_vote_although("It changed since you looked")]),
    Mutant("an approval of another action", [(engine.executor, "approval", _any_approval_of_the_case)], stopped=True),
    Mutant("what wakes the graph up is an answer", [(Services, "ruling", _whatever_woke_it_up)]),
    Mutant(
        "what wakes the graph up is an approval",
        [
            (Segments, "_too_early", lambda *_: False),
            (Services, "ruling", _whatever_woke_it_up),
            (engine.executor, "approval", _the_question_is_its_answer),
        ],
        stopped=True,
    ),
    Mutant("the first decision is the last", [(Gate, "decide", _as_it_was_first)], stopped=True),
    Mutant("Deny is Allow when it runs", [(Gate, "decide", _no_is_yes)], stopped=True),
    Mutant("facts are not witnessed", [(engine.executor, "moved", lambda *_: "")]),
    Mutant("the old book stays in force", [(BookJudge, "replace", _only_once)]),
    Mutant("the refused may be proposed again", [_forgets("people refused this very action")]),
    Mutant("the refused may be paid in pieces", [(Gate, "_refused_money", lambda *_: ())]),
    Mutant("a step may be used twice", [_forgets("already proposed another action")]),
    Mutant("what is in flight is not counted", [(Effects, "earlier", _only_what_is_done)]),
    Mutant(
        "an action may run again",
        [
            (engine.executor, "load", _forgotten),
            (Effects, "reserve", _reserved_anew),
            (ProposedAction, "effect_key", property(_another_key)),
        ],
        stopped=True,
    ),
)


# What comes of it


def attacked(story: Story, mutant: Mutant | None = None, *, guarded: bool) -> str:
    """What the oracle says after a story was played in a house with this defect; nothing where all is well."""

    async def perform(folder: Path) -> None:
        async with on_stage(folder) as stage:
            await story(stage)

    with empty_house() as folder, mutant.at_large() if mutant else nullcontext():
        _set_guards(folder, on=guarded)
        try:
            play(perform(folder))
        except Broken as broken:
            return str(broken)
        return ""


def _set_guards(folder: Path, *, on: bool) -> None:
    ledger = sqlite_database(folder / "ledger.db")
    with ledger.engine.begin() as connection:
        guards.remove(connection)
        if on:
            guards.install(connection)
    ledger.close()


def killers(mutant: Mutant, *, guarded: bool) -> list[str]:
    """The stories in which it is found out."""
    return [name for name, story in ATTACKS.items() if attacked(story, mutant, guarded=guarded)]


def main() -> None:
    logging.disable(logging.CRITICAL)  # a run that the database refuses is told at length
    print(f"{'mutant':42}{'killed by (trigger off)':52}stopped by the trigger")
    for mutant in MUTANTS:
        found = killers(mutant, guarded=False)
        more = f", {len(found) - 1} more" if len(found) > 1 else ""
        print(f"{mutant.name:42}{(found[0] if found else 'NOBODY') + more:52}{_stopped(mutant, found)}", flush=True)


def _stopped(mutant: Mutant, found: list[str]) -> str:
    left = killers(mutant, guarded=True)
    if not left:
        return "yes"
    return f"in {len(found) - len(left)} of {len(found)}" if mutant.stopped else "not its business"


if __name__ == "__main__":
    main()
