"""Houses that are broken in one place each, to prove that the guarantee's stories would notice.

    python -m tests.support.mutants

prints which story kills which mutant, and which of them the database stops by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import engine.executor
import engine.votes
from core.actions import ProposedAction
from engine.gate import Gate
from engine.segments import Segments
from engine.services import Services
from ledger.effects import Effects
from policies.shelf import BookJudge
from tests.guarantee.attacks import ATTACKS, attacked
from tests.support.breakages import (
    Patch,
    another_key,
    any_approval_of_the_case,
    as_it_was_first,
    counting,
    each_group_by_itself,
    filled,
    forgets,
    forgotten,
    heads_are_enough,
    may_vote_although,
    no_is_yes,
    one_is_enough,
    only_once,
    only_once_decided,
    only_what_is_done,
    reserved_anew,
    the_question_is_its_answer,
    voters,
    weak_id,
    what_was_waved,
    whatever_woke_it_up,
)


@dataclass(frozen=True)
class Mutant:
    """`stopped`: with nothing but its trigger, the database refuses what this mutant would let happen."""

    name: str
    dies_of: Sequence[str]
    """Stories that have to find it out."""
    patches: Sequence[Patch]
    stopped: bool = False

    @contextmanager
    def at_large(self) -> Iterator[None]:
        with ExitStack() as stack:
            for target, name, instead in self.patches:
                stack.enter_context(patch.object(target, name, instead))
            yield


MUTANTS = (
    Mutant("weak hash", ("an editor approves what they wrote",), [(ProposedAction, "id", weak_id)]),
    Mutant(
        "votes carried over an edit",
        ("votes are taken along by an edit",),
        counting(voters(carried=True)),
        stopped=True,
    ),
    Mutant(
        "self-approval by the proposer",
        ("an editor approves what they wrote",),
        [may_vote_although("You proposed this"), *counting(voters(own=True))],
        stopped=True,
    ),
    Mutant(
        "self-approval by the opener",
        ("whoever opened the case approves",),
        [may_vote_although("You opened this"), *counting(voters(opened=True))],
        stopped=True,
    ),
    Mutant(
        "one of two people suffices",
        (
            "one of two approves",
            "one person sits on two seats",
        ),
        filled(one_is_enough),
        stopped=True,
    ),
    Mutant(
        "any role counts",
        ("people without the role approve",),
        [may_vote_although("It takes the role"), *filled(heads_are_enough)],
        stopped=True,
    ),
    Mutant("one person on two seats", ("one person sits on two seats",), filled(each_group_by_itself), stopped=True),
    Mutant(
        "no expiry",
        ("an approval comes too late",),
        [may_vote_although("Its time is over"), *counting(voters(late=True))],
        stopped=True,
    ),
    Mutant(
        "a role taken away counts",
        ("a role is taken away before it runs",),
        counting(voters(then=True)),
        stopped=True,
    ),
    Mutant(
        "unseen is seen",
        ("somebody approves what they have not seen",),
        [may_vote_although("It changed since you looked")],
    ),
    Mutant(
        "an approval of another action",
        ("an approval is taken for another action",),
        [(engine.executor, "approval", any_approval_of_the_case)],
        stopped=True,
    ),
    Mutant(
        "what wakes the graph up is an answer",
        ("a refused action is asked about once more",),
        [(Services, "ruling", whatever_woke_it_up)],
    ),
    Mutant(
        "what wakes the graph up is an approval",
        ("a question is answered by a forged event",),
        [
            (Segments, "_too_early", lambda *_: False),
            (Services, "ruling", whatever_woke_it_up),
            (engine.executor, "approval", the_question_is_its_answer),
        ],
        stopped=True,
    ),
    Mutant(
        "the first decision is the last",
        (
            "policy asks for more before it runs",
            "policy forbids it before it runs",
        ),
        [(Gate, "decide", as_it_was_first), (Effects, "decided", only_once_decided)],
        stopped=True,
    ),
    Mutant(
        "the first decision is made again",
        (
            "policy asks for more before it runs",
            "two payments for one customer at once",
        ),
        [(Gate, "decide", as_it_was_first)],
    ),
    Mutant(
        "Deny is Allow when it runs",
        ("policy forbids it before it runs",),
        [(Gate, "decide", no_is_yes), (Effects, "decided", what_was_waved)],
        stopped=True,
    ),
    Mutant("facts are not witnessed", ("the facts move before it runs",), [(engine.executor, "moved", lambda *_: "")]),
    Mutant(
        "the old book stays in force", ("policy asks for more before it runs",), [(BookJudge, "replace", only_once)]
    ),
    Mutant(
        "the refused may be proposed again",
        ("a refused action is proposed again",),
        [forgets("people refused this very action")],
    ),
    Mutant(
        "the refused may be paid in pieces",
        ("what was refused is paid in small pieces",),
        [(Gate, "_refused_money", lambda *_: ())],
    ),
    Mutant(
        "a step may be used twice",
        ("another thought at a step that was used",),
        [forgets("already proposed another action")],
    ),
    Mutant(
        "what is in flight is not counted",
        ("nobody knows whether it was paid",),
        [(Effects, "earlier", only_what_is_done)],
    ),
    Mutant(
        "an action may run again",
        ("a worker dies after the call",),
        [
            (engine.executor, "load", forgotten),
            (Effects, "reserve", reserved_anew),
            (ProposedAction, "effect_key", property(another_key)),
        ],
        stopped=True,
    ),
)


# What comes of it


def survived(mutant: Mutant, *, guarded: bool) -> list[str]:
    """Of the stories that it dies of, those in which nothing comes out."""
    return [name for name in mutant.dies_of if not attacked(ATTACKS[name], mutant.at_large, guarded=guarded)]


def main() -> None:
    logging.disable(logging.CRITICAL)  # a run that the database refuses is told at length
    print(f"{'mutant':42}{'killed by (trigger off)':46}stopped by the trigger")
    for mutant in MUTANTS:
        alive, held = survived(mutant, guarded=False), survived(mutant, guarded=True)
        stopped = "yes" if len(held) == len(mutant.dies_of) else "NO" if mutant.stopped else "not its business"
        for n, name in enumerate(mutant.dies_of):
            print(f"{'' if n else mutant.name:42}{'NOBODY' if name in alive else name:46}{stopped}", flush=True)


if __name__ == "__main__":
    main()
