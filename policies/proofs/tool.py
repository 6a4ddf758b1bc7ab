"""What can be asked about the rules of one tool in one book."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from policies.book import Book
from policies.clauses import Never, Rule
from policies.conditions import AllOf, Condition, paths
from policies.problems import At
from policies.proofs.domain import Domain, Env
from policies.proofs.encode import Encoding
from policies.proofs.logic import Logic, Truth, alike, every, no
from policies.proofs.sides import Side
from policies.proofs.situations import Always, Shows, Situation, simplest, usual_currency
from policies.reference import evaluate


class Named(NamedTuple):
    """A truth by a name, for z3 takes only names, and what they deny, as assumptions."""

    yes: Truth
    no: Truth


class ToolProof:
    """One encoding, many questions. Every situation that comes up is looked at for all of the rules at once."""

    def __init__(self, book: Book, tool: str, logic: Logic) -> None:
        self.book = book
        self.tool = tool
        self.program = book.program(tool)
        self.rules = [rule for _, rule in self.program.tests]
        nevers = [never.conditions[tool] for never in book.never if tool in never.conditions]
        read = [*(rule.conditions[tool] for rule in self.rules), *nevers]
        self.domain = Domain.of(tool, frozenset[str]().union(*map(paths, read)), [book])
        self._logic = logic
        self.encoding = Encoding(logic, self.domain, read)
        self._asking = self.encoding.unknowns.asking
        self.side = Side.of(tuple(self.rules), tool, self.encoding)
        self._named: dict[str, Named] = {}
        self._live: set[str] = set()
        self.needed: set[str] = set()
        """Rules seen to decide something that no other rule decides."""
        for example in book.examples:
            usual = self.domain.constants | self.domain.plain(example.facts, "USD")
            if example.tool == tool and self.domain.allows(usual):
                self._learn(usual)

    def named(self, name: str, truth: Callable[[], Truth]) -> Named:
        """Made once."""
        if name not in self._named:
            meant = truth()
            flag = meant if isinstance(meant, bool) else self._logic.flag(name)
            self._asking.add(alike(flag, meant))
            self._named[name] = Named(flag, no(flag))
        return self._named[name]

    def matches(self, rule: Rule) -> Named:
        return self.named(f"{rule.id} matches", lambda: self.encoding.whole(rule.conditions[self.tool]).true)

    def possible(self, assumptions: Sequence[Truth]) -> Env | None:
        env = self.encoding.unknowns.possible(assumptions)
        if env is not None:
            self._learn(env)
        return env

    def _learn(self, env: Env) -> None:
        """One situation shows of many rules that they match, and of some that they are needed."""
        decision = self.program.decide(env)
        self._live.update(rule.id for rule in decision.matched)
        if decision.verdict != "review":
            self.needed.update(rule.id for rule in decision.deciding if len(decision.deciding) == 1)
            return
        asked = [group.group for rule in decision.deciding for group in rule.reviewers]
        self.needed.update(
            rule.id for rule in decision.deciding if any(asked.count(group.group) == 1 for group in rule.reviewers)
        )

    def dead(self, rule: Rule) -> bool:
        return rule.id not in self._live and self.possible([self.matches(rule).yes]) is None

    def contradicting(self, rule: Rule) -> list[At]:
        """The parts of a dead rule that can't be true together; without any of them the others can."""
        condition = rule.conditions[self.tool]
        parts = condition.parts if isinstance(condition, AllOf) else (condition,)
        flags = [
            self.named(f"part {n} of {rule.id}", lambda part=part: self.encoding.told(part).true).yes  # type: ignore[misc]
            for n, part in enumerate(parts)
        ]
        return [parts[place].at for place in self._asking.needed(flags)]

    def gap(self) -> Situation | None:
        """No rule says anything, and nothing is missing but what is missing in the typical example too."""
        typical = self.book.typical.get(self.tool, {})
        left_out = {path for path in self.domain.slots if path in typical and typical[path] is None}
        unknowns = self.encoding.unknowns
        usual = self.named("nothing is missing", lambda: every((unknowns.told_but(left_out), unknowns.plain)))
        env = self._likely([usual.yes, self.named("no rule matches", lambda: self.side.silent).yes])

        def shows(env: Env) -> bool:
            decision = self.program.decide(env)
            enforced = [rule for rule in decision.matched if not rule.monitor]
            missing = {path for path, value in env.items() if value is None} - left_out
            return not (enforced or decision.open or missing)

        return self._shown(env, shows, self._wanting) if env else None

    def _wanting(self, env: Env) -> frozenset[str]:
        """What keeps the nearest rule that allows from matching."""
        tellings: list[list[Condition]] = []
        for rule in self.side.rules:
            if rule.decides == "allow":
                condition = rule.conditions[self.tool]
                parts = condition.parts if isinstance(condition, AllOf) else (condition,)
                tellings.append([part for part in parts if evaluate(part, env) is False])
        nearest = min(tellings, key=len) if tellings else []
        return frozenset[str]().union(*map(paths, nearest))

    def _likely(self, assumptions: Sequence[Truth]) -> Env | None:
        return self.encoding.unknowns.likely(assumptions, usual_currency(self.book, self.tool))

    def possibly(self, never: Never) -> bool:
        """Whether what a promise is about can happen at all."""
        return self.possible([self._about(never)]) is not None

    def broken(self, never: Never) -> Situation | None:
        """The book allows, without people, what it promised never to allow."""
        env = self._likely([self._about(never), self.named("it is allowed", lambda: self.side.allow).yes])
        condition = never.conditions[self.tool]

        def shows(env: Env) -> bool:
            return evaluate(condition, env) is True and self.program.decide(env).verdict == "allow"

        if env is None:
            return None
        return self._shown(env, shows, lambda env: paths(condition))

    def _about(self, never: Never) -> Truth:
        told = self.encoding.told
        return self.named(
            f"never {never.at.line}:{never.at.column}", lambda: told(never.conditions[self.tool]).true
        ).yes

    def _shown(self, env: Env, shows: Shows, always: Always) -> Situation:
        """Made simple, and asked of the reference once more."""
        if not self.domain.allows(env) or not shows(env):
            raise AssertionError(f"z3 and the rules of {self.tool} disagree: {env}")
        situation = simplest(self.book, self.domain, env, shows, always)
        naive = self.program.naive(situation.facts, evaluate)
        if naive != self.program.decide(situation.facts):
            raise AssertionError(f"the reference and the rules of {self.tool} disagree: {situation}")
        return situation
