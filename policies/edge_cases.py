"""Examples for what a book leaves untried: each just at, just below or just above a threshold.

They start from the book's typical values and change as little as it takes. What they expect is what the book
says today, by the reference interpreter. Whether it should say that, a person has to confirm.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from typing import Any

from core.money import Money
from core.verdicts import FactValue
from policies.book import Book
from policies.clauses import Rule
from policies.conditions import Compare, Condition, LimitRef, Not, paths
from policies.coverage import SIDES, Coverage, Goal, known
from policies.examples import describe
from policies.explain import shown
from policies.moves import Moves
from policies.program import Decision
from policies.reference import evaluate, why_open

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]*")
_WIDTH = 118
_WAYS = 5
"""To make the rest of a clause hold."""
_UNKNOWN = " is unknown"


@dataclass(frozen=True)
class EdgeCase:
    """An example that shows `goal`."""

    goal: Goal
    tool: str
    changed: Mapping[str, FactValue]
    """Against the book's typical values; None for unknown."""
    expect: str
    env: Mapping[str, Any]

    def as_yaml(self) -> str:
        """As it is written under `cases:`."""
        parts = [f"tool: {self.tool}", *(f"{path}: {_written(value)}" for path, value in self.changed.items())]
        lines = ["- {"]
        for part in [*parts, f"expect: {self.expect}"]:
            more = f"{part}, "
            if len(lines[-1]) + len(more) > _WIDTH:
                lines.append("   ")
            lines[-1] += more
        lines = [line.rstrip() for line in lines]
        lines[-1] = lines[-1].rstrip(",") + "}"
        about = self.goal.untried if self.goal.side else "nothing made it match"
        return "\n".join([f"# {self.goal.clause}, {about}. Confirm that it is meant.", *lines])


@dataclass(frozen=True)
class Proposals:
    cases: tuple[EdgeCase, ...]
    unreached: tuple[Goal, ...]
    """For which no example was found."""

    def as_yaml(self, indent: int = 0) -> str:
        """To paste under `cases:`, whose entries begin after so many spaces."""
        lines = [f"# No example found: {goal.clause}: {goal.untried}." for goal in self.unreached]
        return textwrap.indent("\n".join([*(case.as_yaml() for case in self.cases), *lines]), " " * indent)


def proposals(coverage: Coverage) -> Proposals:
    """One example can show several things: what an earlier one shows needs no other."""
    found: list[EdgeCase] = []
    unreached: list[Goal] = []
    for goal in coverage.open:
        if any(goal.met((case.tool, case.env)) for case in found):
            continue
        ways = [_Search(coverage.book, goal, tool, records_first=way) for tool in goal.trees for way in (False, True)]
        ranked = [case for way in ways for case in way.cases()]
        if ranked:
            found.append(min(ranked, key=itemgetter(0))[1])
        else:
            unreached.append(goal)
    return Proposals(tuple(found), tuple(unreached))


class _Search:
    """For an example of one tool in which a goal is met, and in which it makes a difference."""

    def __init__(self, book: Book, goal: Goal, tool: str, *, records_first: bool) -> None:
        self._goal, self._tool = goal, tool
        self._program = book.program(tool)
        self._start = known(book, tool, {p: v for p, v in book.typical.get(tool, {}).items() if v is not None})
        self._moves = Moves(book.vocabulary.tools[tool], _currency(book, self._start), records_first=records_first)
        self._tree = goal.trees[tool]
        self._rule = next((rule for rule in book.rules if rule.id == goal.clause), None)
        self._clause = self._rule.conditions[tool] if self._rule else _promise(book, goal.clause, tool)

    def cases(self) -> Iterator[tuple[tuple[int, ...], EdgeCase]]:
        """Each with its rank, the best of which is the least."""
        for env in self._candidates():
            matters = self._matters(env)
            plain = self._simpler(self._unmasked(env), matters)
            expect, changed = self._expected(plain), self._changed(plain)
            if expect:
                masked = expect.startswith("deny") and self._rule is not None and self._rule.decides != "deny"
                rank = (not matters, masked, len(changed))
                yield tuple(map(int, rank)), EdgeCase(self._goal, self._tool, changed, expect, plain)

    def _candidates(self) -> Iterator[dict[str, Any]]:
        """With the rest of the clause made to hold around the threshold, where that can be; then without."""
        mine = paths(self._tree)
        for side in self._sides():
            beside = self._moves.to(side, True, self._start)
            if beside is None:
                continue
            for whole in (True, False):
                for around in islice(self._moves.ways(self._clause, whole, beside, mine), _WAYS):
                    if met := self._moves.to(self._tree, True, around, paths(self._clause) - mine):
                        yield met
        met = self._moves.to(self._tree, True, self._start)
        if met:
            yield met

    def _matters(self, env: Mapping[str, Any]) -> bool:
        """Whether the clause says something else on the other side of the threshold."""
        if self._clause is self._tree:
            return True
        others, here = paths(self._clause) - paths(self._tree), evaluate(self._clause, env)
        there = (self._moves.to(side, True, env, others) for side in self._sides())
        return any(env is not None and evaluate(self._clause, env) is not here for env in there)

    def _sides(self) -> list[Condition]:
        """Where a situation can lie, seen from the threshold."""
        if isinstance(self._tree, Compare) and self._goal.side in SIDES.values():
            return [replace(self._tree, op=op) for op in SIDES]
        return [self._tree, Not(self._tree, self._tree.at)]

    def _unmasked(self, env: dict[str, Any]) -> dict[str, Any]:
        """Without other rules that ask or deny, where they can be left out: the example is to show its own.

        Where its own does not hold, who asks instead is what the other side of the threshold means.
        """
        held, mine = paths(self._tree), evaluate(self._clause, env)
        for _ in range(3):
            before = env
            for condition, rule in self._program.tests:
                hides = rule.decides == "deny" or (rule.decides == "review" and mine is True)
                if rule.id == self._goal.clause or rule.monitor or not hides:
                    continue
                if evaluate(condition, env) is False:
                    continue
                away = self._moves.to(condition, False, env, held)
                if away and self._goal.met((self._tool, away)) and evaluate(self._clause, away) is mine:
                    env = away
            if env == before:
                break
        return env

    def _simpler(self, env: dict[str, Any], matters: bool) -> dict[str, Any]:
        """With every value back to the typical one that changes neither the goal nor what is said."""
        mine, expect = evaluate(self._clause, env), self._expected(env)
        for path in self._changed(env):
            back = {**env, path: self._start.get(path)}
            same = self._goal.met((self._tool, back)) and evaluate(self._clause, back) is mine
            if same and self._expected(back) == expect and (not matters or self._matters(back)):
                env = back
        return env

    def _changed(self, env: Mapping[str, Any]) -> dict[str, FactValue]:
        return {path: value for path, value in env.items() if value != self._start.get(path)}

    def _expected(self, env: Mapping[str, Any]) -> str:
        """In the words of an example; empty where it can't be said in them."""
        decision: Decision = self._program.naive({**self._program.blank, **env}, evaluate)
        if decision.verdict != "deny" or decision.deciding or not decision.open:
            return describe(decision, ())
        reasons = [reason for rule in decision.open for reason in self._why(rule, env)]
        if not reasons or not all(reason.endswith(_UNKNOWN) for reason in reasons):
            return ""
        missing = dict.fromkeys(reason.removesuffix(_UNKNOWN) for reason in reasons)
        return f"deny by unknown {' and '.join(missing)}"

    def _why(self, rule: Rule, env: Mapping[str, Any]) -> list[str]:
        return why_open(rule.conditions[self._tool], env)


def _promise(book: Book, clause: str, tool: str) -> Condition:
    return book.never[int(clause.removeprefix("never ")) - 1].conditions[tool]


def _currency(book: Book, typical: Mapping[str, FactValue]) -> str:
    amounts = [value for value in typical.values() if isinstance(value, Money)]
    limits: list[LimitRef] = list(book.limits.values())
    return amounts[0].currency if amounts else next((code for limit in limits for code in limit.amounts), "USD")


def _written(value: FactValue) -> str:
    """As a scalar of a YAML flow mapping, which a policy file reads as text."""
    if value is None:
        return "unknown"
    text = shown(value)
    if isinstance(value, Money):
        text = re.sub(r"\.0+ ", " ", text)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
