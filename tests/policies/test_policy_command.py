"""`countersign policy`, as compliance people and CI use it: words for one, exit codes for the other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from policies.commands.group import policy

BOOK = Path(__file__).parents[2] / "policies" / "books" / "returns.yaml"


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(policy, [str(arg) for arg in args])


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "returns.yaml"
    file.write_text(BOOK.read_text().replace("or (args.keep_item and", "or (args.keep_itm and"))
    return file


@pytest.fixture
def wrong_example(tmp_path: Path) -> Path:
    file = tmp_path / "returns.yaml"
    file.write_text(BOOK.read_text().replace("expect: allow by RD-03", "expect: deny"))
    return file


def test_a_clean_book(tmp_path: Path) -> None:
    assert run("lint", BOOK).exit_code == 0
    tried = run("test", BOOK)
    assert tried.exit_code == 0
    assert "examples hold" in tried.output


def test_a_mistake_is_told_with_its_place_and_exits_1(broken: Path) -> None:
    told = run("lint", broken)
    assert told.exit_code == 1
    assert "unknown fact 'args.keep_itm'. Did you mean args.keep_item?" in told.output
    (report,) = json.loads(run("lint", "--json", broken).output)
    (problem,) = report["problems"]
    line = broken.read_text().splitlines()[problem["line"] - 1]
    assert line[problem["column"] - 1 :].startswith("args.keep_itm")
    assert run("test", broken).exit_code == 1


def test_an_example_that_fails_is_told(wrong_example: Path) -> None:
    tried = run("test", wrong_example)
    assert tried.exit_code == 1
    assert "expected  deny\n  said      allow by RD-03" in tried.output
    (report,) = json.loads(run("test", "--json", wrong_example).output)
    assert report["failed"] == 1
    assert "expected 'deny'; the book says: allow by RD-03" in run("lint", wrong_example).output


def test_lint_remarks_on_what_is_likely_not_meant(tmp_path: Path) -> None:
    file = tmp_path / "returns.yaml"
    text = BOOK.read_text().replace("limits:\n", "limits:\n  spare: 5 USD\n")
    text = text.replace("- args.return_id is known\n", "- args.return_id != ret_9\n", 1)
    file.write_text(text.partition("examples:\n")[0])
    told = run("lint", file)
    assert told.exit_code == 1
    assert "no rule uses the limit 'spare'" in told.output
    assert "the limit 'spare' has no amount in EUR, GBP, JPY, KWD" in told.output
    assert "needs args.return_id, which rule 'RF-05' takes as missing" in told.output


def test_versions_that_clash_are_named_by_their_whole_paths(tmp_path: Path) -> None:
    """They lie in two folders under one name: the name alone would not tell them apart."""
    files = [tmp_path / folder / "returns.yaml" for folder in ("now", "next")]
    for number, file in enumerate(files):
        file.parent.mkdir()
        file.write_text(BOOK.read_text() + f"# {number}\n")
    told = run("lint", *files)
    assert told.exit_code == 1
    line = next(line for line in told.output.splitlines() if "begins on the same day" in line)
    assert line.startswith(f"{files[1]}:")
    assert f"as {files[0]}: both would be in force" in line


def test_explain_says_which_rule_and_why() -> None:
    action = (
        "explain",
        BOOK,
        "--tool",
        "refunds.create",
        "--set",
        "args.amount=150.01 USD",
        "--set",
        "args.reason=COLOR",
    )
    told = run(*action)
    assert told.exit_code == 0
    assert "review by desk by RF-03" in told.output
    assert "args.amount = 150.01 USD" in told.output
    explained = json.loads(run(*action, "--json").output)
    assert explained["verdict"] == "review"
    assert [rule["rule"] for rule in explained["rules"] if rule["matches"]] == ["RF-03"]
    missing = run(*action, "--set", "order.refundable=unknown")
    assert "RF-10    deny: can't be judged: order.refundable is unknown" in missing.output


def test_explain_lists_what_a_rule_may_ask() -> None:
    told = run("explain", BOOK, "--tool", "refunds.create", "--paths").output
    assert "args.amount " in told
    assert "customer.refunds_30d" in told
    assert any(entry["path"] == "order.gift" for entry in json.loads(
        run("explain", BOOK, "--tool", "refunds.create", "--paths", "--json").output
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("lint",), "Missing argument"),
        (("lint", "no-such-file.yaml"), "does not exist"),
        (("explain", BOOK, "--tool", "refund.create"), "Did you mean refunds.create?"),
        (("explain", BOOK, "--tool", "refunds.create", "--set", "args.amout=5 USD"), "Did you mean args.amount?"),
        (("explain", BOOK, "--tool", "refunds.create", "--set", "args.amount=5"), "Write it like 150.00 USD."),
        (("lint", "--kind", "lones", BOOK), "'lones' is no kind of case"),
    ],
)
def test_wrong_use_exits_2_and_says_how(args: tuple[str | Path, ...], hint: str) -> None:
    told = run(*args)
    assert told.exit_code == 2
    assert hint in told.output


def test_the_real_command_exits_1_for_a_broken_file(broken: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "core.console", "policy", "lint", str(broken)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "args.keep_itm" in done.stdout


def test_an_amount_that_can_be_read_in_two_ways_is_refused() -> None:
    told = run("explain", BOOK, "--tool", "refunds.create", "--set", "args.amount=1.500 USD")
    assert told.exit_code == 2
    assert "USD has 2 decimals; write 1500 USD or 1.50 USD." in told.output
    assert run("explain", BOOK, "--tool", "refunds.create", "--set", "args.amount=1.5 USD").exit_code == 0
