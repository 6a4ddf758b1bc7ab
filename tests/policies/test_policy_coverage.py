"""What a book's examples leave untried is told to the last side of a threshold, and what is proposed tries it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphs.catalog import book_of, vocabulary
from policies.book import Book, load_book, read_book
from policies.commands.group import policy
from policies.coverage import Coverage, coverage
from policies.edge_cases import proposals
from policies.program import Program
from policies.reference import evaluate

Load = Callable[[str], Book]


@pytest.fixture
def bare(book_text: str) -> str:
    """The small book with one example only."""
    head, _, _ = book_text.partition("  cases:\n")
    return f"{head}  cases:\n  - {{tool: refund, expect: allow by RF-01}}\n"


def untried(found: Coverage) -> set[tuple[str, str, str]]:
    return {(goal.clause, goal.text, goal.side) for goal in found.open}


def test_one_example_tries_one_side(load: Load, bare: str) -> None:
    found = untried(coverage(load(bare)))
    assert ("RF-01", "args.amount <= $auto", "below") not in found
    assert ("RF-01", "args.amount <= $auto", "at") in found
    assert ("RF-01", "args.amount <= $auto", "above") in found
    assert ("RF-01", "", "") not in found
    assert ("RF-02", "", "") in found
    assert ("RF-90", "", "") in found
    assert ("RF-02", "args.reason == DEFECTIVE", "other") in found
    assert ("never 1", "", "") in found
    assert ("never 1", "args.amount > $cap", "at") in found


@pytest.mark.parametrize(
    ("example", "clause", "text", "side"),
    [
        ("args.amount: 150 USD, expect: allow", "RF-01", "args.amount <= $auto", "at"),
        ("args.amount: 150.01 USD, expect: deny by no rule", "RF-01", "args.amount <= $auto", "above"),
        ("order.days: 30, expect: allow", "RF-02", "order.days > 30", "at"),
        ("agent.paid: 420 USD, expect: allow", "RF-03", "agent.paid + args.amount > $cap", "at"),
        ("photo.score: 0.5, expect: allow", "RF-05", "photo.score < $score", "at"),
        ("args.reason: UNWANTED, expect: allow", "RF-90", "", ""),
        ("args.amount: 500.01 USD, expect: review by finance", "never 1", "", ""),
    ],
)
def test_an_example_more_tries_just_what_it_says(
    load: Load, bare: str, example: str, clause: str, text: str, side: str
) -> None:
    more = f"{bare}  - {{tool: refund, {example}}}\n"
    before, after = untried(coverage(load(bare))), untried(coverage(load(more)))
    assert (clause, text, side) in before - after


def test_below_zero_there_is_nothing_to_try(load: Load, bare: str) -> None:
    found = untried(coverage(load(bare.replace("order.days > 30", "customer.refunds > 0"))))
    sides = {side for clause, text, side in found if text == "customer.refunds > 0"}
    assert sides == {"above"}


def test_choices_of_a_list_are_tried_one_by_one(load: Load, bare: str) -> None:
    listed = bare.replace("when: not order.owned", "when: not order.owned and order.country in [NO, SE]", 1)
    found = untried(coverage(load(listed)))
    assert {side for _, text, side in found if "in [" in text} == {"NO", "SE", "anything else"}


def test_what_a_situation_does_not_tell_is_not_unknown(load: Load, bare: str) -> None:
    guarded = load(bare.replace("unless: args.reason == DEFECTIVE", "unless: photo.score is known"))
    late = {**dict.fromkeys(("order.days",), 31), "args.amount": None}
    assert ("RF-02", "", "") in untried(coverage(guarded, [("refund", late)]))
    assert ("RF-02", "", "") not in untried(coverage(guarded, [("refund", {**late, "photo.score": None})]))


def test_proposals_load_and_hold_and_leave_nothing_untried(load: Load, bare: str) -> None:
    """Pasted in as they are printed: each is computed by the reference, so the other back end has to agree."""
    book = load(bare)
    proposed = proposals(coverage(book))
    pasted = load(bare + proposed.as_yaml(2))
    assert not proposed.unreached
    assert not coverage(pasted).open
    assert len(pasted.examples) == len(book.examples) + len(proposed.cases)
    for case in proposed.cases:
        program: Program = book.program(case.tool)
        env = {**program.blank, **case.env}
        assert program.decide(env).verdict == program.naive(env, evaluate).verdict


def test_a_proposal_stands_where_it_makes_a_difference(load: Load, bare: str) -> None:
    text = proposals(coverage(load(bare))).as_yaml()
    assert "- {tool: refund, args.amount: 150 USD, expect: allow by RF-01}" in text
    assert "- {tool: refund, args.amount: 150.01 USD, args.reason: UNWANTED, expect: review by desk by RF-02}" in text
    assert "- {tool: refund, photo.score: 0.49, expect: review by desk and finance by RF-05}" in text
    assert "Confirm that it is meant." in text


def test_what_no_situation_reaches_is_said(load: Load, bare: str) -> None:
    dead = bare.replace("when: args.reason == UNWANTED", "when: args.reason == UNWANTED and args.reason == DEFECTIVE")
    proposed = proposals(coverage(load(dead)))
    assert [goal.clause for goal in proposed.unreached] == ["RF-90"]
    assert "# No example found: RF-90" in proposed.as_yaml()


def test_the_examples_of_the_returns_book_try_all_of_it() -> None:
    found = coverage(load_book(book_of("returns"), vocabulary("returns")))
    assert not found.open, found.as_text()


def test_each_example_that_is_taken_out_of_the_returns_book_can_be_proposed_anew() -> None:
    """Without its last block of examples the book has holes, and proposals fill them all."""
    text = book_of("returns").read_text()
    head, _, _ = text.partition("  # Just at, just below and just above")
    words = vocabulary("returns")
    holes = coverage(read_book(("returns.yaml", head), words))
    assert len(holes.open) > 20
    proposed = proposals(holes).as_yaml(2)
    assert max(map(len, proposed.splitlines())) <= 120
    assert not coverage(load_book(("returns.yaml", head + proposed), words)).open


def test_the_command_says_where_and_exits_by_it(tmp_path: Path, bare: str) -> None:
    file = tmp_path / "returns.yaml"
    text = book_of("returns").read_text()
    file.write_text(text)
    whole = CliRunner().invoke(policy, ["coverage", str(file)])
    assert whole.exit_code == 0
    assert re.search(r"(\d+) of \1 rules, .*, (\d+) of \2 promises are tried", whole.stdout)
    lines = text.splitlines(keepends=True)
    file.write_text("".join(line for line in lines if "labels.create_return" not in line or "expect" not in line))
    holes = CliRunner().invoke(policy, ["coverage", str(file), "--json", "--propose"])
    assert holes.exit_code == 1
    said = json.loads(holes.stdout)
    assert {hole["clause"] for hole in said["untried"]} == {"LB-01", "LB-02"}
    assert "\n  - {tool: labels.create_return, case.labels: 1" in said["proposed"]
    assert not coverage(load_book(("returns.yaml", file.read_text() + said["proposed"]), vocabulary("returns"))).open
    assert CliRunner().invoke(policy, ["coverage", str(tmp_path / "nothing.yaml")]).exit_code == 2
