"""The rules of one tool, ready to run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from policies.clauses import Decides, Rule
from policies.compiled import Run, compiled
from policies.conditions import Condition, paths
from policies.vocabulary import Origin, Term, Terms


class Decision(NamedTuple):
    """What the rules of a tool say. `deciding` are the rules that made the verdict; none: no rule allowed it."""

    verdict: Decides
    deciding: list[Rule]
    matched: list[Rule]
    """All that match, monitored ones included."""
    open: list[Rule]
    """Enforced rules that can't be told, for a missing fact or another currency."""


_NO_RULES = compiled(())


@dataclass(frozen=True)
class Program:
    tool: str
    tests: tuple[tuple[Condition, Rule], ...]
    blank: Mapping[str, Any]
    """Every path that a rule reads, without a value; what never changes is filled in."""
    args: tuple[Term, ...]
    facts: tuple[Term, ...]
    run: Run = _NO_RULES

    @classmethod
    def of(cls, tool: str, rules: Iterable[Rule], terms: Terms) -> Program:
        mine = [rule for rule in rules if tool in rule.conditions]
        read = sorted(frozenset[str]().union(*(paths(rule.conditions[tool]) for rule in mine)))
        used = [terms[path] for path in read]
        tests = tuple((rule.conditions[tool], rule) for rule in mine)
        return cls(
            tool,
            tests,
            {term.path: term.constant for term in used},
            tuple(term for term in used if term.origin is Origin.ARGS),
            tuple(term for term in used if term.origin in (Origin.FACT, Origin.COUNT, Origin.GATE)),
            compiled(tests),
        )

    def decide(self, env: Mapping[str, Any]) -> Decision:
        """The strictest match holds. `env` has a value or None for each path of `blank`."""
        return settle(*self.run(env))

    def naive(
        self, env: Mapping[str, Any], evaluate: Callable[[Condition, Mapping[str, Any]], bool | None]
    ) -> Decision:
        """The same by another evaluation of conditions: the reference's, in tests."""
        answers = [(rule, evaluate(condition, env)) for condition, rule in self.tests]
        return settle(
            [rule for rule, answer in answers if answer],
            [rule for rule, answer in answers if answer is None and not rule.monitor],
        )


def settle(matched: list[Rule], unsettled: list[Rule]) -> Decision:
    """deny > what can't be told > review > allow > nothing, which denies."""
    allowing: list[Rule] = []
    reviewing: list[Rule] = []
    denying: list[Rule] = []
    for rule in matched:
        if not rule.monitor:
            (allowing if rule.decides == "allow" else reviewing if rule.decides == "review" else denying).append(rule)
    if denying or unsettled:
        return Decision("deny", denying, matched, unsettled)
    if reviewing:
        return Decision("review", reviewing, matched, unsettled)
    return Decision("allow" if allowing else "deny", allowing, matched, unsettled)
