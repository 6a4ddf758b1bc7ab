"""A decision among 10, 100 and 1,000 rules of eight tools, beside other engines on the same rules and requests.

Each rival has its best form: CEL's rules are compiled once and only those of the tool are asked; Cedar's policies are
parsed once, entities and requests are made before, and the tool is the action, by which Cedar slices. Facts are in the
form that each engine takes, made before too, where the rules alone are measured. For a whole decision the rival stands
in the place of our rules, in the same `judge`. Before anything is measured, all have to decide alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import cel
import yaml

from benchmarks.measure import Cost, Figure, Report, Work, in_turns, middle, repeated
from benchmarks.rivals import desk
from benchmarks.rivals.cedar import CedarBook, CedarRules
from benchmarks.rivals.expressions import CelRules, FlatCel
from core.verdicts import Verdict
from policies.book import Book, load_book
from policies.clauses import Rule
from policies.judge import Reading, judge
from policies.program import Decision, Program, settle

_AIMS_S = {10: 2e-6, 100: 6e-6, 1_000: 60e-6}
_LOAD_AIM_S = 0.5


class Engine(Protocol):
    """The rules of one tool in a rival's hands."""

    def __call__(self, env: Mapping[str, Any]) -> tuple[list[Rule], list[Rule]]: ...

    def prepared(self, env: Mapping[str, Any]) -> Any: ...

    def answer(self, prepared: Any) -> tuple[list[Rule], list[Rule]]: ...


@dataclass(frozen=True)
class Decider:
    """One engine under one book: every request by its rules alone, and as a whole."""

    name: str
    alone: list[Callable[[], Decision]]
    whole: list[Callable[[], Verdict]]
    times: int
    """How often a call is repeated: microseconds need many, milliseconds don't."""


class Contest:
    """The same requests under books of one size."""

    def __init__(self, rules: int, many: int) -> None:
        self.book = desk.book(rules)
        kinds = {path: term.type for terms in self.book.vocabulary.tools.values() for path, term in terms.items()}
        self._requests = desk.requests(many)
        self._envs = [self._env(request) for request in self._requests]
        programs, currency = self.book.programs, desk.CURRENCY
        cedar = CedarBook(programs, kinds, currency)
        self.ours = Decider("ours", self._by_rules(), self._judging(self.book), 200)
        self.rivals = [
            self._rival("CEL", {tool: CelRules(each.tests, kinds, currency) for tool, each in programs.items()}, 100),
            self._rival("Cedar", {tool: CedarRules(cedar, each) for tool, each in programs.items()}, 5),
        ]
        self._agree()

    def _env(self, request: desk.Request) -> Mapping[str, Any]:
        reading = Reading(self.book.programs[request.action.tool], desk.NOW, self.book.fresh_s)
        reading.take_args(self.book.vocabulary.specs[request.action.tool].args.model_validate(request.action.args))
        reading.take_facts(request.facts)
        return reading.env

    def _by_rules(self) -> list[Callable[[], Decision]]:
        def call(program: Program, env: Mapping[str, Any]) -> Callable[[], Decision]:
            return lambda: program.decide(env)

        found = zip(self._requests, self._envs, strict=True)
        return [call(self.book.programs[request.action.tool], env) for request, env in found]

    def _judging(self, book: Book) -> list[Callable[[], Verdict]]:
        def call(request: desk.Request) -> Callable[[], Verdict]:
            return lambda: judge(book, request.action, request.facts, desk.NOW)

        return [call(request) for request in self._requests]

    def _rival(self, name: str, engines: Mapping[str, Engine], times: int) -> Decider:
        def call(engine: Engine, prepared: Any) -> Callable[[], Decision]:
            return lambda: settle(*engine.answer(prepared))

        driven = replace(self.book)
        vars(driven)["programs"] = {  # what a book keeps once it was asked for them
            tool: replace(program, run=engines[tool]) for tool, program in self.book.programs.items()
        }
        each = [(engines[request.action.tool], env) for request, env in zip(self._requests, self._envs, strict=True)]
        alone = [call(engine, engine.prepared(env)) for engine, env in each]
        return Decider(name, alone, self._judging(driven), times)

    def _agree(self) -> None:
        for rival in self.rivals:
            for ours, theirs in zip(self.ours.alone, rival.alone, strict=True):
                if _said(ours()) != _said(theirs()):
                    raise AssertionError(f"{rival.name} decides {_said(theirs())}, we {_said(ours())}")
            for mine, other in zip(self.ours.whole, rival.whole, strict=True):
                if _judged(mine()) != _judged(other()):
                    raise AssertionError(f"{rival.name} judges {_judged(other())}, we {_judged(mine())}")


def _said(decision: Decision) -> tuple[str, list[str]]:
    """Verdict, and the rules that made it: Cedar names no others."""
    return decision.verdict, sorted(rule.id for rule in decision.deciding)


def _judged(verdict: Verdict) -> tuple[str, list[str]]:
    """Verdict, and the words of its reason: Cedar gives the rules in no order."""
    return verdict.verdict, sorted(verdict.reason.split())


def p50(calls: Sequence[Callable[[], object]], times: int) -> Work:
    """The median over all calls; each is repeated, for no clock tells a microsecond."""
    works = [repeated(times, call) for call in calls]

    async def work() -> Cost:
        return middle([await each() for each in works])

    return work


async def measured(quick: bool) -> Report:
    report, rounds = Report(), 1 if quick else 5
    for rules, most_s in _AIMS_S.items():
        contest = Contest(rules, 16 if quick else 80)
        deciders = [contest.ours, *contest.rivals]
        times = [max(1, each.times // 20) if quick else each.times for each in deciders]
        alone = [p50(each.alone, repeat) for each, repeat in zip(deciders, times, strict=True)]
        whole = [p50(each.whole, max(1, repeat // 5)) for each, repeat in zip(deciders, times, strict=True)]
        costs = await in_turns(rounds, *alone, *whole)
        ours, *others = costs[: len(deciders)]
        for rival, cost in zip(contest.rivals, others, strict=True):
            report.figures.append(
                Figure(
                    f"one of {rules:,} rules, p50: the rules alone",
                    ours,
                    f"{rival.name}, facts in its own form",
                    cost,
                    aim=f"{most_s * 1e6:.0f} µs",
                    most_s=most_s,
                )
            )
        ours, *others = costs[len(deciders) :]
        for rival, cost in zip(contest.rivals, others, strict=True):
            name = f"one of {rules:,} rules, p50: the whole judge()"
            report.figures.append(Figure(name, ours, f"the same with {rival.name} for the rules", cost))
    report.figures += await _loading(contest.book, rounds)
    return report


async def _loading(book: Book, rounds: int) -> list[Figure]:
    """Of the largest book: read, typed, checked and compiled."""
    many = len(book.rules)
    text, words, language = desk.written(many), desk.vocabulary(), FlatCel(desk.CURRENCY)
    conditions = [condition for program in book.programs.values() for condition, _ in program.tests]
    written = [language.condition(condition) for condition in conditions]

    def load() -> object:
        return load_book(("book.yaml", text), words).programs

    beside: dict[str, Callable[[], object]] = {
        "yaml.safe_load of the same text, unchecked": lambda: yaml.safe_load(text),
        "yaml's C loader, unchecked": lambda: yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)),
        "CEL: the same conditions compiled, untyped": lambda: [cel.compile(each) for each in written],
    }
    ours, *others = await in_turns(rounds, repeated(1, load), *(repeated(1, each) for each in beside.values()))
    name = f"a book of {many:,} rules, loaded"
    return [
        Figure(name, ours, floor, cost, aim=f"{_LOAD_AIM_S} s", most_s=_LOAD_AIM_S)
        for floor, cost in zip(beside, others, strict=True)
    ]
