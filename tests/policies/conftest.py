"""A small desk with two tools, its vocabulary, and a book that is right: what the tests make mistakes in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from core.actions import Effect, Egress, ProposedAction, ToolSpec
from core.money import Money
from core.verdicts import Fact, FactSpec, FactType, FactValue, Verdict
from policies.book import Book, load_book
from policies.shelf import BookJudge
from policies.vocabulary import Vocabulary

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


class Reason(StrEnum):
    DEFECTIVE = "DEFECTIVE"
    UNWANTED = "UNWANTED"


class Line(BaseModel):
    sku: str
    quantity: int


class Transfer(BaseModel):
    amount: Money
    method: str


class Refund(BaseModel):
    order_id: str
    amount: Money
    reason: Reason
    keep: bool = False
    weight: Decimal | None = None
    note: Annotated[str, Field(max_length=500)] = ""
    lines: list[Line] = []
    transfer: Transfer | None = None


class Look(BaseModel):
    order_id: str


class Nothing(BaseModel):
    pass


SPECS: dict[str, ToolSpec[Any]] = {
    "refund": ToolSpec(
        "refund",
        Effect.IRREVERSIBLE,
        Refund,
        Nothing,
        lambda a: f"Refund {a.amount}",
        egress=frozenset({Egress.PROVIDER}),
    ),
    "look": ToolSpec("look", Effect.READ, Look, Nothing, lambda a: f"Look at {a.order_id}"),
}

FACTS = (
    FactSpec(path="order.owned", type=FactType.BOOLEAN, doc="It is the customer's."),
    FactSpec(path="order.days", type=FactType.INTEGER, doc="Days since delivery."),
    FactSpec(path="order.left", type=FactType.MONEY, doc="What is left to give back.", tools=("refund",)),
    FactSpec(path="order.country", type=FactType.TEXT, doc="Where it went."),
    FactSpec(path="order.status", type=FactType.CHOICE, doc="Where it is.", choices=("OPEN", "CLOSED")),
    FactSpec(path="photo.score", type=FactType.DECIMAL, doc="How well a photo supports the claim."),
    FactSpec(path="order.sent_at", type=FactType.TIME, doc="When it left."),
    FactSpec(path="order.due_at", type=FactType.TIME, doc="When it had to be there."),
)

BOOK = """\
policy: small-desk
version: 2026.11-1
owner: compliance@shop.example
in_force: {from: 2026-01-01, to: 2026-12-31}
approved_by: [compliance-lead]
limits:
  auto: [150 USD, 15000 JPY]
  cap: 500 USD
  many: 3
  score: 0.5
counts:
  customer.refunds: {count: refund, per: customer, window: 30 days, include: [done, in_flight]}
  agent.paid: {sum: refund.amount, per: agent, window: 24 hours, include: [done]}
reviewers:
  desk: {role: returns_reviewer, within: 4 hours}
  finance: {role: finance_controller, people: 2, within: 1 day, if_late: escalate to board}
  board: {role: board_member, people: 2, within: 2 days}
if_no_rule: deny
rules:
- id: RF-01
  tools: [refund]
  decide: allow
  when:
  - args.amount <= $auto
  - order.owned and order.days <= 30
  reason: Small and in time.
  cite: Policy 4.1
- id: RF-02
  tools: [refund]
  decide: review by desk
  when: args.amount > $auto or order.days > 30
  unless: args.reason == DEFECTIVE
  reason: Large or late.
  cite: Policy 4.3
- id: RF-03
  tools: [refund]
  decide: review by finance
  when: agent.paid + args.amount > $cap
  reason: Much for a day.
  cite: Policy 4.4
- id: RF-04
  tools: [refund, look]
  decide: deny
  when: not order.owned
  reason: Not the customer's order.
  cite: Policy 1.1
- id: RF-05
  tools: [refund]
  decide: review by desk and finance
  when: customer.refunds >= $many or photo.score < $score
  reason: Often, or no proof.
  cite: Policy 4.5
- id: RF-90
  mode: monitor
  tools: [refund]
  decide: deny
  when: args.reason == UNWANTED
  reason: A trial.
  cite: Change 118
- id: LK-01
  tools: [look]
  decide: allow
  when: order.owned
  reason: Reading.
  cite: Policy 1.2
never:
- {tools: [refund], allow_when: args.amount > $cap, why: CFO memo}
examples:
  typical: {args.amount: 80 USD, args.reason: DEFECTIVE, order.owned: true, order.days: 5, customer.refunds: 0,
            agent.paid: 0 USD, photo.score: 0.9}
  cases:
  - {tool: refund, expect: allow by RF-01}
  - {tool: refund, args.amount: 150.01 USD, args.reason: UNWANTED, expect: review by desk by RF-02}
  - {tool: refund, order.owned: false, expect: deny by RF-04}
  - {tool: look, expect: allow by LK-01}
"""


@pytest.fixture(scope="session")
def words() -> Vocabulary:
    return Vocabulary.of("small", SPECS, FACTS)


@pytest.fixture(scope="session")
def book_text() -> str:
    return BOOK


@pytest.fixture
def load(words: Vocabulary) -> Callable[[str], Book]:
    return lambda text: load_book(("small.yaml", text), words)


@pytest.fixture
def book(load: Callable[[str], Book]) -> Book:
    return load(BOOK)


class SmallDesk:
    """Judges refunds of an ordinary case; tests say what is different about theirs."""

    now = NOW
    args: Mapping[str, Any] = {
        "order_id": "o1", "amount": {"amount_minor": 8000, "currency": "USD"}, "reason": "UNWANTED",
    }  # fmt: skip
    facts: Mapping[str, FactValue] = {
        "order.owned": True, "order.days": 5, "customer.refunds": 0, "agent.paid": Money.of(0, "USD"),
        "photo.score": Decimal("0.9"),
    }  # fmt: skip

    def __init__(self, book: Book) -> None:
        self.judge = BookJudge({"small": book})

    def action(self, tool: str = "refund", version: int = 1, **args: Any) -> ProposedAction:
        plain: dict[str, Any] = {"order_id": "o1"} if tool == "look" else {**self.args, **args}
        return ProposedAction(
            workspace="default", case_id="case_1", kind="small", tool=tool, schema_version=version, args=plain,
            proposer="agent:small", step_key="1",
        )  # fmt: skip

    def fact(self, value: FactValue, at: datetime = NOW) -> Fact:
        return Fact(value=value, source="shop", at=at)

    def decide(
        self, *, amount: str = "80 USD", tool: str = "refund", now: datetime = NOW, version: int = 1,
        without: tuple[str, ...] = (), facts: Mapping[str, Any] | None = None, **args: Any,
    ) -> Verdict:  # fmt: skip
        known = {path: self.fact(value) for path, value in self.facts.items() if path not in without}
        known |= {p: v if isinstance(v, Fact) else self.fact(v) for p, v in (facts or {}).items()}
        money = Money.parse(amount).model_dump()
        return self.judge.judge(self.action(tool, version, amount=money, **args), known, now)


@pytest.fixture
def desk(book: Book) -> SmallDesk:
    return SmallDesk(book)
