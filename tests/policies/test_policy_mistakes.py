"""Mistakes that need types, tools and counts which the returns desk lacks; `mistakes/` has the others.

A row replaces a piece of a book that is right. The sign ‸ in the new piece is not part of the file: it
stands before the character at which the mistake has to be reported.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import NotFound, PolicyInvalid
from policies.book import Book, load_book
from policies.problems import PolicyRefused
from policies.vocabulary import Vocabulary

Load = Callable[[str], Book]

_WHEN = "when: args.amount > $auto or order.days > 30"
_LAST = "when: args.reason == UNWANTED"
_LATE = "if_late: escalate to board"

MISTAKES = [
    # names
    ("fact of another tool", "when: not order.owned", "when: ‸order.left > 5 USD", "tool 'look': unknown fact", ""),
    ("no citation", "- id: LK-01\n", "- id: LK-01\n  ‸cyte: x\n", "unknown key 'cyte'", "Did you mean cite?"),
    # types
    ("money with text", _LAST, 'when: args.amount == ‸"5 USD"', "'5 USD' is text", "150 USD"),
    ("two currencies in a sum", _LAST, "when: args.amount + 5 USD > ‸5 EUR", "two currencies", "limits:"),
    ("text with a number", _LAST, "when: order.country == ‸81", "order.country is text", '"81"'),
    ("number as a condition", _LAST, "when: ‸order.days", "order.days is a whole number, no condition", ""),
    ("choices without overlap", _LAST, "when: args.reason ‸== order.status", "no value in common", ""),
    ("time with a number", _LAST, "when: order.sent_at > ‸5", "order.sent_at is a time", ""),
    ("text added", _LAST, "when: ‸order.country + order.days > 5", "adds money or numbers", ""),
    ("known of a value", _LAST, "when: ‸5 is known", "needs a fact", ""),
    # syntax
    ("clock time", _LAST, "when: order.days == ‸12:30", "'12:…' is no number", ""),
    ("in quotes", _LAST, "when: 'order.owned and ‸args.kep'", "unknown fact 'args.kep'", "args.keep"),
    ("empty list", _LAST, "when: ‸[]", "empty list", ""),
    # YAML
    ("brackets in a list", _LAST, "when: [args.reason in ‸[UNWANTED, DEFECTIVE] and order.owned]", "", "Quote"),
    # head
    ("limit is a word", "many: 3", "many: ‸three", "neither money nor a number", ""),
    ("yen with decimals", "15000 JPY", "‸150.5 JPY", "'150.5 JPY' has 1 decimal", "write 150 JPY."),
    ("number among money", "[150 USD, 15000 JPY]", "[150 USD, ‸3]", "no amount of money", ""),
    ("window is a word", "30 days, include", "‸a month, include", "no length of time", "30 days"),
    ("unknown lateness", _LATE, "if_late: ‸allow", "nothing that can be done", "Write deny, or escalate to"),
    ("misspelt lateness", _LATE, "if_late: ‸escalade to board", "nothing that can be done", "escalate to GROUP"),
    ("escalated to nobody", _LATE, "if_late: ‸escalate", "does not say to whom", "Write if_late: escalate to GROUP"),
    ("escalated without to", _LATE, "if_late: ‸escalate board", "does not say to whom", "escalate to GROUP"),
    ("escalated to a misspelt group", _LATE, "if_late: ‸escalate to bord", "unknown reviewers 'bord'", "board?"),
    ("escalated to itself", _LATE, "if_late: ‸escalate to finance", "in a circle: finance, then finance", "deny"),
    ("escalated to fewer people", "people: 2, within: 1 day, if_late: escalate",
     "people: 3, within: 1 day, if_late: ‸escalate", "board asks for 2 where finance asks for 3", "as many people"),
    ("misspelt rules", "rules:\n", "‸ruls:\n", "unknown key 'ruls'", "Did you mean rules?"),
    # never and examples
    ("never with a misspelt fact", "allow_when: args.amount", "allow_when: ‸args.amont", "never 1, tool 'refund'", ""),
    ("deny for a forgotten fact", "- {tool: look, expect: allow by LK-01}",
     "- ‸{tool: look, order.owned: unknown, expect: deny}", "can't be judged: order.owned is unknown", ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message", "hint"), [row[1:] for row in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_refused_where_it_stands(
    load: Load, book_text: str, old: str, new: str, message: str, hint: str
) -> None:
    assert book_text.count(old) == 1
    marked = book_text.replace(old, new)
    text = marked.replace("‸", "")
    with pytest.raises(PolicyRefused) as refused:
        load(text)
    told = [problem for problem in refused.value.problems if message in problem.message and hint in problem.hint]
    assert told, [str(problem) for problem in refused.value.problems]
    if "‸" in new:
        before = marked[: marked.index("‸")]
        place = (before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        assert place in [(problem.line, problem.column) for problem in told]


def test_the_message_is_the_one_that_was_promised(load: Load, book_text: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        load(book_text.replace(_WHEN, "when: args.amout > $auto or order.days > 30"))
    assert refused.value.extra["problems"] == [
        "small.yaml:31:9: rule 'RF-02', tool 'refund': unknown fact 'args.amout'. Did you mean args.amount?"
    ]


def test_all_mistakes_are_told_at_once_and_a_broken_definition_is_told_once(load: Load, book_text: str) -> None:
    text = book_text.replace("many: 3", "many: three").replace("in_flight]", "flying]").replace("RF-90\n", "RF 90\n")
    with pytest.raises(PolicyRefused) as refused:
        load(text)
    assert [(problem.line, problem.column) for problem in refused.value.problems] == [(9, 9), (12, 85), (53, 7)]


CHAINS = [
    ("a circle", {"a": "b", "b": "c", "c": "a"},
     {"a": "circle: a, then b, then c, then a", "b": "b, then c", "c": "c, then a"}),
    ("into a circle", {"a": "b", "b": "b"}, {"b": "in a circle: b, then b"}),
    ("too long", {"a": "b", "b": "c", "c": "d"}, {"a": "more than 3 groups after one another: a, b, c, d"}),
    ("after a mistake", {"a": "b", "b": "x"}, {"b": "unknown reviewers 'x'"}),
    ("as long as may be", {"a": "b", "b": "c", "d": "b"}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("late", "told"), [row[1:] for row in CHAINS], ids=[row[0] for row in CHAINS])
def test_lateness_comes_to_an_end(load: Load, book_text: str, late: dict[str, str], told: dict[str, str]) -> None:
    groups = {
        n: f"  {n}: {{role: r, within: 1 day, if_late: {f'escalate to {late[n]}' if n in late else 'deny'}}}\n"
        for n in "abcd"
    }
    text = book_text.replace("if_no_rule", "".join(groups.values()) + "if_no_rule")
    if not told:
        assert [each.group for each in load(text).reviewers["d"].successors] == ["b", "c"]
        return
    with pytest.raises(PolicyRefused) as refused:
        load(text)
    lines = {problem.line: problem.message for problem in refused.value.problems}
    first = text[: text.index("  a: {")].count("\n") + 1
    assert set(lines) == {first + "abcd".index(name) for name in told}
    assert all(message in lines[first + "abcd".index(name)] for name, message in told.items())


def test_a_mistake_that_concerns_several_tools_is_told_once(load: Load, book_text: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        load(book_text.replace("when: not order.owned", "when: not order.ownd"))
    assert [problem.message for problem in refused.value.problems] == [
        "rule 'RF-04', tools 'refund', 'look': unknown fact 'order.ownd'"
    ]


def test_yaml_never_changes_what_was_written(load: Load, book_text: str) -> None:
    text = book_text.replace(_LAST, "when: order.country == NO or order.country == '010'").replace(
        "- {tool: look, expect", "- {tool: refund, order.country: NO, expect: allow by RF-01}\n  - {tool: look, expect"
    )
    assert load(text.replace("2026.11-1", "010")).version == "010"


@pytest.mark.parametrize(
    "data",
    [b"", b"- a list", b"policy: \xff", b"a: " + b"[" * 5000, b"a: {b: [c", b"x: 1\n" * 250_000, b"a: \x00b", b"*a: b"],
    ids=["empty", "list", "no text", "deep", "open", "large", "null character", "alias as a key"],
)
def test_files_that_are_no_policy_are_refused(tmp_path: Path, words: Vocabulary, data: bytes) -> None:
    file = tmp_path / "small.yaml"
    file.write_bytes(data)
    with pytest.raises(PolicyRefused) as refused:
        load_book(file, words)
    assert refused.value.problems[0].line >= 1


def test_too_many_rules_are_refused(load: Load, book_text: str) -> None:
    rules = "".join(f"- {{id: X{n}, tools: [look], decide: deny, reason: x, cite: y}}\n" for n in range(5_001))
    with pytest.raises(PolicyRefused, match="1 problem"):
        load(book_text.partition("never:\n")[0] + rules)


def test_a_file_that_is_not_there(tmp_path: Path, words: Vocabulary) -> None:
    with pytest.raises(NotFound, match="There is no policy file"):
        load_book(tmp_path / "small.yaml", words)
