"""Books that nobody wrote: hypothesis makes them, as text in the language of the files, and what they are asked of.

Constants are few and values lie on them and right beside them, so that every comparison's edge is met.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from random import Random
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from core.actions import Effect, Egress, ToolSpec
from core.money import Money
from core.verdicts import FactSpec, FactType
from policies.vocabulary import Origin, Terms, Vocabulary

Texts = st.SearchStrategy[str]

TOOL = "pay"
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


class Reason(StrEnum):
    DEFECTIVE = "DEFECTIVE"
    UNWANTED = "UNWANTED"
    OTHER = "OTHER"


class Pay(BaseModel):
    amount: Money
    fee: Money | None = None
    reason: Reason
    keep: bool = False
    weight: Decimal | None = None
    pieces: int = 1
    note: str = ""


class Nothing(BaseModel):
    pass


_WORDS = ("OPEN", "CLOSED", "OTHER")
_FACTS = {
    "order.left": FactType.MONEY,
    "order.paid": FactType.MONEY,
    "order.days": FactType.INTEGER,
    "order.lines": FactType.INTEGER,
    "order.owned": FactType.BOOLEAN,
    "order.final": FactType.BOOLEAN,
    "order.status": FactType.CHOICE,
    "order.was": FactType.CHOICE,
    "order.country": FactType.TEXT,
    "order.origin": FactType.TEXT,
    "order.sent_at": FactType.TIME,
    "order.due_at": FactType.TIME,
    "photo.score": FactType.DECIMAL,
    "photo.least": FactType.DECIMAL,
}

HEAD = """\
policy: nobody's
version: '1'
owner: chance@shop.example
in_force: {from: 2026-01-01}
limits:
  auto: [1 USD, 1 EUR, 100 JPY]
  cap: [2 USD, 2.01 EUR, 300 JPY]
  dollars: 1.50 USD
  few: 2
  half: 0.5
counts:
  customer.refunds: {count: pay, per: customer, window: 30 days, include: [done]}
  agent.paid: {sum: pay.amount, per: agent, window: 24 hours, include: [done]}
reviewers:
  desk: {role: returns_reviewer, within: 4 hours}
  finance: {role: finance_controller, people: 2, within: 1 day}
rules:
"""


def vocabulary() -> Vocabulary:
    spec: ToolSpec[Any] = ToolSpec(
        TOOL, Effect.IRREVERSIBLE, Pay, Nothing, lambda args: "", egress=frozenset({Egress.PROVIDER})
    )
    facts = [
        FactSpec(path=path, type=kind, doc="", choices=_WORDS if kind is FactType.CHOICE else ())
        for path, kind in _FACTS.items()
    ]
    return Vocabulary.of("nobody", {TOOL: spec}, facts)


# Conditions as text

_amounts = st.sampled_from(["args.amount", "args.fee", "order.left", "order.paid", "agent.paid"])
_numbers = st.sampled_from(
    ["order.days", "order.lines", "args.pieces", "customer.refunds", "photo.score", "photo.least", "args.weight"]
)
_flags = st.sampled_from(["order.owned", "order.final", "args.keep"])
_any_path = st.sampled_from([*_FACTS, "args.fee", "args.weight", "args.amount", "agent.paid"])
_orders = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
_equals = st.sampled_from(["==", "!="])
_never_alone = st.sampled_from(
    [
        *("order.owned and true", "order.final or false", "args.keep and case.kind == nobody"),
        *("order.owned or tool.egress.customer", "order.final and tool.effect in [irreversible, read]"),
    ]
)
"""What never changes: a rule that it settles by itself is refused."""


def _sums(terms: Texts) -> Texts:
    return st.lists(terms, min_size=1, max_size=3).map(" + ".join)


def _pairs(left: Texts, op: Texts, right: Texts) -> Texts:
    return st.tuples(left, op, right, st.booleans()).map(_written)


def _written(pair: tuple[str, str, str, bool]) -> str:
    left, op, right, turned = pair
    return f"{right} {op} {left}" if turned else f"{left} {op} {right}"


def _lists(item: Texts, options: Texts) -> Texts:
    some = st.lists(options, min_size=1, max_size=3, unique=True).map(", ".join)
    return st.builds(lambda a, no, b: f"{a} {no}in [{b}]", item, st.sampled_from(["", "not "]), some)


def tests_of(currency: str) -> Texts:
    """One comparison, list or question. A condition may write amounts in one currency only."""
    written = st.sampled_from({"JPY": ["100 JPY", "200 JPY"]}.get(currency, [f"1 {currency}", f"2.01 {currency}"]))
    limits = st.sampled_from(["$auto", "$cap", "$dollars"])
    words = st.sampled_from(_WORDS)
    countries = st.sampled_from(["US", "NO", '"010"', '"it\'s"', "'say \"no\"'", '"a\\\\b"', '"Åland"'])
    return st.one_of(
        _pairs(_amounts, _orders, st.one_of(written, limits)),
        _pairs(_sums(_amounts), _orders, _sums(st.one_of(_amounts, written, limits))),
        _pairs(_numbers, _orders, st.sampled_from(["0", "1", "2", "-1", "0.5", "1.5", "$few", "$half"])),
        _pairs(_sums(_numbers), _orders, _sums(st.one_of(_numbers, st.sampled_from(["1", "0.5", "$few", "$half"])))),
        _pairs(st.just("order.sent_at"), _orders, st.just("order.due_at")),
        _pairs(st.sampled_from(["order.status", "order.was"]), _equals, words),
        _pairs(st.just("args.reason"), _equals, st.sampled_from([reason.value for reason in Reason])),
        st.sampled_from(["order.status == order.was", "args.reason != order.status", "order.country == order.origin"]),
        st.sampled_from(["order.was == order.country"]),
        _pairs(st.just("order.country"), _equals, countries),
        st.one_of(_flags, _flags.map("not {}".format), _pairs(_flags, _equals, st.sampled_from(["true", "false"]))),
        st.sampled_from(["order.owned == order.final", "args.keep != order.owned"]),
        _never_alone,
        _lists(st.sampled_from(["order.status", "order.was"]), words),
        _lists(st.just("order.country"), countries),
        _lists(_numbers, st.sampled_from(["0", "1", "2", "0.5"])),
        _lists(_amounts, written),
        st.builds("{} is {}".format, _any_path, st.sampled_from(["known", "unknown"])),
    )


def conditions(currency: str) -> Texts:
    return st.recursive(
        tests_of(currency),
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: " and ".join(f"({part})" for part in parts)),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + ") or\n (".join(parts) + ")"),
            inner.map("not ({})".format),
        ),
        max_leaves=6,
    )


any_condition = st.one_of(*(conditions(currency) for currency in ("USD", "EUR", "JPY")))


# Books as text


def clause(number: int, decide: str, when: list[str], unless: str = "", monitor: bool = False) -> str:
    lines = [f"- id: R{number}", f"  tools: [{TOOL}]", f"  decide: {decide}", "  reason: Because.", "  cite: '1'"]
    lines += ["  mode: monitor"] if monitor else []
    lines += ["  when:", *(f"  - |\n{_deeper(part)}" for part in when)] if when else []
    lines += [f"  unless: |\n{_deeper(unless)}"] if unless else []
    return "\n".join(lines)


def _deeper(text: str) -> str:
    return "\n".join(f"      {line.strip()}" for line in text.split("\n"))


_decisions = st.sampled_from(["allow", "allow", "review by desk", "review by desk and finance", "deny"])
_clauses = st.tuples(
    _decisions,
    st.lists(any_condition, min_size=1, max_size=2),
    st.one_of(st.just(""), st.just(""), any_condition),
    st.sampled_from([False, False, False, True]),
)


def books(least: int, most: int) -> Texts:
    """Of so many rules for one tool."""
    return st.lists(_clauses, min_size=least, max_size=most).map(
        lambda clauses: HEAD + "\n".join(clause(number, *each) for number, each in enumerate(clauses)) + "\n"
    )


# What they are asked of

_VALUES: Mapping[FactType, list[Any]] = {
    FactType.INTEGER: [-1, 0, 1, 2, 3],
    FactType.DECIMAL: [Decimal(text) for text in ("-0.5", "0", "0.49", "0.5", "0.51", "1", "1.50", "2")] + [1, 2],
    FactType.BOOLEAN: [True, False],
    FactType.TEXT: ["US", "NO", "010", "10", "it's", 'say "no"', "a\\\\b", "Åland", "OPEN"],
    FactType.TIME: [NOON + timedelta(microseconds=each) for each in (-1, 0, 1)],
}
_MINOR = (0, 1, 99, 100, 101, 149, 150, 151, 199, 200, 201, 202, 300, 301)


def situation(chance: Random, terms: Terms, currencies: tuple[str, ...], gaps: float) -> dict[str, Any]:
    """A value for each path, of its type; None for so large a part of them. Drawn from a seed: it is done often."""
    found: dict[str, Any] = {}
    for path, term in terms.items():
        if term.origin is Origin.HOUSE:
            found[path] = term.constant
        elif chance.random() < gaps:
            found[path] = None
        elif term.type is FactType.MONEY:
            found[path] = Money(amount_minor=chance.choice(_MINOR), currency=chance.choice(currencies))
        else:
            found[path] = chance.choice(_VALUES.get(term.type, term.choices))
    return found
