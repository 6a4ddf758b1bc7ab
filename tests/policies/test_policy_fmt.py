"""`countersign policy fmt`: one layout, every text and every comment as it was."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import catalog
from policies.book import Book, read_book
from policies.commands.group import policy
from policies.fmt import formatted
from policies.problems import PolicyRefused
from policies.wrapping import WIDTH

BOOKS = sorted((Path(__file__).parents[2] / "policies" / "books").glob("*.yaml"))
PLANTED = Path(__file__).parent / "mistakes"
RIGHT = (PLANTED / "byte_order_mark_is_fine.yaml").read_text("utf-8-sig")


def run(file: Path, *options: str) -> Result:
    return CliRunner().invoke(policy, ["fmt", str(file), "--kind", "returns", *options])


def laid_out(text: str) -> str:
    return formatted(text.encode()).decode()


def untidy(text: str = RIGHT) -> str:
    """The same policy as people leave it."""
    text = text.replace(
        """- id: RF-03
  tools: [refunds.create]
  decide: review by desk and finance
  when: agent.refunded_24h + args.amount > $two_people
  reason: Above what one person may pay out.
  cite: Payment Policy 1.2
""",
        """-   cite: Payment Policy 1.2
    reason:   Above what one
        person may pay out.

    # What one person may pay out.
    when:     agent.refunded_24h + args.amount > $two_people   # both
    id: RF-03
    tools:
        [ refunds.create ]
    decide: review by desk and finance


""",
    )
    text = text.replace("{role: returns_reviewer, people: 1,", "{people: 1 ,role:   returns_reviewer,")
    return text.replace("serial: 3\n", "serial: 3   \n    # spare: 5\n")


def test_an_untidy_policy_is_laid_out() -> None:
    done = laid_out(untidy())
    assert (
        """
- id: RF-03
  tools: [refunds.create]
  decide: review by desk and finance
  # What one person may pay out.
  when: agent.refunded_24h + args.amount > $two_people  # both
  reason: Above what one person may pay out.
  cite: Payment Policy 1.2

- id: RF-90
"""
        in done
    )
    assert "  desk: {role: returns_reviewer, people: 1, within: 4 hours, if_late: deny}\n" in done
    assert "  serial: 3\n  # spare: 5\n\ncounts:\n" in done


def test_sections_come_in_their_order_with_their_comments() -> None:
    head, _, tail = RIGHT.partition("limits:\n")
    limits, _, rest = tail.partition("\ncounts:\n")
    moved = f"{head}counts:\n{rest}\n# What leaves without a person.\nlimits:  # in major units\n{limits}"
    assert laid_out(moved) == RIGHT.replace("limits:\n", "# What leaves without a person.\nlimits:  # in major units\n")


@pytest.mark.parametrize("file", BOOKS, ids=lambda file: file.stem)
def test_a_shipped_book_stays_what_it_is(file: Path) -> None:
    words = catalog.vocabulary(file.stem)
    before = read_book(file, words)
    after = read_book((file.name, formatted(file.read_bytes()).decode()), words)
    assert said(after) == said(before)
    assert after.try_examples() != [] or not before.examples


def said(book: Book) -> list[object]:
    """All that a book says, without the places in its file."""
    rules = [(r.id, r.decision, sorted(r.conditions), r.reason, r.cite, r.monitor) for r in book.rules]
    examples = [(e.tool, e.facts, e.text) for e in book.examples]
    promises = [(sorted(n.conditions), n.why) for n in book.never]
    return [
        book.name,
        book.version,
        book.in_force,
        book.counts,
        book.reviewers,
        rules,
        promises,
        examples,
        book.typical,
    ]


def test_long_lines_are_broken_where_yaml_joins_them_again() -> None:
    long = "args.reason == COLOR and (order.gift or return.kept) and " * 3 + "order.exists"
    reason = "Somebody wrote a reason that is longer than any line of any screen that anybody in the office has " * 2
    text = RIGHT.replace("when: args.reason == UNWANTED and order.days_since_delivery > 14", f"when: {long}")
    text = text.replace("Trial of a shorter window.", reason.strip())
    text = text.replace("[150 USD]", "150 USD").replace(
        "{tool: refunds.create, args.amount", "{tool:\n refunds.create, args.amount"
    )
    done = laid_out(text)
    assert (
        "  when: >-\n    args.reason == COLOR\n    and (order.gift or return.kept)\n    and args.reason == COLOR\n"
        in done
    )
    assert max(map(len, done.splitlines())) <= WIDTH
    assert yaml.safe_load(done)["rules"][3]["reason"] == reason.strip()
    assert yaml.safe_load(done)["rules"][3]["when"] == long


def test_a_list_or_table_that_does_not_fit_is_filled_and_aligned() -> None:
    facts = ", ".join(f"order.{name}: 0 USD" for name in ("refunded", "refundable", "total", "value_under_return"))
    case = f"  - {{expect: deny, tool: refunds.create, {facts}, return.given: 0 USD, return.entitled: 0 USD}}\n"
    done = laid_out(RIGHT.rstrip("\n") + "\n" + case)
    assert done.endswith(
        "  - {tool: refunds.create, order.refunded: 0 USD, order.refundable: 0 USD, order.total: 0 USD,\n"
        "     order.value_under_return: 0 USD, return.given: 0 USD, return.entitled: 0 USD, expect: deny}\n"
    )


def test_a_comment_between_brackets_opens_them() -> None:
    text = RIGHT.replace(
        "approved_by: [compliance-lead, finance-lead]", "approved_by: [compliance-lead,  # Ann\n  finance-lead]"
    )
    assert "approved_by:\n- compliance-lead  # Ann\n- finance-lead\n" in laid_out(text)


def test_ends_of_lines_and_of_the_file_are_mended() -> None:
    text = "\ufeff" + RIGHT.replace("\n", "  \r\n").replace("never:", "\r\n\r\n\r\nnever:").rstrip() + "\r\n\r\n\r\n"
    assert laid_out(text) == laid_out(RIGHT)
    assert laid_out(RIGHT.rstrip("\n")) == laid_out(RIGHT)


def test_sections_and_rules_stand_apart_and_what_is_inside_does_not() -> None:
    together = "\n".join(line for line in RIGHT.split("\n") if line.strip())
    apart = together.replace("\n  decide:", "\n\n  decide:").replace("\n    per: agent", "\n\n\n    per: agent")
    assert laid_out(together) == laid_out(apart) == laid_out(RIGHT) == RIGHT


def test_a_comment_between_a_key_and_its_value_goes_before_the_key() -> None:
    when = "  when: agent.refunded_24h + args.amount > $two_people\n"
    text = RIGHT.replace(when, when.replace("when: ", "when:\n    # both\n    "))
    assert f"  # both\n{when}" in laid_out(text)


def test_a_comment_behind_lines_that_are_wrapped_or_folded_stays_with_them() -> None:
    many = "tools: [refunds.create, returns.get, returns.approve, returns.decline, returns.cancel, returns.close,"
    text = RIGHT.replace("tools: [refunds.create]", f"{many} returns.receive, returns.inspect]  # both doors", 1)
    text = text.replace("or customer.refunds_30d >= $serial", f"{'or customer.refunds_30d >= $serial ' * 3} # often")
    done = laid_out(
        text.replace("- args.amount <= $auto_refund\n  - order.days_since_delivery <= 30", "- order.exists")
    )
    assert f"  {many} returns.receive,\n          returns.inspect]  # both doors\n" in done
    assert "  when: >-  # often\n    args.amount > $auto_refund\n    or customer" in done


def test_text_in_blocks_keeps_its_lines() -> None:
    text = RIGHT.replace(
        "Trial of a shorter window.", "|  # as told\n       Trial of\n         a shorter\n\n       window.\n\n"
    )
    assert "  reason: |  # as told\n    Trial of\n      a shorter\n\n    window.\n  cite: Change 118\n" in laid_out(
        text
    )
    digits = RIGHT.replace("Trial of a shorter window.", "|2\n     Trial.")
    assert '  reason: " Trial.\\n"\n' in laid_out(digits)


# A tidy policy made untidy in any way comes back as it was

TIDY = laid_out(untidy())
SHAKES = ("spaces", "blank lines", "wider", "windows", "keys")


def shaken(text: str, how: set[str], dice: random.Random) -> str:
    blocks = text.split("\n\n")
    if "keys" in how:
        for number, block in enumerate(blocks):
            if block.startswith("- id: RF-0") and "#" not in block and block.count("\n  - ") == 0:
                lines = ["  " + block[2:].split("\n")[0], *block.split("\n")[1:]]
                dice.shuffle(lines)
                blocks[number] = "- " + "\n".join(lines)[2:]
    if "blank lines" in how:
        blocks = [block + "\n" * dice.randint(0, 3) for block in blocks]
    lines = "\n\n".join(blocks).split("\n")
    if "spaces" in how:
        lines = [line + " " * dice.randint(0, 3) for line in lines]
    if "wider" in how:
        lines = [line.replace(": ", ":   ", 1) if " {" not in line and "#" not in line else line for line in lines]
    return ("\r\n" if "windows" in how else "\n").join(lines)


@settings(max_examples=150, deadline=None)
@given(how=st.sets(st.sampled_from(SHAKES)), dice=st.randoms(use_true_random=False))
def test_an_untidy_copy_comes_back_as_the_tidy_one(how: set[str], dice: random.Random) -> None:
    assert laid_out(shaken(TIDY, how, dice)) == TIDY


@settings(max_examples=150, deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, RIGHT.count("\n")), st.integers(0, 8), st.booleans()), max_size=8))
def test_a_comment_anywhere_is_kept(places: list[tuple[int, int, bool]]) -> None:
    lines = RIGHT.split("\n")
    for number, (place, column, behind) in enumerate(places):
        place = min(place, len(lines) - 1)
        if behind and lines[place].strip():
            lines[place] += f"  # note {number}"
        else:
            lines.insert(place, " " * column + f"# note {number}")
    done = laid_out("\n".join(lines))
    assert all(done.count(f"# note {number}") == 1 for number in range(len(places)))
    assert yaml.compose(done) is not None
    assert laid_out(done) == done


# The command


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "returns.yaml"
    path.write_text(untidy())
    return path


def test_check_and_diff_write_nothing(file: Path) -> None:
    checked, shown = run(file, "--check"), run(file, "--diff")
    assert (checked.exit_code, checked.output) == (1, "returns.yaml: would change.\n")
    assert shown.exit_code == 0
    assert "-    tools:\n-        [ refunds.create ]\n" in shown.output
    assert "+  tools: [refunds.create]\n" in shown.output
    assert run(file, "--check", "--diff").exit_code == 1
    assert file.read_text() == untidy()


def test_it_is_written_in_one_step_with_its_permissions_and_through_a_link(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    link = tmp_path / "current.yaml"
    link.symlink_to(file)
    before = file.stat().st_ino
    told = run(link)
    assert (told.exit_code, told.output) == (0, "current.yaml: formatted.\n")
    assert link.is_symlink()
    assert file.read_text() == laid_out(untidy())
    assert (file.stat().st_mode & 0o777, file.stat().st_ino != before) == (0o640, True)
    assert sorted(os.listdir(tmp_path)) == ["current.yaml", "returns.yaml"]
    assert run(file).output == "returns.yaml: as it should be.\n"
    assert run(file, "--check").exit_code == 0


@pytest.mark.parametrize("name", ["misspelt_fact", "not_utf_8", "unclosed_list", "tab_in_a_line", "twelve_at_once"])
def test_a_file_with_problems_is_told_and_not_touched(name: str, tmp_path: Path) -> None:
    file = tmp_path / "returns.yaml"
    file.write_bytes((PLANTED / f"{name}.yaml").read_bytes())
    told = run(file)
    assert told.exit_code == 1
    assert "returns.yaml:" in told.output
    assert file.read_bytes() == (PLANTED / f"{name}.yaml").read_bytes()


def test_every_planted_file_that_can_be_read_keeps_its_comments_and_its_texts() -> None:
    """The comments at the head of these files say what is expected of them."""
    words, done = catalog.vocabulary("returns"), 0
    for planted in sorted(PLANTED.glob("*.yaml")):
        data = planted.read_bytes()
        try:
            read_book(planted, words)
        except PolicyRefused:
            continue
        done += 1
        assert formatted(data).startswith(data.removeprefix(b"\xef\xbb\xbf").splitlines()[0])
    assert done > 3
