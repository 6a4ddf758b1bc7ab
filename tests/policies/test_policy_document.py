"""docs/policy.md is held to its word: every snippet loads, and what it says is refused is refused, in those words."""

from __future__ import annotations

import re

import pytest

from graphs.catalog import vocabulary
from policies.book import Book, load_book, read_book
from policies.problems import PolicyRefused
from tests.support.repository import ROOT

FENCE = re.compile(r"^```(?P<info>yaml[^\n]*)\n(?P<body>.*?)^```\n(?:\n```text\n(?P<said>.*?)^```$)?", re.M | re.S)
SNIPPETS = list(FENCE.finditer((ROOT / "docs" / "policy.md").read_text()))

SECTIONS = {
    "policy": "policy: retail-returns",
    "version": "version: 2026.12-9",
    "owner": "owner: compliance@shop.example",
    "in_force": "in_force: {from: 2026-01-01}",
    "limits": "limits: {auto_refund: 150 USD, two_people: 500 USD, serial: 3}",
    "reviewers": (
        "reviewers:\n  desk: {role: returns_reviewer, within: 4 hours}\n"
        "  finance: {role: finance_controller, people: 2, within: 1 day}"
    ),
    "rules": (
        "rules:\n- id: RF-01\n  tools: [refunds.create]\n  decide: allow\n"
        "  when: args.amount <= $auto_refund and order.days_since_delivery <= order.window_days\n"
        "  reason: Small.\n  cite: Returns Policy 4.1"
    ),
}


def whole(snippet: str) -> str:
    """The snippet in a book that is otherwise right: its sections in place of the ordinary ones, its rules added."""
    if snippet.startswith("- id:"):
        ids = set(re.findall(r"^- id: (\S+)$", snippet, re.M))
        rules = "rules:\n" if "RF-01" in ids else SECTIONS["rules"] + "\n"
        return _text({**SECTIONS, "rules": rules + snippet.rstrip()})
    parts = re.split(r"^(?=\w+:)", snippet, flags=re.M)
    return _text({**SECTIONS, **{part.partition(":")[0]: part.rstrip() for part in parts if part.strip()}})


def _text(sections: dict[str, str]) -> str:
    return "\n".join(sections.values()) + "\n"


def loaded(text: str) -> Book:
    words = vocabulary("returns")
    return load_book(("snippet.yaml", text), words) if "examples:" in text else read_book(("snippet.yaml", text), words)


@pytest.mark.parametrize("snippet", [each for each in SNIPPETS if each["info"] == "yaml"], ids=lambda s: s["body"][:20])
def test_a_snippet_loads(snippet: re.Match[str]) -> None:
    assert loaded(whole(snippet["body"])).rules


@pytest.mark.parametrize("snippet", [each for each in SNIPPETS if each["info"] != "yaml"], ids=lambda s: s["body"][:12])
def test_what_is_refused_is_refused_in_those_words(snippet: re.Match[str]) -> None:
    with pytest.raises(PolicyRefused) as refused:
        loaded(whole(snippet["body"]))
    (problem,) = refused.value.problems
    assert snippet["said"].strip() in str(problem)


def test_there_is_something_to_hold_it_to() -> None:
    assert len(SNIPPETS) >= 13
    assert sum(each["info"] == "yaml refused" for each in SNIPPETS) >= 3
