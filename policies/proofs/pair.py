"""The rules of one tool in two versions of a book, over the same facts.

What is denied because a fact is missing makes any two versions hard to compare: a rule that matches more often is
told more often, and what it says is milder than "can't be told". So the versions are compared where every fact is
known, but for those of which a rule asks whether they are. That is enough: what the new version says although
something is missing, it says whatever the missing facts are, and there it was compared. The same goes for amounts in
different currencies: where the old version could not compare them, it is taken to have said the strictest that it
could have.

An approval is another thing. What the new version allows where the old one denied because it could not be told, nobody
looks at, and a fact that has to be there may be all that the old version asked. So that is searched for by itself, in
every situation, and where there is one, nothing is proved.
"""

from __future__ import annotations

from itertools import chain

from core.money import Money
from policies.book import Book
from policies.clauses import Decides
from policies.conditions import asks_whether_known, paths
from policies.program import Decision
from policies.proofs.difference import Shown, ToolDifference
from policies.proofs.domain import Domain, Env
from policies.proofs.encode import Encoding
from policies.proofs.logic import Logic, Truth, Undecided, alike, every, no, some
from policies.proofs.outside import group_in_words
from policies.proofs.sides import Side
from policies.proofs.situations import Shows, simplest, usual_currency
from policies.proofs.strictness import Direction, Groups
from policies.reference import evaluate


class Pair:
    def __init__(self, old: Book, new: Book, tool: str, logic: Logic) -> None:
        self._tool = tool
        self._book = new if tool in new.vocabulary.tools else old
        self._programs = old.program(tool), new.program(tool)
        before, after = (tuple(rule for _, rule in each.tests if not rule.monitor) for each in self._programs)
        self._groups = Groups.of(before, after)
        read = [rule.conditions[tool] for rule in chain(before, after)]
        self._asked = frozenset[str]().union(*map(asks_whether_known, read))
        """Missing is something that rules speak of, here."""
        self._domain = Domain.of(tool, frozenset[str]().union(*map(paths, read)), [old, new])
        self._logic, self._encoding = logic, Encoding(logic, self._domain, read)
        self._old, self._new = (Side.of(rules, tool, self._encoding) for rules in (before, after))

    def difference(self) -> ToolDifference:
        """Raises nothing: where z3 gives up, nothing is proved."""
        try:
            return self._difference()
        except Undecided as gave_up:
            return ToolDifference(self._tool, unproved=str(gave_up))

    def _difference(self) -> ToolDifference:
        unknowns = self._encoding.unknowns
        known = self._named("known", unknowns.told_but(self._asked))
        plain = self._named("plain", unknowns.plain)
        looser = self._named("looser", self._looser(self._old))
        tighter = self._named("tighter", self._tighter())
        settled = self._named("settled", no(self._new.unsettled))
        shown = self._shown(Direction.LOOSER, self._is_plain, [known, plain, looser])
        if shown is None:
            guessed = Side.of(self._old.rules, self._tool, self._encoding, guessed=True)
            strictest = self._named("looser than it could have been", self._looser(guessed))
            shown = self._shown(Direction.LOOSER, self._is_known, [known, strictest])
        denied = every((self._old.deny, self._old.unsettled))
        allows = self._named("allowed", every((denied, self._new.allow)))
        reviews = self._named("reviewed", every((denied, self._new.review)))
        allowed = None if shown else self._shown(Direction.LOOSER, self._verdict_is("allow"), [allows])
        return ToolDifference(
            self._tool,
            shown,
            self._shown(Direction.TIGHTER, self._is_plain, [known, plain, tighter])
            or self._shown(Direction.TIGHTER, self._is_known, [known, tighter, settled]),
            unproved="allowed although something is not known" if allowed else "",
            allowed=allowed,
            unknown=None if shown else self._shown(Direction.LOOSER, self._verdict_is("review"), [reviews]),
        )

    def _named(self, name: str, truth: Truth) -> Truth:
        """z3 takes only names as assumptions."""
        flag = self._logic.flag(name)
        self._encoding.unknowns.asking.add(alike(flag, truth))
        return flag

    def _looser(self, old: Side) -> Truth:
        new = self._new
        lost = some(every((old.asks(group), no(self._kept(group)))) for group in self._groups.old)
        return some(
            (every((old.deny, no(new.deny))), every((old.review, new.allow)), every((old.review, new.review, lost)))
        )

    def _tighter(self) -> Truth:
        old, new = self._old, self._new
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
        return False if partner is None else self._new.asks(partner)

    def _had(self, group: str) -> Truth:
        partner = self._groups.had(group)
        return False if partner is None else self._old.asks(partner)

    def _is_known(self, env: Env) -> bool:
        return all(env[path] is not None for path in self._domain.slots if path not in self._asked)

    def _is_plain(self, env: Env) -> bool:
        return self._is_known(env) and len({each.currency for each in env.values() if isinstance(each, Money)}) < 2

    def _verdict_is(self, verdict: Decides) -> Shows:
        """The new version says this, where the old one could not be told."""

        def fits(env: Env) -> bool:
            old, new = self._decisions(env)
            return bool(old.open) and new.verdict == verdict

        return fits

    def _decisions(self, env: Env) -> tuple[Decision, Decision]:
        old, new = (program.decide({**program.blank, **env}) for program in self._programs)
        return old, new

    def _shown(self, direction: Direction, fits: Shows, assumptions: list[Truth]) -> Shown | None:
        """An example, made simple, and asked of the reference once more."""
        env = self._encoding.unknowns.likely(assumptions, usual_currency(self._book, self._tool))
        if env is None:
            return None

        def shows(env: Env) -> bool:
            return self._groups.compare(*self._decisions(env)) is direction and fits(env)

        if not self._domain.allows(env) or not shows(env):
            raise AssertionError(f"z3 and the rules of {self._tool} disagree about what is {direction}: {env}")
        situation = simplest(self._book, self._domain, env, shows, lambda env: frozenset())
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
