"""Whether a new version of a book is tighter or looser, and the action that shows it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.money import Money
from core.verdicts import FactValue
from policies.book import Book, read_book
from policies.commands.group import policy
from policies.conditions import asks_whether_known
from policies.explain import explain
from policies.proofs.diff import compare
from policies.proofs.difference import Difference, Shown
from policies.proofs.strictness import Direction, Groups
from policies.vocabulary import Vocabulary

RETURNS = Path(__file__).parents[2] / "policies" / "books" / "returns.yaml"
Read = Callable[[str], Book]


@pytest.fixture
def text(book_text: str) -> str:
    """The small book without its gap: there, nothing is denied by no rule."""
    return change(book_text, ("  unless: args.reason == DEFECTIVE\n", ""), ("cap: 500 USD", "cap: [500 USD, 460 EUR]"))


@pytest.fixture
def read(words: Vocabulary) -> Read:
    return lambda text: read_book(("small.yaml", text), words)


def change(text: str, *edits: tuple[str, str]) -> str:
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


def really_shows(difference: Difference, shown: Shown | None) -> None:
    """Asked of both books by `explain`, the action is judged as the difference says."""
    assert shown is not None
    facts = shown.situation.facts
    for book, said in ((difference.old, shown.before), (difference.new, shown.after)):
        if shown.situation.tool in book.vocabulary.tools:
            explained = explain(book, shown.situation.tool, facts)
            assert said.startswith(explained.verdict)
            if "no rule" not in said and "judged" not in said:
                rules = said.rpartition(" (")[2].rstrip(")").split(", ")
                assert explained.said.endswith(" and ".join(rules))


LOOSER: list[tuple[str, list[tuple[str, str]], str]] = [
    ("a higher limit", [("auto: [150 USD", "auto: [200 USD")],
     "args.amount = 150.01 USD: was review by desk (RF-02), becomes allow (RF-01)"),
    ("a limit in one more currency", [("15000 JPY]", "15000 JPY, 140 EUR]")], "EUR"),
    ("an exception", [("  when: not order.owned\n", "  when: not order.owned\n  unless: order.status == CLOSED\n")],
     "was deny (RF-04), becomes review by"),
    ("a count that may be higher", [("many: 3", "many: 4")],
     "customer.refunds = 3: was review by desk and finance (RF-05), becomes allow (RF-01)"),
    ("fewer people", [("people: 2, within: 1 day", "people: 1, within: 1 day")], "by desk and finance: 1"),
    ("more time", [("within: 4 hours", "within: 5 hours")], "becomes review by desk: 1 returns_reviewer within 5"),
    ("another role", [("role: returns_reviewer", "role: store_manager")], "becomes review by desk: 1 store_manager"),
    ("late is no longer no", [("{role: returns_reviewer, within: 4 hours}",
                               "{role: returns_reviewer, within: 4 hours, if_late: escalate to board}")], "escalate"),
    ("fewer groups", [("decide: review by desk and finance", "decide: review by desk")], "becomes review by desk"),
    ("a rule that is only watched", [("- id: RF-05\n", "- id: RF-05\n  mode: monitor\n")], "becomes allow (RF-01)"),
    ("a missing fact that is forgiven",
     [("or photo.score < $score", "or (photo.score is known and photo.score < $score)")],
     "photo.score = unknown: was deny (RF-05 can't be judged), becomes allow (RF-01)"),
]  # fmt: skip
"""What was changed, how, and words that say it."""


@pytest.mark.parametrize(("edits", "words_of_it"), [each[1:] for each in LOOSER], ids=[each[0] for each in LOOSER])
def test_each_way_of_loosening_is_shown_and_its_reverse_is_no_loosening(
    edits: list[tuple[str, str]], words_of_it: str, read: Read, text: str
) -> None:
    old, new = read(text), read(change(text, *edits))
    looser = compare(old, new)
    assert looser.direction is Direction.LOOSER, looser.as_text()
    assert not looser.tightening
    really_shows(looser, looser.tools["refund"].looser)
    assert words_of_it in looser.as_text()
    back = compare(new, old)
    assert back.direction in (Direction.TIGHTER, Direction.LOOSER)
    assert (back.direction is Direction.LOOSER) == ("store_manager" in words_of_it)  # roles can't be compared
    if back.tightening:
        really_shows(back, back.tools["refund"].tighter)


SAME: list[tuple[str, list[tuple[str, str]]]] = [
    ("names", [("id: RF-01", "id: RF-11"), ("by RF-01", "by RF-11"), ("$auto", "$automatic"), ("auto:", "automatic:")]),
    ("reasons", [("reason: Small and in time.", "reason: Small."), ("cite: Policy 4.3", "cite: Policy 4.9")]),
    ("a watched rule", [("when: args.reason == UNWANTED", "when: args.amount > 5 USD")]),
    ("words", [("order.owned and order.days <= 30", "not (not order.owned or order.days > 30)")]),
    (
        "a group's name",
        [("review by finance", "review by money"), ("and finance", "and money"), ("finance:", "money:")],
    ),
    ("a limit that nothing uses", [("many: 3", "many: 3\n  spare: 9")]),
    ("whole days", [("order.days > 30", "order.days >= 31")]),
]


@pytest.mark.parametrize("edits", [each[1] for each in SAME], ids=[each[0] for each in SAME])
def test_what_is_said_in_other_words_is_the_same(edits: list[tuple[str, str]], read: Read, text: str) -> None:
    difference = compare(read(text), read(change(text, *edits)))
    assert difference.direction is Direction.SAME, difference.as_text()
    assert difference.tightening


def test_a_rule_for_less_and_an_exception_from_another_are_mixed(read: Read, text: str) -> None:
    old, new = read(text), read(change(text, ("auto: [150 USD", "auto: [100 USD"), ("many: 3", "many: 4")))
    mixed = compare(old, new)
    assert mixed.direction is Direction.MIXED
    really_shows(mixed, mixed.tools["refund"].looser)
    really_shows(mixed, mixed.tools["refund"].tighter)
    assert set(mixed.tools) == {"refund"}


@pytest.mark.parametrize(
    ("edits", "direction", "said"),
    [
        ([("window: 30 days", "window: 60 days")], Direction.UNPROVED, "count customer.refunds: count of refund per"),
        ([("include: [done]", "include: [done, in_flight]")], Direction.UNPROVED, "count agent.paid"),
        ([("if_no_rule: deny", "facts_fresh_for: 20 minutes")], Direction.LOOSER, "facts_fresh_for 20 minutes"),
        ([("if_no_rule: deny", "facts_fresh_for: 5 minutes")], Direction.TIGHTER, "was 15 minutes"),
        ([("to: 2026-12-31", "to: 2027-12-31")], Direction.SAME, "in force from 2026-01-01 to 2027-12-31"),
        ([("to: 2026-12-31", "to: 2026-06-30")], Direction.SAME, "was from 2026-01-01 to 2026-12-31"),
        ([("[compliance-lead]", "[compliance-lead, finance-lead]")], Direction.TIGHTER, "approved_by"),
        ([("[compliance-lead]", "[finance-lead]")], Direction.LOOSER, "was compliance-lead"),
        ([("policy: small-desk", "policy: large-desk")], Direction.UNPROVED, "another policy"),
        ([("why: CFO memo}", "why: Nothing}")], Direction.SAME, "it promises in other words: CFO memo"),
    ],
)  # fmt: skip
def test_what_changes_besides_the_rules_is_told(
    edits: list[tuple[str, str]], direction: Direction, said: str, read: Read, text: str
) -> None:
    difference = compare(read(text), read(change(text, *edits)))
    assert said in difference.as_text()
    assert difference.direction is direction, difference.as_text()


def test_less_time_for_facts_is_not_proved_tighter_where_a_missing_one_is_good_news(read: Read, text: str) -> None:
    text = change(text, ("or photo.score <", "or photo.score is unknown or photo.score <"))
    difference = compare(read(text), read(change(text, ("if_no_rule: deny", "facts_fresh_for: 5 minutes"))))
    assert difference.direction is Direction.UNPROVED
    assert "rules ask whether photo.score is known" in difference.as_text()


def test_a_count_that_no_rule_reads_leaves_the_proof_as_it_is(read: Read, text: str) -> None:
    text = change(text, ("when: agent.paid + args.amount > $cap", "when: args.amount > $cap"))
    difference = compare(read(text), read(change(text, ("include: [done]}", "include: [in_flight]}"))))
    assert difference.direction is Direction.SAME
    assert "count agent.paid" in difference.as_text()


def test_a_tool_that_is_new_is_looser_where_something_of_it_is_allowed(
    read: Read, text: str, words: Vocabulary
) -> None:
    specs = {name: spec for name, spec in words.specs.items() if name == "refund"}
    before = Vocabulary.of("small", specs, [])
    head = "policy: small-desk\nversion: '1'\nowner: o\nin_force: {from: 2026-01-01}\nrules:\n"
    rule = "- {id: R-1, tools: [refund], decide: deny, reason: x, cite: y}\n"
    old = read_book(("small.yaml", head + rule), before)
    new = read(head + rule + "- {id: R-2, tools: [look], decide: allow, reason: x, cite: y}\n")
    difference = compare(old, new)
    assert difference.direction is Direction.LOOSER
    assert "tool look is new" in difference.as_text()
    assert "look with the typical facts: was deny (no rule), becomes allow (R-2)" in difference.as_text()
    assert compare(new, old).direction is Direction.TIGHTER


def test_what_could_not_be_told_and_now_can_is_said_but_is_no_loosening(read: Read, text: str) -> None:
    """RF-04 denies whatever the country is. The rule that goes changed nothing, but that its fact had to be there."""
    rule = (
        "- {id: RF-06, tools: [refund], decide: review by desk, when: order.country == NO and order.days > 30, "
        "reason: x, cite: y}\n"
    )
    difference = compare(read(change(text, ("never:\n", f"{rule}never:\n"))), read(text))
    assert difference.direction is Direction.SAME, difference.as_text()
    unknown = difference.tools["refund"].unknown
    assert unknown is not None
    assert " = unknown" in str(unknown)
    assert unknown.before == "deny (RF-06 can't be judged)"
    really_shows(difference, unknown)


COUNTRY = ("  - args.amount <= $auto\n", "  - args.amount <= $auto\n  - order.country == NO or order.country != NO\n")
LEFT = (
    "never:\n",
    "- {id: RF-07, tools: [refund], decide: allow, reason: x, cite: y,\n"
    "   when: order.days == 29 and order.left is known and order.left != args.amount}\nnever:\n",
)
LEFT_KNOWN = ("  - args.amount <= $auto\n", "  - args.amount <= $auto\n  - order.left is known\n")


def test_what_was_denied_for_want_of_a_fact_is_not_allowed_by_one_approver(read: Read, text: str) -> None:
    """Told the country, the old version allowed it wherever that is. But somebody had to know it."""
    old = change(text, COUNTRY)
    opened = compare(read(old), read(text))
    assert opened.direction is Direction.UNPROVED, opened.as_text()
    assert not opened.tightening
    found = opened.tools["refund"].allowed
    really_shows(opened, found)
    assert found is not None
    assert found.situation.facts["order.country"] is None
    assert "unproved allowed although something is not known: refund with" in opened.as_text()
    assert "was deny (RF-01 can't be judged), becomes allow (RF-01)" in opened.as_text()
    lower = compare(read(old), read(change(text, ("auto: [150 USD", "auto: [100 USD"))))
    assert lower.direction is Direction.UNPROVED, "what is tighter besides makes up for nothing"
    assert compare(read(text), read(old)).tools["refund"].allowed is None


def test_what_was_denied_because_currencies_differ_is_not_allowed_by_one_approver(read: Read, text: str) -> None:
    """What is left is known. RF-07 could allow it or say nothing; in another currency it could not be told."""
    old = change(text, LEFT_KNOWN, LEFT)
    opened = compare(read(old), read(change(text, LEFT_KNOWN)))
    assert opened.direction is Direction.UNPROVED, opened.as_text()
    found = opened.tools["refund"].allowed
    really_shows(opened, found)
    assert found is not None
    paid, left = found.situation.facts["args.amount"], found.situation.facts["order.left"]
    assert isinstance(paid, Money)
    assert isinstance(left, Money)
    assert paid.currency != left.currency
    assert found.before == "deny (RF-07 can't be judged)"


def test_what_is_allowed_is_shown_beside_what_goes_to_people(read: Read, text: str) -> None:
    """One example of what could not be told is not enough: the first may be the harmless one."""
    country = "order.country == NO or order.country != NO"
    old = change(text, COUNTRY, ("when: args.amount > $auto or", f"when: (args.amount > $auto and ({country})) or"))
    difference = compare(read(old), read(text))
    assert difference.direction is Direction.UNPROVED
    allowed, unknown = difference.tools["refund"].allowed, difference.tools["refund"].unknown
    assert allowed is not None
    assert allowed.after == "allow (RF-01)"
    assert unknown is not None
    assert unknown.after.startswith("review by")


@pytest.mark.parametrize(
    "edit",
    [("auto: [150 USD", "auto: [100 USD"), ("many: 3", "many: 2"), ("score: 0.5", "score: 0.6")],
    ids=["a limit", "a count", "a score"],
)
def test_less_is_tighter_whatever_is_missing(edit: tuple[str, str], read: Read, text: str) -> None:
    old = change(text, COUNTRY, LEFT)
    tighter = compare(read(old), read(change(old, edit)))
    assert tighter.direction is Direction.TIGHTER, tighter.as_text()


FINANCE = "finance: {role: finance_controller, people: 2, within: 1 day, if_late: escalate to board}"
BOARD = "board: {role: board_member, people: 2, within: 2 days}"
LATER = (
    "board: {role: board_member, people: 2, within: 2 days, if_late: escalate to owners}\n"
    "  owners: {role: owner, people: 2, within: 9 days}"
)


@pytest.mark.parametrize(
    ("before", "edit", "direction"),
    [
        (BOARD, (FINANCE, FINANCE.replace("1 day", "1 minute")), Direction.LOOSER),
        (BOARD, (FINANCE, FINANCE.replace("1 day", "2 days")), Direction.LOOSER),
        (LATER, ("within: 2 days", "within: 1 minute"), Direction.LOOSER),
        (BOARD, ("within: 2 days", "within: 1 day"), Direction.TIGHTER),
        (BOARD, ("within: 4 hours", "within: 1 hour"), Direction.TIGHTER),
        (BOARD, (FINANCE, FINANCE.replace("1 day, if_late: escalate to board", "1 hour")), Direction.TIGHTER),
        (LATER, (LATER, BOARD.replace("2 days", "1 day")), Direction.TIGHTER),
    ],
    ids=["to others", "longer", "further on", "the last ones", "late is no", "no others", "fewer others"],
)
def test_less_time_is_tighter_only_where_nobody_else_is_asked_when_it_is_over(
    before: str, edit: tuple[str, str], direction: Direction, read: Read, text: str
) -> None:
    """Who has a minute doesn't answer. Then the others decide alone."""
    old = change(text, (BOARD, before))
    difference = compare(read(old), read(change(old, edit)))
    assert difference.direction is direction, difference.as_text()


PROMISE = "- {tools: [refund], allow_when: args.amount > $cap, why: CFO memo}\n"
EVERY = "- {tools: [refund, look], allow_when: not order.owned, why: Theirs alone}\n"


@pytest.mark.parametrize(
    ("edits", "direction", "said"),
    [
        ([(PROMISE, "")], Direction.LOOSER, "it no longer promises for refund: CFO memo (looser)"),
        ([("> $cap, why", "> 600 USD, why")], Direction.LOOSER, "it promises less for refund: CFO memo (looser)"),
        ([("> $cap, why", "> $cap and args.keep, why")], Direction.LOOSER, "it promises less for refund: CFO memo"),
        ([("> $cap, why", "> $cap and customer.refunds > 0, why")], Direction.LOOSER, "it promises less for refund"),
        ([("tools: [refund, look], allow", "tools: [refund], allow")], Direction.LOOSER,
         "it promises less for look: Theirs alone (looser)"),
        ([("> $cap, why", "> 400 USD or args.keep, why")], Direction.LOOSER, "it promises less for refund: CFO memo"),
        ([("> $cap, why", "> $auto, why")], Direction.LOOSER, "it promises less for refund: CFO memo"),
        ([("not order.owned, why", "not order.owned or order.days > 30, why")], Direction.SAME, "same"),
        ([(EVERY, EVERY.replace("refund, look", "refund") + EVERY.replace("refund, look", "look"))],
         Direction.SAME, "same"),
        ([("cap: [500 USD, 460 EUR]", "cap: [400 USD, 460 EUR]")], Direction.TIGHTER, "limit cap"),
    ],
)  # fmt: skip
def test_a_promise_counts_by_what_it_promises(
    edits: list[tuple[str, str]], direction: Direction, said: str, read: Read, text: str
) -> None:
    old = change(text, (PROMISE, PROMISE + EVERY))
    difference = compare(read(old), read(change(old, *edits)))
    assert difference.direction is direction, difference.as_text()
    assert said in difference.as_text()


def test_a_promise_about_a_count_that_means_something_else_is_another_promise(read: Read, text: str) -> None:
    """No rule reads it, so nothing else of the comparison would tell."""
    old = change(
        text,
        ("when: agent.paid + args.amount > $cap", "when: args.amount > $cap"),
        ("> $cap, why", "+ agent.paid > $cap, why"),
    )
    difference = compare(read(old), read(change(old, ("include: [done]}", "include: [in_flight]}"))))
    assert difference.direction is Direction.LOOSER, difference.as_text()


def test_two_groups_that_become_one_lose_a_seat(read: Read, text: str) -> None:
    boss = "  boss: {role: returns_reviewer, within: 4 hours}\n"
    old = change(
        text, ("  desk: {role", f"{boss}  desk: {{role"), ("review by desk and finance", "review by desk and boss")
    )
    looser = compare(read(old), read(change(old, ("review by desk and boss", "review by boss"))))
    assert looser.direction is Direction.LOOSER
    assert "was review by desk and boss (RF-05), becomes review by boss (RF-05)" in looser.as_text()


def test_two_groups_that_become_one_under_another_name_lose_a_seat_too(read: Read, text: str) -> None:
    boss = "  boss: {role: returns_reviewer, within: 4 hours}\n"
    old = change(
        text, ("  desk: {role", f"{boss}  desk: {{role"), ("review by desk and finance", "review by desk and boss")
    )
    new = change(old, ("review by desk and boss", "review by crew"), ("by desk", "by crew"), ("  desk:", "  crew:"))
    looser = compare(read(old), read(new))
    assert looser.direction is Direction.LOOSER
    assert "becomes review by crew" in looser.as_text()


def test_amounts_that_can_not_be_compared_make_no_lower_limit_looser(read: Read, text: str) -> None:
    """With another currency in `order.left` the rule could not be told; below the lower limit it says review."""
    old = change(text, ("args.amount > $auto or", "args.amount > $auto or order.left + args.amount > $cap or"))
    tighter = compare(read(old), read(change(old, ("auto: [150 USD", "auto: [100 USD"))))
    assert tighter.direction is Direction.TIGHTER, tighter.as_text()
    assert tighter.tools["refund"].unknown is not None


def test_a_count_that_means_something_else_leaves_its_tools_without_a_proof(read: Read, text: str) -> None:
    difference = compare(read(text), read(change(text, ("window: 30 days", "window: 60 days"))))
    assert "in 60 days" in difference.tools["refund"].unproved
    assert set(difference.tools) == {"refund"}


def test_a_rule_whose_people_others_ask_anyway_is_no_loss(read: Read, text: str) -> None:
    rule = (
        "- {id: RF-06, tools: [refund], decide: review by finance, when: customer.refunds >= 5, reason: x, cite: y}\n"
    )
    with_it = change(text, ("never:\n", f"{rule}never:\n"))
    assert compare(read(with_it), read(text)).direction is Direction.SAME
    other = change(with_it, ("refunds >= 5", "refunds >= 2"))
    assert compare(read(other), read(text)).direction is Direction.LOOSER


def many_rules(threshold: str) -> str:
    """A hundred rules, each for one order in one country; one threshold is a parameter."""
    rules = [
        f"- {{id: R-{n}, tools: [refund], decide: review by desk, reason: x, cite: y, when: args.order_id == o{n} and "
        f"order.days == {n} and args.amount > {threshold if n == 77 else '400.00'} USD}}"
        for n in range(100)
    ]
    return (
        "policy: many\nversion: '1'\nowner: o\nin_force: {from: 2026-01-01}\n"
        "reviewers: {desk: {role: returns_reviewer, within: 4 hours}}\nrules:\n"
        "- {id: OK, tools: [refund], decide: allow, when: args.amount > 0 USD, reason: x, cite: y}\n" + "\n".join(rules)
    )


def test_one_cent_in_one_of_a_hundred_rules_is_found_where_2000_tries_find_nothing(read: Read) -> None:
    old, new = read(many_rules("400.00")), read(many_rules("400.01"))
    chance = random.Random(7)
    for _ in range(2000):
        facts: dict[str, FactValue] = {
            "args.order_id": f"o{chance.randrange(100)}",
            "order.days": chance.randrange(100),
            "args.amount": Money(amount_minor=chance.randrange(100_000), currency="USD"),
        }
        assert old.program("refund").decide(facts).verdict == new.program("refund").decide(facts).verdict
    difference = compare(old, new)
    assert difference.direction is Direction.LOOSER
    shown = difference.tools["refund"].looser
    assert str(shown) == (
        "refund with args.amount = 400.01 USD, args.order_id = o77, order.days = 77: "
        "was review by desk (R-77), becomes allow (OK)"
    )
    really_shows(difference, shown)


EDITS = [
    ("auto: [150 USD", "auto: [100 USD"), ("auto: [150 USD", "auto: [200 USD"), ("many: 3", "many: 2"),
    ("score: 0.5", "score: 0.4"), ("order.days > 30", "order.days > 20"), ("people: 2, within", "people: 3, within"),
    ("people: 2, within: 1", "people: 1, within: 1"), ("not order.owned", "not order.owned or order.days > 90"),
    ("  tools: [refund]\n  decide: review by finance", "  tools: [refund]\n  decide: deny"),
    ("decide: review by desk and finance", "decide: review by finance"), ("mode: monitor", "mode: enforce"),
    ("when: args.reason == UNWANTED", "when: args.reason == UNWANTED and order.left is known and order.left < $cap"),
    ("or photo.score <", "or photo.score is unknown or photo.score <"), ("- order.owned and", "- order.owned or"),
    COUNTRY, LEFT, ("when: customer.refunds >= $many or", "when: order.left < args.amount or"),
]  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=st.lists(st.sampled_from(EDITS), max_size=4, unique=True), swap=st.booleans(), seed=st.integers(0, 2**32))
def test_whatever_is_edited_no_action_contradicts_what_was_proved(
    edits: list[tuple[str, str]], swap: bool, seed: int, read: Read, text: str
) -> None:
    edited = text
    for old, new in edits:
        edited = edited.replace(old, new)
    before, after = (read(edited), read(text)) if swap else (read(text), read(edited))
    difference = compare(before, after)
    for found in difference.tools.values():
        for shown in (found.looser, found.tighter, found.allowed, found.unknown):
            if shown:
                really_shows(difference, shown)
    groups = Groups.of(before.rules, after.rules)
    rules = [rule for rule in (*before.rules, *after.rules) if "refund" in rule.conditions]
    asked = {path for rule in rules for path in asks_whether_known(rule.conditions["refund"])}
    chance = random.Random(seed)
    for _ in range(60):
        facts = some_facts(chance, asked)
        pair = [book.program("refund").decide({**book.program("refund").blank, **facts}) for book in (before, after)]
        seen, found = groups.compare(*pair), difference.tools.get("refund")
        if seen is not Direction.SAME:
            assert found is not None
            assert getattr(found, seen.value), (facts, difference.as_text())
    records = {path for book in (before, after) for path in book.program("refund").blank if path[:4] != "args"}
    for _ in range(60):
        currency = chance.choice(["USD", "EUR", "JPY"])
        facts = some_facts(chance, records - before.counts.keys())
        facts |= {"args.amount": Money.of(chance.choice([8, 50]), currency), "agent.paid": Money.of(0, currency)}
        pair = [book.program("refund").decide({**book.program("refund").blank, **facts}) for book in (before, after)]
        if (pair[0].verdict, pair[1].verdict) == ("deny", "allow"):
            assert not difference.tightening, (facts, difference.as_text())


def some_facts(chance: random.Random, asked: set[str]) -> dict[str, FactValue]:
    """Everything is known, but what a rule asks after may be missing."""
    facts: dict[str, FactValue] = {
        "args.amount": Money.of(chance.choice(["50", "100", "100.01", "150.01", "180", "499", "501"]), "USD"),
        "args.reason": chance.choice(["DEFECTIVE", "UNWANTED"]),
        "agent.paid": Money.of(chance.choice([0, 400]), "USD"),
        "customer.refunds": chance.randrange(5),
        "order.owned": chance.random() < 0.8,
        "order.days": chance.choice([5, 20, 21, 30, 31, 91]),
        "order.left": Money.of(chance.choice([1, 499, 501]), "USD"),
        "order.country": chance.choice(["NO", "US"]),
        "photo.score": chance.choice([Decimal("0.39"), Decimal("0.45"), Decimal("0.9")]),
    }
    return facts | {path: None for path in sorted(asked) if chance.random() < 0.3}


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(policy, [str(arg) for arg in args])


def test_the_command_exits_by_the_direction(tmp_path: Path) -> None:
    text, new = RETURNS.read_text(), tmp_path / "returns.next.yaml"
    new.write_text(change(text, ("people: 2, within: 1 day", "people: 3, within: 1 day")))
    tighter = run("diff", RETURNS, new)
    assert tighter.exit_code == 0, tighter.output
    assert "tighter  refunds.create with " in tighter.output
    for lower in (("auto_refund: [150 USD", "auto_refund: [100 USD"), ("two_people: [500 USD", "two_people: [400 USD")):
        new.write_text(change(text, lower))
        tighter = run("diff", RETURNS, new)
        assert tighter.exit_code == 0, tighter.output
        assert ": tighter\n" in tighter.output
    new.write_text(change(text, ("people: 2, within: 1 day", "people: 3, within: 1 day")))
    assert run("diff", RETURNS, RETURNS).exit_code == 0
    looser = run("diff", "--json", new, RETURNS)
    assert looser.exit_code == 1
    report = json.loads(looser.output)
    assert (report["direction"], report["tightening"]) == ("looser", False)
    assert report["tools"]["refunds.create"]["looser"]["was"].startswith("review by")
    assert run("diff", RETURNS).exit_code == 2
    assert run("diff", RETURNS, tmp_path / "none.yaml").exit_code == 2
