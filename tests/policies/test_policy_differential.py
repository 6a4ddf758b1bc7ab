"""Those who decide, and those who say what a rule means, never disagree.

Hypothesis writes books in the language of the files, and the house's own loader reads them. Each rule is then asked
of the compiled function that decides, of the reference, and of CEL, an engine that other people made, on facts with
gaps and edges. One answer that differs is a failure; so is a run that compared too little.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.decisions import Contest
from benchmarks.rivals.expressions import Cel
from benchmarks.rivals.language import Inexpressible
from core.money import Money
from policies.book import Book, load_book
from policies.clauses import Rule
from policies.conditions import asks_whether_known, paths
from policies.program import Decision, Program
from policies.proofs.domain import Domain
from policies.proofs.encode import Encoding
from policies.proofs.logic import Logic
from policies.reference import evaluate, why_open
from tests.support.books import HEAD, TOOL, books, clause, situation, vocabulary

WORDS = vocabulary()
SITUATIONS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("USD",), 0.0),
    (("USD",), 0.1),
    (("EUR",), 0.0),
    (("JPY",), 0.3),
    (("USD", "USD", "EUR"), 0.0),
    (("USD", "JPY", "KWD"), 0.2),
)
"""The currencies that amounts are in, and how many facts are missing."""

_MANY = settings(deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.reuse, Phase.generate))
"""Not made smaller where it fails, which takes minutes: the failure names the rule and the facts."""


def loaded(text: str) -> Book:
    return load_book(("any.yaml", text), WORDS)


def situations(book: Book, seed: int, each: int = 1) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    chance, terms = Random(seed), book.vocabulary.tools[TOOL]
    return [
        (currencies, situation(chance, terms, currencies, gaps)) for currencies, gaps in SITUATIONS for _ in range(each)
    ]


class CelRival:
    """The rules of a book that CEL can express in one currency."""

    def __init__(self, book: Book, currency: str) -> None:
        self._language = Cel(currency)
        self._kinds = {path: term.type for path, term in book.vocabulary.tools[TOOL].items()}
        self._programs: dict[str, Any] = {}
        self.inexpressible: Counter[str] = Counter()
        for rule in book.rules:
            try:
                self._programs[rule.id] = self._language.compiled(rule.conditions[TOOL])
            except Inexpressible as reason:
                self.inexpressible[str(reason)] += 1

    def answers(self, env: Mapping[str, Any]) -> dict[str, bool | None]:
        facts = self._language.facts(env, self._kinds)
        return {rule: self._language.answer(program, facts) for rule, program in self._programs.items()}


def test_the_compiled_rules_the_reference_and_cel_agree_on_any_book(
    record_property: Callable[[str, int], None],
) -> None:
    asked: Counter[str] = Counter()

    @settings(_MANY, max_examples=100)
    @given(books(5, 30), st.integers(0, 2**32))
    def agree(text: str, seed: int) -> None:
        book = loaded(text)
        rivals = {currency: CelRival(book, currency) for currency in ("USD", "EUR", "JPY")}
        program = book.program(TOOL)
        for currencies, env in situations(book, seed, each=6):
            answers = {rule.id: evaluate(rule.conditions[TOOL], env) for rule in book.rules}
            decided = program.decide(env)
            assert outcome(decided) == outcome(program.naive(env, evaluate))
            asked["decisions"] += 1
            matched, unsettled = (frozenset(rule.id for rule in rules) for rules in (decided.matched, decided.open))
            for rule in book.rules:
                answer = answers[rule.id]
                assert (rule.id in matched) is (answer is True), (rule.conditions[TOOL], env)
                assert (rule.id in unsettled) is (answer is None and not rule.monitor), (rule.conditions[TOOL], env)
            asked["compiled and reference"] += len(answers)
            asked.update(f"answered {answer}" for answer in answers.values())
            if len(currencies) == 1:
                others = rivals[currencies[0]].answers(env)
                differing = [rule for rule, answer in others.items() if answer is not answers[rule]]
                assert not differing, (differing, text, env)
                asked["cel"] += len(others)
                asked["cel, not told"] += sum(answer is None for answer in others.values())

    agree()
    for name, count in asked.items():
        record_property(name, count)
    print("\n" + ", ".join(f"{name} {count:,}" for name, count in asked.items()) + "; mismatches 0")
    assert asked["compiled and reference"] >= 20_000
    assert asked["cel"] >= 5_000
    assert min(asked[f"answered {answer}"] for answer in (True, False, None)) >= 2_000
    assert asked["cel, not told"] >= 500


def outcome(decision: Decision) -> tuple[Any, ...]:
    return (decision.verdict, *(sorted(rule.id for rule in rules) for rules in decision[1:]))


def test_z3_agrees_too() -> None:
    asked: Counter[bool | None] = Counter()

    @settings(_MANY, max_examples=20)
    @given(books(5, 10), st.integers(0, 2**32))
    def agree(text: str, seed: int) -> None:
        book = loaded(text)
        conditions = [rule.conditions[TOOL] for rule in book.rules]
        domain = Domain.of(TOOL, frozenset[str]().union(*map(paths, conditions)), [book])
        encoding = Encoding(Logic(), domain, conditions)
        for _, env in situations(book, seed):
            if not domain.allows(env):
                continue  # an amount that every payment has is missing, or a count is below nothing
            found = encoding.unknowns.asking.possible([encoding.unknowns.exactly(env)])
            assert found is not None
            for condition in conditions:
                told, answer = encoding.whole(condition), evaluate(condition, env)
                said = (found.truth(told.true), found.truth(told.false))
                assert said == (answer is True, answer is False), (condition, env)
                asked[answer] += 1

    agree()
    print(f"\nz3 {asked.total():,}, mismatches 0")
    assert asked.total() >= 100


@settings(_MANY, max_examples=25)
@given(books(5, 30), st.integers(0, 2**32))
def test_the_order_of_the_rules_changes_no_decision(text: str, seed: int) -> None:
    book = loaded(text)
    shuffled: list[Rule] = Random(seed).sample(book.rules, len(book.rules))
    other = Program.of(TOOL, shuffled, book.vocabulary.tools[TOOL])
    for _, env in situations(book, seed):
        assert outcome(book.program(TOOL).decide(env)) == outcome(other.decide(env))


@settings(_MANY, max_examples=25)
@given(books(5, 10), st.integers(0, 2**32))
def test_what_is_settled_stays_so_when_the_missing_facts_come_in(text: str, seed: int) -> None:
    """Kleene's promise, on which denying for missing facts rests: what is known was not a guess."""
    book = loaded(text)
    for _, env in situations(book, seed):
        filled = {path: _some(book, path) if value is None else value for path, value in env.items()}
        for condition in (rule.conditions[TOOL] for rule in book.rules):
            settled = evaluate(condition, env)
            reasons = why_open(condition, env)
            assert bool(reasons) is (settled is None)
            if settled is not None and not asks_whether_known(condition):
                assert evaluate(condition, filled) is settled
            elif settled is None and all(env[path] is not None for path in paths(condition)):
                assert any("in " in reason for reason in reasons)  # only a currency can be in the way


@pytest.mark.parametrize(
    "long",
    [
        "order.days" + " + 1" * 990 + " == 992",
        "args.amount" + " + 1 EUR" * 490 + " == 491 EUR",
        " and ".join(["order.days==2"] * 220),
        " or ".join(["order.days!=2"] * 220),
        "(not " * 15 + "order.days != 2" + ")" * 15,
        f"order.days in [{', '.join(str(each) for each in range(800))}]",
    ],
)
def test_the_longest_conditions_are_run_as_any(long: str) -> None:
    program = loaded(HEAD + clause(0, "allow", [long])).program(TOOL)
    env = program.blank | {"order.days": 2, "args.amount": Money.of(1, "EUR")}

    assert outcome(program.decide(env)) == outcome(program.naive(env, evaluate))
    assert outcome(program.decide(program.blank)) == outcome(program.naive(program.blank, evaluate))


def _some(book: Book, path: str) -> Any:
    return situation(Random(0), {path: book.vocabulary.tools[TOOL][path]}, ("USD",), 0.0)[path]


def test_rivals_are_measured_on_the_decisions_that_we_make() -> None:
    contest = Contest(100, 80)  # raises where CEL or Cedar decides one of them in another way

    assert {decide().verdict for decide in contest.ours.alone} == {"allow", "review", "deny"}
    assert [rival.name for rival in contest.rivals] == ["CEL", "Cedar"]
