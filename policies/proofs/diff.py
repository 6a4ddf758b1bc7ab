"""Whether a new version of a book is tighter or looser than the old one, in every situation, tool by tool."""

from __future__ import annotations

import time
from itertools import chain

from policies.book import Book
from policies.conditions import paths
from policies.program import Decision
from policies.proofs.difference import Difference, Shown, ToolDifference
from policies.proofs.domain import Domain, Env
from policies.proofs.encode import Encoding
from policies.proofs.findings import Progress
from policies.proofs.logic import Logic, Truth, Undecided, alike, every, no, some
from policies.proofs.outside import Change, changes, group_in_words
from policies.proofs.shape import says
from policies.proofs.sides import Side
from policies.proofs.situations import simplest
from policies.proofs.strictness import Direction, Groups
from policies.reference import evaluate


def compare(old: Book, new: Book, progress: Progress = lambda step, seconds: None) -> Difference:
    """Tools whose rules say the same are not looked at: their verdicts are the same."""
    outside = changes(old, new)
    unproved = {tool: change for change in outside for tool in change.tools}
    logic, found = Logic(), {}
    for tool in sorted(old.programs.keys() | new.programs.keys()):
        begun = time.perf_counter()
        if tool in unproved:
            found[tool] = _kept_apart(old, new, tool, unproved[tool])
        elif says(old.rules, tool) != says(new.rules, tool):
            found[tool] = _Pair(old, new, tool, logic).difference()
        progress(tool, time.perf_counter() - begun)
    return Difference(old, new, found, tuple(outside))


def _kept_apart(old: Book, new: Book, tool: str, change: Change) -> ToolDifference:
    """The same words mean other figures in the two versions, so that nothing that they say can be held together."""
    return ToolDifference(tool, unproved=change.what)


class _Pair:
    """The rules of one tool in both versions, over the same facts."""

    def __init__(self, old: Book, new: Book, tool: str, logic: Logic) -> None:
        self._tool = tool
        self._new = new if tool in new.vocabulary.tools else old
        self._programs = old.program(tool), new.program(tool)
        rules = [[rule for _, rule in program.tests if not rule.monitor] for program in self._programs]
        self._groups = Groups.of(*rules)
        read = [rule.conditions[tool] for rule in chain(*rules)]
        wanted = frozenset[str]().union(*map(paths, read))
        self._domain = Domain.of(tool, wanted, [old, new])
        encoding = Encoding(logic, self._domain, read)
        self._logic, self._unknowns = logic, encoding.unknowns
        self._sides = [Side.of(tuple(each), tool, encoding) for each in rules]

    def difference(self) -> ToolDifference:
        """Raises nothing: where z3 gives up, nothing is proved."""
        try:
            return ToolDifference(
                self._tool,
                self._shown(Direction.LOOSER, self._looser()),
                self._shown(Direction.TIGHTER, self._tighter()),
            )
        except Undecided as gave_up:
            return ToolDifference(self._tool, unproved=str(gave_up))

    def _looser(self) -> Truth:
        old, new = self._sides
        lost = some(every((old.asks(group), no(self._kept(group)))) for group in self._groups.old)
        return some(
            (
                every((old.deny, no(new.deny))),
                every((old.review, new.allow)),
                every((old.review, new.review, lost)),
            )
        )

    def _tighter(self) -> Truth:
        old, new = self._sides
        kept = every(some((no(old.asks(group)), self._kept(group))) for group in self._groups.old)
        more = some(every((new.asks(group), no(self._had(group)))) for group in self._groups.new)
        return some(
            (
                every((new.deny, no(old.deny))),
                every((old.allow, new.review)),
                every((old.review, new.review, kept, more)),
            )
        )

    def _kept(self, group: str) -> Truth:
        """The new version asks as much as this group of the old one."""
        partner = self._groups.kept(group)
        return False if partner is None else self._sides[1].asks(partner)

    def _had(self, group: str) -> Truth:
        partner = self._groups.had(group)
        return False if partner is None else self._sides[0].asks(partner)

    def _shown(self, direction: Direction, truth: Truth) -> Shown | None:
        """An example, made simple, and asked of the reference once more."""
        flag = self._logic.flag(direction.value)
        self._unknowns.asking.add(alike(flag, truth))
        env = self._unknowns.possible([flag])
        if env is None:
            return None

        def shows(env: Env) -> bool:
            old, new = (program.decide({**program.blank, **env}) for program in self._programs)
            return self._groups.compare(old, new) is direction

        if not self._domain.allows(env) or not shows(env):
            raise AssertionError(f"z3 and the rules of {self._tool} disagree about what is {direction}: {env}")
        situation = simplest(self._new, self._domain, env, shows, lambda env: frozenset())
        old, new = (program.naive({**program.blank, **situation.facts}, evaluate) for program in self._programs)
        if self._groups.compare(old, new) is not direction:
            raise AssertionError(f"the reference and the rules of {self._tool} disagree: {situation}")
        return Shown(situation, self._said(old), self._said(new))

    def _said(self, decision: Decision) -> str:
        """`review by desk (RF-03)`, and what a group is where the versions don't mean the same."""
        rules = ", ".join(rule.id for rule in decision.deciding)
        if not rules:
            rules = ", ".join(rule.id for rule in decision.open)
            return f"deny ({rules} can't be judged)" if rules else "deny (no rule)"
        groups = {group.group: group for rule in decision.deciding for group in rule.reviewers}
        words = [
            name
            if group == self._groups.old.get(name) == self._groups.new.get(name)
            else f"{name}: {group_in_words(group)}"
            for name, group in groups.items()
        ]
        return f"{decision.verdict}{' by ' if words else ''}{' and '.join(words)} ({rules})"
