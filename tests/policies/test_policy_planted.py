"""Policy files with a planted mistake: `mistakes/*.yaml`. Each says in its first lines what has to be told of it.

# expect: LINE:COLUMN message. Hint      one line for each problem, in order; or `clean`
# command: prove                         if it isn't `lint` that finds it
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import SetupError
from graphs import catalog
from policies.book import load_book
from policies.commands.group import policy
from policies.problems import MAX_PROBLEMS, PolicyRefused, Problem
from policies.vocabulary import Vocabulary

FOLDER = Path(__file__).parent / "mistakes"
FILES = sorted(FOLDER.glob("*.yaml"))
RIGHT = (FOLDER / "byte_order_mark_is_fine.yaml").read_text("utf-8-sig")


@pytest.fixture(scope="module")
def returns() -> Vocabulary:
    return catalog.vocabulary("returns")


def run(command: str, file: Path, *options: str) -> Result:
    return CliRunner().invoke(policy, [command, str(file), "--kind", "returns", *options])


def promised(file: Path, word: str) -> list[str]:
    """What the first lines say. They are read as bytes, for some files are no text."""
    lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    begin = f"# {word}: ".encode()
    return [line.removeprefix(begin).decode() for line in lines if line.startswith(begin)]


def command_of(file: Path) -> str:
    return next(iter(promised(file, "command")), "lint")


def test_there_are_many_and_each_says_what_it_is_for() -> None:
    assert len(FILES) > 150
    assert all(promised(file, "expect") for file in FILES)


@pytest.mark.parametrize("file", [f for f in FILES if command_of(f) == "lint"], ids=lambda file: file.stem)
def test_a_planted_mistake_is_told_at_its_place_with_what_to_do(file: Path) -> None:
    told = run("lint", file, "--json")
    (report,) = json.loads(told.output)
    problems = [
        f"{p['line']}:{p['column']} {p['message']}{'. ' if p['hint'] else ''}{p['hint']}" for p in report["problems"]
    ]
    expected = promised(file, "expect")
    assert problems == ([] if expected == ["clean"] else expected)
    assert told.exit_code == bool(problems)


@pytest.mark.parametrize("file", [f for f in FILES if command_of(f) != "lint"], ids=lambda file: file.stem)
def test_a_planted_mistake_that_another_command_finds(file: Path) -> None:
    command = command_of(file)
    assert run("lint", file).exit_code == 0
    told = run(command, file)
    assert told.exit_code == 1
    for place, _, message in (expected.partition(" ") for expected in promised(file, "expect")):
        assert f"{file.name}:{place}: {message}" in told.output


def test_the_words_that_a_person_reads_begin_with_file_line_and_column() -> None:
    told = run("lint", FOLDER / "misspelt_fact.yaml")
    message = "rule 'RF-02', tool 'refunds.create': unknown fact 'args.amout'. Did you mean args.amount?"
    assert (told.exit_code, told.output) == (1, f"misspelt_fact.yaml:41:9: {message}\n")


def test_a_failing_example_fails_the_test_command_too() -> None:
    told = run("test", FOLDER / "example_that_fails.yaml")
    assert told.exit_code == 1
    assert "expected  allow by RF-01" in told.output


def test_a_book_of_no_kind(tmp_path: Path) -> None:
    file = tmp_path / "returnz.yaml"
    file.write_text(RIGHT)
    told = CliRunner().invoke(policy, ["lint", str(file)])
    assert told.exit_code == 2
    assert "'returnz' is no kind of case. There are: " in told.output
    assert "returns" in told.output.partition("There are: ")[2]


# Files of sizes and depths that nobody writes


def rules(number: int, when: str = "args.amount > 5 USD") -> str:
    head, _, tail = RIGHT.partition("rules:\n")
    rule = "- {{id: X-{n}, tools: [refunds.create], decide: deny, when: {when}, reason: r, cite: c}}\n"
    return (
        head
        + "rules:\n"
        + "".join(rule.format(n=n, when=when) for n in range(number))
        + "\nnever:"
        + tail.partition("\nnever:")[2]
    )


BOMB = "a: &a [x, x]\n" + "".join(
    f"{c}: &{c} [*{p}, *{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)

HUGE = {
    "10 megabytes": (lambda: RIGHT + "# more\n" * 1_500_000, "the file has more than 1,000,000 bytes"),
    "10,000 rules": (lambda: rules(10_000), "more than"),
    "30 levels": (lambda: "policy:\n" + "".join(f"{' ' * n}- \n" for n in range(1, 31)), "nested too deeply"),
    "30 levels of brackets": (lambda: "policy: " + "[" * 30 + "x" + "]" * 30, "nested too deeply"),
    "330,000 brackets": (lambda: "policy:" + "\n [" * 330_000, "nested too deeply"),
    "a bomb": (lambda: BOMB, "anchors and aliases (&a) are not allowed"),
    "a long condition": (
        lambda: RIGHT.replace("args.amount > $two_people\n  why", "args.amount >\n   " + " " * 3_990 + "5 USD\n  why"),
        "a condition of more than 4,000 characters",
    ),
    "a wide line": (lambda: RIGHT + "# " + "x" * 100_000, "a line of 100,002 characters"),
    "31 parentheses": (
        lambda: RIGHT.replace(
            "allow_when: args.amount > $two_people", f"allow_when: {'(' * 32}args.amount > 5 USD{')' * 32}"
        ),
        "nested too deeply",
    ),
    "a wrong word in each rule": (
        lambda: rules(4_000, "args.amout > 5 USD"), "more than 500 problems, the rest is not read",
    ),
    "a wrong key in each line": (
        lambda: "".join(f"key_{n}: value\n" for n in range(40_000)), "more than 500 problems",
    ),
    "a key of 900,000 characters": (lambda: "? >\n" + "  abcdefgh\n" * 80_000 + ": x\n", "unknown key"),
    "an expectation full of spaces": (
        lambda: RIGHT.replace("allow by RF-01", '"allow' + "\n    " * 150_000 + '."'), "is no verdict",
    ),
}  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("text", "message"), HUGE.values(), ids=HUGE)
def test_sizes_that_nobody_writes_are_refused(
    text: Callable[[], str], message: str, returns: Vocabulary, tmp_path: Path
) -> None:
    file = tmp_path / "returns.yaml"
    file.write_text(text())
    with pytest.raises(PolicyRefused) as refused:
        load_book(file, returns)
    told = [problem for problem in refused.value.problems if message in problem.message]
    assert told, [str(problem)[:200] for problem in refused.value.problems[:5]]
    assert len(refused.value.problems) <= MAX_PROBLEMS + 1
    assert max(len(str(problem)) for problem in refused.value.problems) < 1_000


# A file that somebody saves while it is read


def test_a_file_that_is_replaced_while_it_is_read(tmp_path: Path, returns: Vocabulary) -> None:
    """The reader waits at a pipe for the rest, and meanwhile another file takes its name."""
    path, saved = tmp_path / "returns.yaml", tmp_path / "saved"
    os.mkfifo(path)
    saved.write_text(RIGHT.replace("two_people: 500 USD", "two_people: 600 USD"))

    def save() -> None:
        with path.open("wb") as pipe:
            pipe.write(RIGHT[:300].encode())
            pipe.flush()
            saved.rename(path)
            pipe.write(RIGHT[300:].encode())

    writer = threading.Thread(target=save)
    writer.start()
    try:
        with pytest.raises(SetupError, match="changed while it was read") as error:
            load_book(path, returns)
    finally:
        writer.join()
    assert error.value.hint == "Save it and try again."
    assert load_book(path, returns).limits["two_people"].amounts["USD"].amount_minor == 60_000


@contextmanager
def appending(path: Path) -> Iterator[None]:
    """Another process that writes to the file without a pause."""
    code = "import sys\nf = open(sys.argv[1], 'ab', 0)\nwhile True: f.write(b'# more\\n')"
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)])
    try:
        yield
    finally:
        writer.kill()
        writer.wait()


def test_a_file_that_is_written_while_it_is_read(tmp_path: Path, returns: Vocabulary) -> None:
    path = tmp_path / "returns.yaml"
    long = RIGHT + "# more\n" * 100_000
    path.write_text(long)
    refusals: list[Exception] = []
    with appending(path):
        while not any("changed while it was read" in str(refusal) for refusal in refusals):
            try:
                load_book(path, returns)
            except (SetupError, PolicyRefused) as refusal:  # refused for its size, when the writer was quick
                refusals.append(refusal)
            if path.stat().st_size > 900_000:
                os.truncate(path, len(long))
    assert load_book(path, returns).digest


# A right book with anything done to it

LINES = RIGHT.splitlines()
TOKENS = [
    *("$", "$auto_refund", "and", "or", "not", "in", "is", "known", "unknown", "(", ")", "[", "]", "{", "}", ",", ":"),
    *("- ", "? ", "&a", "*a", "!", "!!str", "<<", "|", ">", ">-", "%", "@", "`", '"', "'", "''", '"\\x41"', "#", " # "),
    *("---", "...", "~", "null", "NO", "010", "1e3", "9" * 30, "5 USD", "-5 EUR", "\t", "\r", "\x00", "\u2028"),
    *("\ud7ff", "𝔸", "٥", "\ufeff", "args.amount", "args.reason == COLOR", "review by", " by ", "\n", "\n\n", "\n  "),
]
WHERE = st.integers(0, len(LINES) - 1)
EDITS = st.one_of(
    st.tuples(st.just("delete"), WHERE, WHERE, st.just("")),
    st.tuples(st.just("double"), WHERE, WHERE, st.just("")),
    st.tuples(st.just("swap"), WHERE, WHERE, st.just("")),
    st.tuples(st.just("insert"), WHERE, st.integers(0, 100), st.sampled_from(TOKENS)),
    st.tuples(st.just("change"), WHERE, st.integers(0, 100), st.characters(codec="utf-8")),
    st.tuples(st.just("indent"), WHERE, st.integers(0, 3), st.just("")),
)


def edited(edits: list[tuple[str, int, int, str]]) -> str:
    lines = list(LINES)
    for what, line, other, text in edits:
        if line >= len(lines):
            continue
        old = lines[line]
        match what:
            case "delete":
                del lines[line]
            case "double":
                lines.insert(min(other, len(lines)), old)
            case "swap" if other < len(lines):
                lines[line], lines[other] = lines[other], old
            case "insert":
                lines[line] = old[:other] + text + old[other:]
            case "change":
                lines[line] = old[:other] + text + old[other + 1 :]
            case "indent":
                lines[line] = " " * other + old.lstrip()
    return "\n".join(lines) + "\n"


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(EDITS, min_size=1, max_size=4))
def test_any_change_of_a_right_book_loads_or_is_refused_with_a_place(
    edits: list[tuple[str, int, int, str]], returns: Vocabulary
) -> None:
    text = edited(edits)
    problems, lines = problems_of(text, returns), text.split("\n")
    for problem in problems:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, str(problem)
        assert problem.message


def problems_of(text: str, returns: Vocabulary) -> list[Problem]:
    try:
        load_book(("returns.yaml", text), returns)
    except PolicyRefused as refused:
        return refused.problems or pytest.fail("refused without a problem")
    return []
