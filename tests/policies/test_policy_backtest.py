"""A policy is tried on what was decided: the same answers as the gate's, honest about what can't be told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import exp
from pathlib import Path
from random import Random
from typing import Any

import pytest

from core.actions import ProposedAction
from core.money import Money
from core.verdicts import Fact, FactType
from graphs.catalog import book_of, vocabulary
from ledger.database import Ledger, sqlite_database
from ledger.history import Asked, Decided, Ran, Voted, decisions, how_many, runs
from policies.backtest.bounds import Bounded
from policies.backtest.facts import Amount
from policies.backtest.figures import figures
from policies.backtest.recount import Recounts
from policies.backtest.replay import Replay, Replayed, Unreplayable, Why
from policies.backtest.resampling import Quantity, intervals, summed
from policies.backtest.telling import as_text
from policies.backtest.trial import backtest
from policies.book import Book, read_book
from policies.clauses import InForce
from policies.judge import judge
from policies.vocabulary import Origin
from tests.policies.conftest import NOW
from tests.support.decided_world import books_with, decided_world, shipped
from tests.support.folders import quick_folder

CASES, SEED = 60, 7
LOOSER = ("auto_refund: [150 USD", "auto_refund: [300 USD")
"""The planted change: twice as much leaves without a person, for an order and for a case."""


@dataclass(frozen=True)
class Past:
    book: Book
    decided: list[Decided]
    ran: list[Ran]


def returns_book(*changes: tuple[str, str]) -> Book:
    text = shipped()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return read_book(("returns.yaml", text), vocabulary("returns"))


def recorded(folder: Path) -> tuple[list[Decided], list[Ran]]:
    def read(ledger: Ledger) -> tuple[list[Decided], list[Ran]]:
        found = list(decisions(ledger.session, "returns", page=37))
        assert how_many(ledger.session, "returns") >= len(found)
        return found, list(runs(ledger.session, list(vocabulary("returns").specs)))

    database = sqlite_database(folder / "ledger.db")
    try:
        return database.transact("default", read, writes=False)
    finally:
        database.close()


@pytest.fixture(scope="module")
def past() -> Iterator[Past]:
    """A world run under the book that ships."""
    with quick_folder() as folder:
        asyncio.run(decided_world(folder, seed=SEED, cases=CASES))
        decided, ran = recorded(folder)
        yield Past(read_book(book_of("returns"), vocabulary("returns")), decided, ran)


def recounts(past: Past) -> Recounts:
    return Recounts(lambda tools, after: [run for run in past.ran if run.tool in tools])


# the same answers as the gate's


def modelled(record: Decided, book: Book) -> tuple[ProposedAction, dict[str, Fact]]:
    """What `judge` was given, with every value as its model."""
    fields = ("workspace", "case_id", "kind", "tool", "schema_version", "args", "proposer")
    action = ProposedAction(**{name: getattr(record, name) for name in fields}, step_key="1")
    terms = book.vocabulary.tools[record.tool]
    facts = {}
    for path, fact in record.body["facts"].items():
        value = fact["value"]
        if path not in terms or terms[path].origin is Origin.ARGS:
            continue
        if isinstance(value, dict):
            value = Money.model_validate(value)
        elif isinstance(value, str) and terms[path].type is FactType.DECIMAL:
            value = Decimal(value)
        elif isinstance(value, str) and terms[path].type is FactType.TIME:
            value = datetime.fromisoformat(value)
        facts[path] = Fact(value=value, source="record", at=datetime.fromisoformat(fact["at"]))
    return action, facts


@pytest.mark.parametrize(
    "changes",
    [
        (),
        (LOOSER,),
        (("auto_refund: [150 USD", "auto_refund: [20 USD"), ("serial: 3", "serial: 1")),
        (("facts_fresh_for: 15 minutes", "facts_fresh_for: 1 second"), ("evidence: [100 USD", "evidence: [10 USD")),
        (("flags == 0\n  reason: A small", "flags == 0 and not args.keep_item\n  reason: A small"),),
        (("decide: review by desk\n  when: case.settled > 0", "decide: deny\n  when: case.settled > 0"),),
    ],
)
def test_replaying_says_what_the_judge_says_on_models(past: Past, changes: tuple[tuple[str, str], ...]) -> None:
    book = returns_book(*changes)
    always = replace(book, in_force=InForce(date.min, None))
    replay = Replay(book, [past.book])
    compared = Counter[str]()
    for record in past.decided:
        action, facts = modelled(record, book)
        found = replay.of(record)
        if not facts and record.verdict == "deny":
            continue  # the house's own no, which no book says
        verdict = judge(always, action, facts, record.at)
        assert isinstance(found, Replayed)
        if found.rules == ("the house",):
            assert (verdict.verdict, found.verdict) == ("allow", "review")
            continue
        enforced = {match.rule for match in verdict.matches if match.decides == verdict.verdict and not match.monitor}
        assert (found.verdict, set(found.rules)) == (verdict.verdict, enforced), record
        assert found.reviewers == getattr(verdict, "reviewers", ())
        compared[verdict.verdict] += 1
    assert compared["allow"] > 20
    assert compared["review"] > 20


def test_the_book_that_decided_says_the_same_again(past: Past) -> None:
    found = backtest(past.decided, past.book, earlier=[past.book])
    assert found.changed == 0
    assert (found.replayed, found.compared) == (len(past.decided), found.reproduced)
    assert found.compared > 0.9 * found.decisions
    assert "No verdict changes" in as_text(found)


def test_counts_are_told_anew_as_they_were_recorded(past: Past) -> None:
    again, compared = recounts(past), Counter[str]()
    for record in past.decided:
        for path, fact in record.body["facts"].items():
            if path in past.book.counts and not past.book.counts[path].fact:
                value = again.of(past.book.counts[path], record)
                plain = value.model_dump() if isinstance(value, Money) else value
                assert plain == fact["value"], (path, record)
                compared[path] += bool(plain if not isinstance(plain, dict) else plain["amount_minor"])
    assert compared["agent.refunded_24h"] > 10


def test_a_count_that_is_defined_anew_is_told_from_the_runs(past: Past) -> None:
    shorter = returns_book(("window: 24 hours", "window: 7 days"), ("agent_day: [50000 USD", "agent_day: [500 USD"))
    without, with_runs = backtest(past.decided, shorter, earlier=[past.book]), recounts(past)
    assert {each.why for each in without.left_out} == {Why.COUNT}
    assert {each.what for each in without.left_out} == {"agent.refunded_24h"}
    again = backtest(past.decided, shorter, earlier=[past.book], recount=with_runs.of)
    assert again.left_out == []
    assert any("finance" in each.now for each in again.largest)


def test_a_count_by_a_fact_is_not_told_anew(past: Past) -> None:
    """Runs remember only what policy counted by when they were reserved."""
    other = returns_book(("address.refunds_30d:\n    count: [refunds.create, ", "address.refunds_30d:\n    count: ["))
    found = backtest(past.decided, other, earlier=[past.book], recount=recounts(past).of)
    assert {(each.why, each.what) for each in found.left_out} == {(Why.COUNT, "address.refunds_30d")}


def test_a_count_under_another_name_is_the_same_count(past: Past) -> None:
    renamed = returns_book(("customer.refunds_30d", "customer.paid_lately"))
    found = backtest(past.decided, renamed, earlier=[past.book])
    assert (found.changed, found.left_out) == (0, [])


# what can't be told


def test_a_fact_that_nobody_asked_for_is_no_missing_fact(past: Past) -> None:
    """A rule that reads something new: where it can't matter the verdict is the same; elsewhere it is not told."""
    change = ("id: EX-02\n", "id: EX-03\n  tools: [exchanges.create]\n  decide: deny\n  when: customer.tier == vip\n"
              "  reason: New.\n  cite: New 1\n\n- id: EX-02\n")  # fmt: skip
    book = returns_book(change)
    found = backtest(past.decided, book, earlier=[past.book])
    exchanges = [record for record in past.decided if record.tool == "exchanges.create"]
    assert {(each.tool, each.what) for each in found.left_out} == {("exchanges.create", "customer.tier")}
    assert found.left_out[0].many == len([record for record in exchanges if record.verdict != "deny"])


def test_without_the_book_that_decided_what_is_absent_is_not_told(past: Past) -> None:
    found = backtest(past.decided, past.book)
    assert found.compared == 0
    assert ("refunds.create", Why.FACT, "vision.score") in {(e.tool, e.why, e.what) for e in found.left_out}
    assert "give it with --old" in as_text(found)


def test_other_arguments_and_other_kinds_are_left_out(past: Past) -> None:
    first = past.decided[0]
    odd = [
        first._replace(schema_version=9),
        first._replace(kind="lunch"),
        first._replace(tool="lunch.order"),
    ]
    found = backtest(odd, past.book, earlier=[past.book])
    assert found.replayed == 0
    assert Counter(each.why for each in found.left_out) == {Why.SCHEMA: 1, Why.KIND: 2}


def test_what_the_house_refused_stays_refused_and_what_it_held_is_held(past: Past) -> None:
    refund = next(each for each in past.decided if each.tool == "refunds.create" and each.verdict == "allow")
    book = {"book": refund.body["book"]}
    no = refund._replace(verdict="deny", body={"reason": "People refused this.", "matches": [], "facts": {}, **book})
    group = {"group": "finance", "role": "finance_controller", "people": 2, "within_s": 60, "if_late": "deny"}
    held = refund._replace(verdict="review", body={**refund.body, "reviewers": [group]})
    found = backtest([no, held], past.book, earlier=[past.book])
    assert found.changed == 0
    assert found.verdicts == {("deny", "deny"): 1, ("review", "review"): 1}


def test_a_stale_fact_is_judged_as_of_then(past: Past) -> None:
    refund = next(each for each in past.decided if each.tool == "refunds.create" and each.verdict == "allow")
    late = json.loads(json.dumps(refund.body))
    late["facts"]["order.refundable"]["at"] = (refund.at - timedelta(minutes=16)).isoformat()
    assert Replay(past.book, [past.book]).of(refund._replace(body=late)).verdict == "deny"  # type: ignore[union-attr]
    longer = returns_book(("facts_fresh_for: 15 minutes", "facts_fresh_for: 20 minutes"))
    assert Replay(longer, [past.book]).of(refund._replace(body=late)).verdict == "allow"  # type: ignore[union-attr]


def test_a_bound_holds_whatever_is_not_told(book: Book, load: Callable[[str], Book]) -> None:
    """Each way of filling in what is not told gives the verdict of the bound, where there is one."""
    random, told = Random(3), Counter[bool]()
    values: dict[str, list[Any]] = {
        "args.amount": [None, Amount(8_000, "USD"), Amount(40_000, "USD"), Amount(1, "JPY"), Amount(1, "EUR")],
        "order.owned": [None, True, False],
        "order.days": [None, 5, 30, 31],
        "customer.refunds": [None, 0, 3],
        "agent.paid": [None, Amount(0, "USD"), Amount(60_000, "USD")],
        "photo.score": [None, Decimal("0.4"), Decimal("0.9")],
        "args.reason": [None, "DEFECTIVE", "UNWANTED"],
    }
    guarded = load(book_source(book).replace("unless: args.reason == DEFECTIVE", "unless: photo.score is known"))
    for each in (book, guarded):
        program = each.programs["refund"]
        for _ in range(600):
            untold = frozenset(random.sample(sorted(values), 2))
            env = {**program.blank, **{path: random.choice(found) for path, found in values.items()}}
            bound = Bounded(program, untold).verdict({**env, **dict.fromkeys(untold)})
            told[bound is not None] += 1
            if bound is None:
                continue
            for _ in range(12):
                filled = {**env, **{path: random.choice(values[path]) for path in untold}}
                assert program.decide(filled).verdict == bound[0], (untold, filled)
    assert min(told.values()) > 100


def book_source(book: Book) -> str:
    from tests.policies.conftest import BOOK

    assert book.name in BOOK
    return BOOK.split("examples:")[0]


# figures


def asked(status: str, minutes: int, group: str = "desk", dwell: int = 120, args: Any = None) -> Asked:
    role = {"desk": "returns_reviewer", "finance": "finance_controller"}[group]
    by = [{"group": group, "role": role, "people": 1, "within_s": 14_400, "if_late": "deny"}]
    votes = [] if status == "expired" else [Voted([role], dwell, NOW + timedelta(minutes=minutes))]
    return Asked(status, by, NOW, NOW + timedelta(minutes=minutes), votes, status, args)


def waited(past: Past, case: str, cents: int, *answers: Asked) -> Decided:
    """A refund above the limit that people were asked about."""
    refund = next(
        each for each in past.decided if each.tool == "refunds.create" and each.verdict == "allow"
        and each.args["amount"]["currency"] == "USD"
    )  # fmt: skip
    body = json.loads(json.dumps(refund.body))
    amount = {"amount_minor": cents, "currency": "USD"}
    for path in ("args.amount", "order.refundable", "return.entitled"):
        body["facts"][path]["value"] = amount
    body["matches"] = [{"rule": "RF-03", "decides": "review", "reason": "", "cite": "", "monitor": False}]
    body["reviewers"] = answers[0].reviewers
    return refund._replace(
        case_id=case, args={**refund.args, "amount": amount}, verdict="review", body=body, asked=answers
    )


def test_money_that_people_refused_is_told_by_what_they_did(past: Past) -> None:
    smaller = {**waited(past, "x", 1, asked("approved", 1)).args, "amount": {"amount_minor": 15_000, "currency": "USD"}}
    records = [
        waited(past, "case_1", 20_000, asked("approved", 10)),
        waited(past, "case_2", 21_000, asked("rejected", 10)),
        waited(past, "case_3", 22_000, asked("expired", 240)),
        waited(past, "case_4", 23_000, asked("edited", 20, args=smaller)),
        waited(past, "case_5", 90_000, asked("approved", 20)),
    ]
    found = backtest(records, returns_book(LOOSER), earlier=[past.book])
    assert found.verdicts == {("review", "allow"): 4, ("review", "review"): 1}
    money = {each.name: each.change for each in found.figures if each.unit == "USD"}
    assert money["goes out without a person"] == 86_000
    assert money["of it, refused by people"] == 21_000 + 22_000 + 8_000
    assert found.answers == {
        ("USD", "edited"): (1, 23_000),
        ("USD", "expired"): (1, 22_000),
        ("USD", "rejected"): (1, 21_000),
        ("USD", "approved"): (1, 20_000),
    }
    hours = next(each for each in found.figures if each.unit == "hours")
    assert hours.change == pytest.approx(-4 * 120 / 3600)
    assert [each.case_id for each in found.largest] == ["case_5", "case_4", "case_3", "case_2", "case_1"]
    assert (found.largest[0].then, found.largest[0].now) == ("review by desk", "review by desk and finance (2)")


def test_deadlines_are_held_against_how_long_people_took(past: Past) -> None:
    took = [30, 60, 90, 180]
    records = [waited(past, f"case_{n}", 20_000, asked("approved", minutes)) for n, minutes in enumerate(took)]
    records.append(waited(past, "case_x", 20_000, asked("expired", 240)))
    hurried = returns_book(("desk: {role: returns_reviewer, people: 1, within: 4 hours",
                            "desk: {role: returns_reviewer, people: 1, within: 80 minutes"))  # fmt: skip
    found = backtest(records, hurried, earlier=[past.book])
    late = next(each for each in found.figures if each.name == "deadlines missed")
    assert (late.then, late.now) == pytest.approx((1, 3))
    assert late.about == "1 were recorded"


def test_who_gave_it_to_others_was_late_and_who_waited_for_others_was_not(past: Past) -> None:
    group = {"group": "desk", "role": "returns_reviewer", "people": 1, "within_s": 14_400}
    finance = {"group": "finance", "role": "finance_controller", "people": 2, "within_s": 86_400}
    lead = {**group, "group": "lead", "role": "lead", "stands_for": ["desk"]}
    votes = [Voted([role], 60, NOW + timedelta(hours=hours)) for role, hours in (
        ("returns_reviewer", 1), ("finance_controller", 9), ("finance_controller", 10))]  # fmt: skip
    end = NOW + timedelta(hours=10)
    both = Asked("approved", [group, finance], NOW, end, votes, "approved", None)
    handed = Asked("approved", [lead, finance], NOW, end, votes, "approved", None)
    records = [waited(past, f"case_{n}", 60_000, each) for n, each in enumerate((both, handed))]
    records = [each._replace(body={**each.body, "reviewers": [group, finance]}) for each in records]
    late = next(
        each for each in backtest(records, past.book, earlier=[past.book]).figures if each.name == "deadlines missed"
    )
    assert late.about == "1 were recorded"
    assert late.change == 0
    hurried = returns_book(("people: 2, within: 1 day", "people: 2, within: 8 hours"))
    late = next(
        each for each in backtest(records, hurried, earlier=[past.book]).figures if each.name == "deadlines missed"
    )
    assert late.change > 0


def test_what_it_says_covers_what_comes_of_it(past: Past) -> None:
    """The same world, once more and under the new book: what changed in truth lies in the intervals."""
    new = returns_book(LOOSER)
    found = backtest(past.decided, new, earlier=[past.book], recount=recounts(past).of)
    with quick_folder() as folder:
        policies = books_with(folder / "policies", shipped().replace(*LOOSER))
        asyncio.run(decided_world(folder / "data", seed=SEED, cases=CASES, policies=policies))
        after, _ = recorded(folder / "data")
    assert {each.body["book"]["digest"] for each in after} == {new.digest}
    truth = automatic(after) - automatic(past.decided)
    assert truth > 0
    money = next(each for each in found.figures if each.name == "goes out without a person" and each.unit == "USD")
    assert money.interval.low <= truth <= money.interval.high
    reviews = next(each for each in found.figures if each.name == "reviews")
    asked_for = [sum(each.verdict == "review" for each in world) for world in (past.decided, after)]
    assert reviews.interval.low <= asked_for[1] - asked_for[0] <= reviews.interval.high
    assert reviews.then == asked_for[0]


def automatic(world: Sequence[Decided]) -> int:
    """Cents of refunds and credit that went out without a person."""
    amounts = [each.args["amount"] for each in world if "amount" in each.args and each.verdict == "allow"]
    return sum(amount["amount_minor"] for amount in amounts if amount["currency"] == "USD")


def test_ninety_five_of_a_hundred_intervals_hold_the_truth() -> None:
    """Traffic whose truth is known: in the mean 20 cases change, by log-normal amounts, a fifth the other way."""
    random, trials, mean = Random(11), 120, 20
    total = Quantity[str](lambda sums: sums["minor"], lambda case: case["minor"])
    truth = mean * 0.6 * exp(4.5 + 0.8**2 / 2)
    held = 0
    for trial in range(trials):
        many = sum(random.random() < mean / 400 for _ in range(400))
        cases = [{"minor": random.lognormvariate(4.5, 0.8) * random.choice((1, 1, 1, 1, -1))} for _ in range(many)]
        (found,) = intervals(cases, [total], seed=trial)
        held += found.low <= truth <= found.high
    assert held >= 0.92 * trials


def test_the_interval_of_a_plain_count_is_the_exact_one() -> None:
    """Garwood's limits for a Poisson number: 10 were seen, 4.80 to 18.39 could have been."""
    one = Quantity[str](lambda sums: sums["cases"], lambda case: case["cases"])
    (found,) = intervals([{"cases": 1.0}] * 10, [one], seed=1)
    assert found.low == pytest.approx(4.80, rel=0.06)
    assert found.high == pytest.approx(18.39, rel=0.06)
    assert summed([{"cases": 1.0}] * 10)["cases"] == 10


def test_figures_are_of_a_month_where_the_record_is_of_weeks(past: Past) -> None:
    first = waited(past, "case_1", 20_000, asked("approved", 10))
    later = waited(past, "case_2", 21_000, asked("approved", 10))
    days = timedelta(days=15)
    facts = {path: {**fact, "at": (first.at + days).isoformat()} for path, fact in later.body["facts"].items()}
    later = later._replace(at=first.at + days, body={**later.body, "facts": facts})
    found = backtest([first, later], returns_book(LOOSER), earlier=[past.book])
    assert found.per.startswith("a month")
    money = next(each for each in found.figures if each.unit == "USD")
    assert money.change == pytest.approx(2 * 41_000)


def test_the_same_records_give_the_same_report(past: Past) -> None:
    new = returns_book(LOOSER)
    first, second = (backtest(past.decided, new, earlier=[past.book]) for _ in range(2))
    assert as_text(first) == as_text(second)
    assert json.loads(json.dumps(first.as_json())) == json.loads(json.dumps(second.as_json()))


def test_nothing_on_record_is_no_error(past: Past) -> None:
    found = backtest([], past.book)
    assert (found.decisions, found.changed) == (0, 0)
    assert "0 decisions" in as_text(found)


def test_an_unreplayable_decision_says_which_fact(past: Past) -> None:
    refund = next(each for each in past.decided if each.tool == "refunds.create" and each.verdict == "allow")
    body = {**refund.body, "book": {**refund.body["book"], "digest": "unknown"}}
    found = Replay(past.book, [past.book]).of(refund._replace(body=body))
    assert isinstance(found, Unreplayable)
    assert found.why is Why.FACT
    assert found.what == "vision.score"


def test_a_share_stays_a_share() -> None:
    """Two cases of which both change: the change can't be more than all of them."""
    case = {("alone then",): 1.0, ("alone now",): 0.0, ("cases",): 1.0, ("decisions",): 1.0}
    found = {each.name: each for each in figures([case, case], scale=1.0, seed=7)}
    share = found["cases in which nobody is asked"]
    assert (share.change, share.interval.low, share.interval.high <= 0.0) == (-1.0, -1.0, True)
