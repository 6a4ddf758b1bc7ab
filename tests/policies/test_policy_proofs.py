"""What is proved of a book, and what z3 finds: each can be seen by asking the book itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from policies.book import Book, load_book, read_book
from policies.commands.group import policy
from policies.explain import explain
from policies.proofs.findings import Finding, Kind
from policies.proofs.prove import prove
from policies.vocabulary import Vocabulary

BOOKS = Path(__file__).parents[2] / "policies" / "books"
Load = Callable[[str], Book]


@pytest.fixture
def read(words: Vocabulary) -> Load:
    """A planted rule may spoil the examples, which say nothing here."""
    return lambda text: read_book(("small.yaml", text), words)


@pytest.fixture(scope="module")
def returns() -> Book:
    from graphs.catalog import vocabulary

    return load_book(BOOKS / "returns.yaml", vocabulary("returns"))


def planted(book_text: str, rule: str, never: str = "") -> str:
    """The small book with one more rule, or promise."""
    return book_text.replace("never:\n", f"{rule}never:\n{never}")


def a_rule(when: str, decide: str = "deny", tools: str = "[refund]", mode: str = "enforce", name: str = "XX-01") -> str:
    return (
        f"- id: {name}\n  mode: {mode}\n  tools: {tools}\n  decide: {decide}\n  when: {when}\n"
        "  reason: Planted.\n  cite: Test 1\n"
    )


def of_kind(findings: list[Finding], kind: Kind) -> list[Finding]:
    return [finding for finding in findings if finding.kind is kind]


def line_of(text: str, words: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if words in line)


def test_the_small_book_is_proved(book: Book) -> None:
    found = prove(book)
    assert not any(finding.error for finding in found)
    assert {finding.kind for finding in found} == {Kind.GAP, Kind.SILENT}


@pytest.mark.parametrize(
    "when",
    [
        "args.amount > 20 USD and args.amount < 10 USD",
        "args.amount is unknown",  # a required argument
        "customer.refunds < 0",
        "args.note.length > 500",  # the model takes no longer one
        "args.lines.count < 0",
        "order.days > 3 and order.days < 4",  # whole days
        "args.transfer.method is known and args.transfer.amount is unknown",  # one does not come without the other
        "agent.paid is unknown",  # the ledger tells it wherever the action has an amount
        "[agent.paid > 5 USD, args.amount > 100 JPY]",  # a sum is in the action's currency
        "order.sent_at < order.due_at and order.due_at < order.sent_at",
    ],
)
@pytest.mark.parametrize("mode", ["enforce", "monitor"])
def test_a_rule_that_never_matches_is_an_error_at_its_line(when: str, mode: str, read: Load, book_text: str) -> None:
    text = planted(book_text, a_rule(when, mode=mode))
    (dead,) = of_kind(prove(read(text)), Kind.DEAD)
    assert dead.error
    assert (dead.rule, dead.at.line) == ("XX-01", line_of(text, "id: XX-01"))
    assert f"{line_of(text, when)}:" in dead.hint


def test_a_rule_that_never_matches_for_one_of_its_tools_is_a_remark(read: Load, book_text: str) -> None:
    rule = a_rule("tool.effect == read or customer.refunds < 0", tools="[refund, look]")
    (dead,) = of_kind(prove(read(planted(book_text, rule))), Kind.DEAD)
    assert not dead.error
    assert dead.tools == ("refund",)


@pytest.mark.parametrize(
    ("when", "decide", "by", "hint"),
    [
        ("not order.owned and order.days > 3", "deny", ("RF-04",), "Without it every verdict is the same."),
        ("agent.paid + args.amount > 900 USD", "review by finance", ("RF-03",), "Without it every verdict is"),
        ("args.amount <= 9 USD and order.owned and order.days <= 9 and order.country == NO", "allow", ("RF-01",),
         "It only denies where a fact that it reads is missing"),
        ("not order.owned", "allow", ("RF-04",), "Without it every verdict is the same."),
        ("customer.refunds > 4", "review by desk and finance", ("RF-05",), "Without it every verdict is the same."),
    ],
)  # fmt: skip
def test_a_rule_that_others_cover_is_a_remark_that_names_them(
    when: str, decide: str, by: tuple[str, ...], hint: str, read: Load, book_text: str
) -> None:
    (shadowed,) = of_kind(prove(read(planted(book_text, a_rule(when, decide)))), Kind.SHADOWED)
    assert (shadowed.rule, shadowed.covered_by, shadowed.error) == ("XX-01", by, False)
    assert shadowed.hint.startswith(hint)


@pytest.mark.parametrize(
    ("when", "decide"),
    [
        ("not order.owned or order.days > 300", "deny"),
        ("agent.paid + args.amount > 900 USD", "review by desk"),  # RF-03 asks other people
        ("agent.paid + args.amount > 900 USD", "review by finance and desk"),
        ("args.amount <= 200 USD and order.owned", "allow"),
    ],
)
def test_a_rule_that_decides_something_is_not_covered(when: str, decide: str, read: Load, book_text: str) -> None:
    shadowed = of_kind(prove(read(planted(book_text, a_rule(when, decide)))), Kind.SHADOWED)
    assert "XX-01" not in {finding.rule for finding in shadowed}


def test_a_gap_is_shown_by_an_action_that_no_rule_speaks_of(book: Book) -> None:
    (gap,) = of_kind(prove(book), Kind.GAP)
    assert gap.tools == ("refund",)
    assert gap.situation is not None
    assert explain(book, "refund", gap.situation.facts).said == "deny by no rule"
    assert None not in gap.situation.facts.values()
    told = {path: gap.situation.facts[path] for path in gap.situation.telling}
    assert explain(book, "refund", {**book.typical["refund"], **told}).said == "deny by no rule"


def test_a_tool_that_no_rule_speaks_of_is_named(book: Book) -> None:
    (silent,) = of_kind(prove(book), Kind.SILENT)
    assert "model.call" in silent.tools
    assert "look" not in silent.tools


def test_a_promise_that_does_not_hold_is_shown_by_the_smallest_action_that_breaks_it(
    read: Load, book_text: str
) -> None:
    promise = "- {tools: [refund], allow_when: args.amount > 100 USD, why: A promise}\n"
    text = planted(book_text, "", promise)
    book = read(text)
    (broken,) = of_kind(prove(book), Kind.BROKEN)
    assert broken.error
    assert broken.at.line == line_of(text, "A promise")
    assert "'RF-01' allows 'refund' with args.amount = 100.01 USD" in broken.message
    assert broken.situation is not None
    assert explain(book, "refund", broken.situation.facts).said == "allow by RF-01"
    told = {path: broken.situation.facts[path] for path in broken.situation.telling}
    assert explain(book, "refund", {**book.typical["refund"], **told}).said == "allow by RF-01"


def test_a_monitored_rule_keeps_no_promise(read: Load, book_text: str) -> None:
    promise = "- {tools: [refund], allow_when: args.reason == UNWANTED, why: A promise}\n"
    text = planted(book_text, "", promise)
    assert [finding.rule for finding in of_kind(prove(read(text)), Kind.BROKEN)] == ["RF-01"]
    assert not of_kind(prove(read(text.replace("mode: monitor", "mode: enforce"))), Kind.BROKEN)


def test_a_promise_about_what_can_not_happen_is_a_remark(read: Load, book_text: str) -> None:
    promise = "- {tools: [refund], allow_when: customer.refunds < 0, why: A promise}\n"
    (empty,) = of_kind(prove(read(planted(book_text, "", promise))), Kind.EMPTY)
    assert not empty.error


def test_a_proof_says_the_same_each_time(returns: Book) -> None:
    assert [finding.as_json() for finding in prove(returns)] == [finding.as_json() for finding in prove(returns)]


def run(*args: str | Path) -> Any:
    return CliRunner().invoke(policy, [str(arg) for arg in args])


def test_the_books_that_ship_are_proved() -> None:
    told = run("prove", BOOKS / "returns.yaml", BOOKS / "tau2_retail.yaml")
    assert told.exit_code == 0, told.output
    assert ": error:" not in told.output


def test_a_broken_promise_fails_the_command_and_remarks_do_not(tmp_path: Path) -> None:
    text = (BOOKS / "returns.yaml").read_text()
    file = tmp_path / "returns.yaml"
    line = "- tools: [refunds.create]\n  allow_when: args.amount > 100 USD\n  why: A promise that is wrong.\n"
    file.write_text(text.replace("\nnever:\n", f"\nnever:\n{line}"))
    told = run("prove", file)
    assert told.exit_code == 1
    assert f"returns.yaml:{line_of(file.read_text(), 'A promise that is wrong') - 2}:" in told.output
    assert (
        "error: never 1 (A promise that is wrong.) does not hold: 'RF-01' allows 'refunds.create' with" in told.output
    )
    (report,) = json.loads(run("prove", "--json", file).output)
    assert not report["proved"]
    (broken,) = (finding for finding in report["findings"] if finding["severity"] == "error")
    assert broken["situation"]["facts"]["args.amount"] == "100.01 USD"
    file.write_text(text)
    assert run("prove", file).exit_code == 0
    assert run("prove", "--strict", file).exit_code == 1


def test_without_z3_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['z3'] = None; from core.console import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "policy", "prove", str(BOOKS / "returns.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Proofs need z3" in done.stderr
    assert "countersign[proofs]" in done.stderr
