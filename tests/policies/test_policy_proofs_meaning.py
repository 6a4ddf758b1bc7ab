"""z3 sees in a book what the reference sees: the same answers on any facts, and on any condition."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.money import Money
from core.verdicts import FactType, FactValue
from policies.book import Book, load_book, read_book
from policies.conditions import Condition, paths
from policies.document import Scalar
from policies.lexer import tokens
from policies.parser import Scope, parse
from policies.problems import At
from policies.proofs.domain import Domain, Slot
from policies.proofs.encode import Encoding
from policies.proofs.logic import Logic
from policies.proofs.sides import Side
from policies.reference import evaluate
from policies.vocabulary import Vocabulary

BOOKS = Path(__file__).parents[2] / "policies" / "books"
Load = Callable[[str], Book]

F = FactType
_NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
VALUES: dict[FactType, list[Any]] = {
    F.INTEGER: [0, 1, 2, 3, 4, 29, 30, 31, 1500, 1501],
    F.DECIMAL: [Decimal("0"), Decimal("0.5"), Decimal("0.59"), Decimal("0.6"), 1],
    F.BOOLEAN: [True, False],
    F.TEXT: ["US", "NO", "OPEN", "DEFECTIVE", "o1"],
    F.TIME: [_NOON, _NOON + timedelta(microseconds=1), _NOON.astimezone(), _NOON - timedelta(days=40)],
}
MINORS = [0, 1, 2_500, 2_501, 10_000, 15_000, 15_001, 25_001, 50_000, 50_001, 500_001]


def a_value(slot: Slot, chance: random.Random, currency: str) -> FactValue:
    if slot.term.type is F.MONEY:
        return Money(amount_minor=max(chance.choice(MINORS), slot.low or 0), currency=currency)
    value = chance.choice(list(slot.term.choices) or VALUES[slot.term.type])
    return value if slot.term.type is not F.INTEGER else min(max(value, slot.low or 0), slot.high or value)


def some_facts(domain: Domain, chance: random.Random) -> dict[str, FactValue]:
    """Any situation that can be: with gaps, and now and then an amount in another currency."""
    guards = {guard for slot in domain.slots.values() for guard in slot.guards}
    gaps = chance.choice([0.0, 0.1, 0.5])
    given = {guard for guard in sorted(guards) if chance.random() >= gaps}
    usual, apart = chance.choice(["USD", "USD", "JPY", "CHF"]), chance.choice([0.0, 0.2])
    env: dict[str, FactValue] = dict(domain.constants)
    for path, slot in domain.slots.items():
        currency = chance.choice(["EUR", "KWD", "SEK"]) if chance.random() < apart else usual
        env[path] = a_value(slot, chance, currency) if given.issuperset(slot.guards) else None
    for path, slot in domain.slots.items():
        own, total = env.get(slot.sum_of), env[path]
        if isinstance(own, Money) and isinstance(total, Money):
            env[path] = Money(amount_minor=total.amount_minor, currency=own.currency)
    return env


class Seen:
    """The rules of one tool, for z3 and for the reference."""

    def __init__(self, book: Book, tool: str) -> None:
        self.program = book.program(tool)
        self.rules = [rule for _, rule in self.program.tests]
        self.conditions = {rule.id: rule.conditions[tool] for rule in self.rules}
        read = list(self.conditions.values())
        self.domain = Domain.of(tool, frozenset[str]().union(*map(paths, read)), [book])
        self.encoding = Encoding(Logic(), self.domain, read)
        self.side = Side.of(tuple(self.rules), tool, self.encoding)

    def agree(self, env: dict[str, FactValue]) -> None:
        assert self.domain.allows(env)
        found = self.encoding.unknowns.asking.possible([self.encoding.unknowns.exactly(env)])
        assert found is not None
        for name, condition in self.conditions.items():
            told, answer = self.encoding.whole(condition), evaluate(condition, env)
            said = (found.truth(told.true), found.truth(told.false), found.truth(told.open))
            assert said == (answer is True, answer is False, answer is None), (name, env)
        verdicts = {name: found.truth(getattr(self.side, name)) for name in ("allow", "review", "deny")}
        verdict = self.program.naive(env, evaluate).verdict
        assert verdicts == {name: name == verdict for name in verdicts}, env


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_z3_and_the_reference_agree_on_the_small_book(seed: int, load: Load, book_text: str) -> None:
    chance, book = random.Random(seed), load(book_text)
    for tool in book.programs:
        seen = Seen(book, tool)
        for _ in range(5):
            seen.agree(some_facts(seen.domain, chance))


@pytest.fixture(scope="module")
def returns() -> Book:
    from graphs.catalog import vocabulary

    return load_book(BOOKS / "returns.yaml", vocabulary("returns"))


def test_z3_and_the_reference_agree_on_the_returns_book(returns: Book) -> None:
    chance = random.Random(20261102)
    for tool in returns.programs:
        seen = Seen(returns, tool)
        for _ in range(25):
            seen.agree(some_facts(seen.domain, chance))


PARTS = [
    "args.amount <= $auto", "args.amount == 25 USD", "agent.paid + args.amount > $cap", "order.left != args.amount",
    "args.transfer.amount + order.left <= args.amount", "args.amount in [0.01 USD, 25.01 USD]", "order.days >= $many",
    "order.days + customer.refunds < 31", "order.days > 2.5", "photo.score < $score",
    "photo.score + order.days >= 1.5", "photo.score in [0.5, 0.6]", "order.days in [0, 30]", "order.owned",
    "args.keep == order.owned", "args.keep != true", "args.reason == DEFECTIVE", "order.status in [OPEN]",
    "order.status != CLOSED", "order.country == NO", "order.country == order.status",
    "order.country != args.order_id", 'args.note in ["US", "o1"]', "args.note.length > 3", "args.lines.count == 0",
    "order.sent_at < order.due_at", "order.sent_at == order.due_at", "args.weight is known",
    "args.transfer.amount is unknown", "order.left is known", "tool.effect == irreversible", "tool.egress.provider",
    "case.kind == order.country", "args.amount is unknown", "true",
]  # fmt: skip
texts = st.recursive(
    st.sampled_from(PARTS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: " and ".join(f"({part})" for part in parts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: " or ".join(f"({part})" for part in parts)),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=5,
)


def read(text: str, book: Book) -> Condition:
    def unexpected(at: At, message: str, hint: str) -> None:
        raise AssertionError(f"{text}: {message}")

    start = At(1, 1)
    scope = Scope(book.vocabulary.tools["refund"], book.limits)
    condition = parse(tokens(Scalar(text, start, text, start)), scope, unexpected)
    assert condition is not None
    return condition


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts, seed=st.integers(0, 2**32))
def test_any_condition_means_the_same_to_z3(text: str, seed: int, load: Load, book_text: str) -> None:
    """Both ways: facts that are told to z3, and facts that z3 finds."""
    chance, book = random.Random(seed), load(book_text)
    condition = read(text, book)
    domain = Domain.of("refund", paths(condition), [book])
    encoding = Encoding(Logic(), domain, [condition])
    told, unknowns = encoding.told(condition), encoding.unknowns
    answers: dict[bool | None, Any] = {True: told.true, False: told.false, None: told.open}
    for _ in range(4):
        env = some_facts(domain, chance)
        found = unknowns.asking.possible([unknowns.exactly(env)])
        assert found is not None
        assert [answer for answer, truth in answers.items() if found.truth(truth)] == [evaluate(condition, env)]
    for answer, truth in answers.items():
        situation = unknowns.possible([truth])
        if situation is not None:
            assert domain.allows(situation)
            assert evaluate(condition, situation) is answer


def test_vocabulary_and_domain_name_the_same_arguments(words: Vocabulary, book: Book) -> None:
    """A path that only one of them knows would be taken as never missing, or as always."""
    arguments = [path for path, term in words.tools["refund"].items() if path.startswith("args.")]
    slots = Domain.of("refund", arguments, [book]).slots
    required = {path for path, slot in slots.items() if not slot.guards}
    assert {"args.order_id", "args.amount", "args.reason", "args.keep", "args.note", "args.lines.count"} <= required
    assert slots["args.transfer.method"].guards == ("args.transfer",)
    assert slots["args.weight"].guards == ("args.weight",)
    assert (slots["args.note.length"].low, slots["args.note.length"].high) == (0, 500)


def test_a_count_by_a_fact_may_be_missing_and_others_never_are(book_text: str, words: Vocabulary) -> None:
    by_fact = book_text.replace("{count: refund, per: customer,", "{count: refund, per: order.country,")
    for text, guards in ((book_text, ()), (by_fact, ("customer.refunds",))):
        book = read_book(("small.yaml", text), words)
        slots = Domain.of("refund", ["customer.refunds", "agent.paid"], [book]).slots
        assert slots["customer.refunds"].guards == guards
        assert slots["agent.paid"].guards == ()
