"""Puts the page together: what changes, what is proved of it, what it would have done, how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from core.actions import JSON
from policies.backtest.figures import AUTOMATIC, REFUSED, Figure
from policies.backtest.outcome import Backtest
from policies.backtest.page.charts import amounts, before_and_after, transitions
from policies.backtest.page.document import bullets, document, heading, paragraph, table, tiles
from policies.backtest.page.sides import beside, changed_clauses
from policies.backtest.tally import Changed
from policies.backtest.telling import (
    INTERVALS,
    LIMITS,
    METHOD,
    amount,
    between,
    not_judged,
    nothing_changed,
    replayable,
    shown,
    spent,
)
from policies.book import Book

_DIRECTIONS = {
    "same": "The two versions decide the same in every situation.",
    "tighter": "The new version is tighter: nothing becomes possible that was not, and nothing with fewer people.",
    "looser": "The new version is looser: something becomes possible that was not, or takes fewer people.",
    "mixed": "The new version is looser in some situations and tighter in others.",
    "unproved": "Whether the new version is tighter could not be proved for all of it.",
}


_MOST_TILES = 7
"""Two of money for each of three currencies, and one of decisions."""


@dataclass(frozen=True)
class Version:
    book: Book
    text: str
    """Of its file."""


@dataclass(frozen=True)
class Paper:
    """What there is to decide on. Each part but the new version may be missing, and then the page says so."""

    new: Version
    old: Version | None = None
    difference: Mapping[str, JSON] | None = None
    """`policies.proofs.difference.Difference.as_json()`."""
    no_proof: str = ""
    """Why there is no difference, in a sentence."""
    found: Backtest | None = None
    no_trial: str = ""
    """Why nothing was tried on records, in a sentence."""


def page(paper: Paper) -> str:
    new, old = paper.new.book, paper.old.book if paper.old else None
    versions = f"{old.version} to {new.version}" if old and old.version != new.version else new.version
    return document(f"{new.name}: {versions}", _parts(paper))


def _parts(paper: Paper) -> Iterator[str]:
    new = paper.new.book
    yield paragraph(
        f"Owner {new.owner}. In force {new.in_force}. To be approved by {_named(new.approved_by)}.", dim=True
    )
    if paper.found:
        yield from _headline(paper.found)
    elif paper.no_trial:
        yield paragraph(paper.no_trial)
    if paper.old:
        yield from _proof(paper)
    if paper.found:
        yield from _backtest(paper.found)
    if paper.old:
        yield from _text(paper.old, paper.new)
    if paper.found:
        yield from _method(paper.found)
    yield heading("Files")
    rows = [("new", paper.new)] + ([("old", paper.old)] if paper.old else [])
    yield table(
        ["", "Version", "'File", "'SHA-256"],
        [[name, each.book.version, each.book.file, each.book.digest] for name, each in rows],
    )


def _named(words: tuple[str, ...]) -> str:
    return " and ".join(words) or "nobody named"


def _headline(found: Backtest) -> Iterator[str]:
    yield paragraph(f"Tried on {found.decisions:,} recorded decisions of {found.cases:,} cases{_span(found)}.")
    if not found.decisions:
        return
    if found.unjudged:
        yield heading(not_judged(found))
        yield paragraph("Nobody can tell what the new policy says of them. Why is told for each tool below.")
    shown_tiles = [(f"{found.changed:,}", f"of {found.replayed:,} replayed decisions change", "")]
    for each in found.figures:
        told = {
            AUTOMATIC: f"would newly go out without a person, for {found.per}",
            REFUSED: "of which people had refused",
        }
        if each.name in told and len(shown_tiles) < _MOST_TILES:
            shown_tiles.append((shown(each.change, each.unit), told[each.name], "loose" if each.change else ""))
    for each in found.figures:
        if each.unit == "hours" or each.name == "cases in which nobody is asked":
            then, now = (shown(value or 0.0, each.unit) for value in (each.then, each.now))
            shown_tiles.append((f"{then} → {now}", each.name, ""))
    yield tiles(shown_tiles)


def _span(found: Backtest) -> str:
    if not found.since or not found.until:
        return ""
    first, last = found.since.date(), found.until.date()
    return f" of {first}" if first == last else f" from {first} to {last}"


def _proof(paper: Paper) -> Iterator[str]:
    yield heading("What changes, in words")
    if paper.difference is None:
        yield paragraph(paper.no_proof)
        return
    direction = str(paper.difference["direction"])
    yield paragraph(
        f"{_DIRECTIONS[direction]} This is proved for every situation there can be, not only recorded ones."
    )
    changes: list[Any] = paper.difference["changes"]
    if changes:
        yield bullets(
            f"{each['what']} ({each['direction']})" if each["direction"] else each["what"] for each in changes
        )
    tools: Mapping[str, Any] = paper.difference["tools"]
    if not tools:
        return
    yield table(["'Tool", "The new version is"], [[tool, each["direction"]] for tool, each in tools.items()])
    yield heading("Situations in which they differ", 3)
    for each in tools.values():
        for side, tone in (("looser", "loose"), ("tighter", "tight"), ("unknown", "")):
            if each[side]:
                yield _counterexample(side, tone, each[side])
        if each["unproved"]:
            yield paragraph(f"Not proved: {each['unproved']}")


def _counterexample(side: str, tone: str, example: Mapping[str, Any]) -> str:
    facts = example["facts"]
    telling = ", ".join(f"{path} = {_fact(facts[path])}" for path in example["telling"]) or "the typical facts"
    said = {"unknown": "where something is missing"}.get(side, side)
    was = f"<p>{escape(said.capitalize())}: {escape(example['was'])} → <b>{escape(example['becomes'])}</b></p>"
    return f'<div class="shown {tone}">{was}<code>{escape(example["tool"])}: {escape(telling)}</code></div>'


def _fact(value: JSON) -> str:
    return "unknown" if value is None else str(value)


def _backtest(found: Backtest) -> Iterator[str]:
    yield heading("What it would have decided")
    yield paragraph(replayable(found))
    if not found.decisions:
        return
    if not found.changed:
        yield paragraph(nothing_changed(found))
    yield transitions(found.verdicts)
    yield _by_tool(found)
    money: dict[str, list[Figure]] = {}
    for each in found.figures:
        if each.then is None:
            money.setdefault(each.unit, []).append(each)
    if money:
        yield heading(f"Money, for {found.per}")
        for currency, figures in money.items():
            if len(money) > 1:
                yield heading(currency, 3)
            yield amounts(figures)
        yield _answers(found)
    yield heading(f"People's work, for {found.per}")
    both = [each for each in found.figures if each.then is not None]
    yield before_and_after(both)
    yield _table_of(both)
    yield from _cases(found)
    yield from _left_out(found)


def _by_tool(found: Backtest) -> str:
    rows = [
        [tool, f"{then} → {now}", f"{many:,}"]
        for tool, cells in found.matrix.items()
        for (then, now), many in sorted(cells.items())
        if then != now
    ]
    if found.other_reviewers:
        rows.append(["", "a review by other people", f"{found.other_reviewers:,}"])
    return table(["'Tool", "Change", "-Decisions"], rows) if rows else ""


def _answers(found: Backtest) -> str:
    if not found.answers:
        return ""
    rows = [
        [answer, f"{many:,}", f"{amount(minor, currency)} {currency}"]
        for (currency, answer), (many, minor) in found.answers.items()
    ]
    said = paragraph("What people had said, as recorded, of what would now go out by itself:")
    return said + table(["People's answer", "-Actions", "-Amount"], rows)


def _table_of(figures: list[Figure]) -> str:
    rows = [
        [
            *(each.name, shown(each.then or 0.0, each.unit), shown(each.now or 0.0, each.unit)),
            *(shown(each.change, each.unit, signed=True), between(each), each.about),
        ]
        for each in figures
    ]
    return table(["", "-As recorded", "-New", "-Change", "-95% interval", "Of"], rows)


def _cases(found: Backtest) -> Iterator[str]:
    if not found.largest:
        return
    yield heading("The largest that change")
    yield table(
        ["'Case and tool", "-Amount", "Then", "Now", "People had said"],
        [
            [f"{each.case_id} {each.tool}", spent(each), _was(each), _is(each), each.answer or "-"]
            for each in found.largest
        ],
    )


def _was(each: Changed) -> str:
    return f"{each.then} ({', '.join(each.rules_then)})" if each.rules_then else each.then


def _is(each: Changed) -> str:
    return f"{each.now} ({', '.join(each.rules_now)})" if each.rules_now else f"{each.now} (no rule)"


def _left_out(found: Backtest) -> Iterator[str]:
    yield heading("What could not be replayed, and why")
    if not found.left_out:
        yield paragraph("Every recorded decision could be replayed.")
        return
    yield table(
        ["'Tool", "-Decisions", "Why", "'What"],
        [[each.tool, f"{each.many:,}", each.why, each.what] for each in found.left_out],
    )


def _text(old: Version, new: Version) -> Iterator[str]:
    clauses = changed_clauses(old.book, old.text, new.book, new.text)
    yield heading("The text, old and new")
    if not clauses:
        yield paragraph("No rule, limit, count, group or promise reads otherwise.")
    yield from map(beside, clauses)


def _method(found: Backtest) -> Iterator[str]:
    yield heading("Method and limits")
    yield bullets([METHOD, *LIMITS, f"Intervals: {INTERVALS}"])
    yield paragraph("Decided by then:", dim=True)
    yield table(["'Book", "-Decisions"], [[name, f"{many:,}"] for name, many in found.books_then.items()])
