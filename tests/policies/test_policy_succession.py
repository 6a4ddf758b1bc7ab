"""Versions side by side: which is in force on which day, what may follow, and files whose dates clash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policies.book import Book
from policies.shelf import BookJudge
from policies.succession import Standing, misfits, standing_at
from tests.serving.live import typed

Load = Callable[[str], Book]
DATES = "in_force: {from: 2026-01-01, to: 2026-12-31}"
SHIPPED = Path("policies/books/governance.yaml")


@pytest.fixture
def version(load: Load, book_text: str) -> Callable[..., Book]:
    def of(number: str, dates: str, *, replaces: str = "") -> Book:
        more = f"\nreplaces: '{replaces}'" if replaces else ""
        return load(
            book_text.replace("version: 2026.11-1", f"version: '{number}'{more}").replace(DATES, f"in_force: {dates}")
        )

    return of


def on(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T12:00:00+00:00").astimezone(UTC)


def test_the_last_one_that_has_begun_counts_until_its_last_day(version: Callable[..., Book]) -> None:
    first, second = version("1", "{from: 2026-01-01}"), version("2", "{from: 2026-06-01, to: 2026-08-31}")
    shelf = BookJudge({})
    shelf.replace("small", first, second)
    assert [shelf.book("small", on(day)).version for day in ("2026-05-31", "2026-06-01", "2026-08-31")] == [
        "1",
        "2",
        "2",
    ]
    over = shelf.at("small", on("2026-09-01"))
    assert over is second
    assert not over.in_force.covers(on("2026-09-01").date())


def test_at_midnight_it_changes_and_facts_for_both_are_gathered_before(load: Load, book_text: str) -> None:
    today = load(book_text.replace(DATES, "in_force: {from: 2026-01-01}"))
    rule = "- {id: RF-20, tools: [look], decide: deny, when: order.days > 99, reason: x, cite: y}\nnever:"
    tomorrow = load(
        book_text.replace(DATES, "in_force: {from: 2026-11-03}").replace("2026.11-1", "2").replace("never:", rule)
    )
    shelf = BookJudge({})
    shelf.replace("small", today, tomorrow)
    midnight = datetime(2026, 11, 3, tzinfo=UTC)
    before = midnight - timedelta(seconds=1)
    assert (shelf.book("small", before).version, shelf.book("small", midnight).version) == ("2026.11-1", "2")
    assert shelf.wants("small", "look", before) == {"order.owned", "order.days"}
    assert shelf.wants("small", "look", before - timedelta(minutes=10)) == {"order.owned"}


def test_a_version_begins_no_earlier_than_it_was_published(version: Callable[..., Book]) -> None:
    first = Standing.of(version("1", "{from: 2026-01-01}"))
    back = Standing.of(version("1", "{from: 2026-01-01}"), on("2026-07-01"))
    second = Standing.of(version("2", "{from: 2026-06-01}"), on("2026-06-01"))
    found = [standing_at([first, second, back], on(day)) for day in ("2026-06-15", "2026-07-02")]
    assert [each.book.version for each in found if each] == ["2", "1"]


@pytest.mark.parametrize(
    ("dates", "replaces", "said"),
    [
        ("{from: 2026-09-01}", "", ""),
        ("{from: 2026-08-01}", "", "it overlaps 2 (from 2026-06-01 to 2026-08-31): begin after 2026-08-31"),
        ("{from: 2026-08-01}", "2", ""),
        ("{from: 2026-08-01}", "7", "there is no such version"),
        ("{from: 2026-09-03}", "", "nothing would be in force from 2026-09-01 to 2026-09-02"),
        ("{from: 2026-01-01, to: 2026-06-30}", "", "its dates are over: it ends on 2026-06-30"),
    ],
)
def test_what_may_follow(version: Callable[..., Book], dates: str, replaces: str, said: str) -> None:
    books = [version("1", "{from: 2026-01-01}"), version("2", "{from: 2026-06-01, to: 2026-08-31}")]
    published = [Standing.of(book) for book in books]
    found = misfits(version("3", dates, replaces=replaces), published, on("2026-07-01"))
    assert said in "; ".join(found)
    assert bool(found) == bool(said)


def test_what_was_to_come_already_is_not_overrun(version: Callable[..., Book]) -> None:
    published = [Standing.of(version("1", "{from: 2026-01-01}")), Standing.of(version("2", "{from: 2026-12-01}"))]
    now = on("2026-07-01")
    assert misfits(version("3", "{from: 2026-08-01}"), published, now) == []
    (over,) = misfits(version("3", "{from: 2026-08-01, to: 2027-01-31}"), published, now)
    assert "it overlaps 2" in over
    assert "end before 2026-12-01" in over
    (gap,) = misfits(version("3", "{from: 2026-08-01, to: 2026-10-31}"), published, now)
    assert gap == "nothing would be in force from 2026-11-01 to 2026-11-30"


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        ("{from: 2025-01-01}", "it begins on the same day as"),
        ("{from: 2027-01-01, to: 2027-12-31}", ""),
    ],
)
def test_files_side_by_side_are_held_against_each_other(tmp_path: Path, dates: str, said: str) -> None:
    text = SHIPPED.read_text()
    (tmp_path / "governance.yaml").write_text(text)
    later = text.replace("2026.11-1", "2027.1-1").replace("{from: 2025-01-01}", dates)
    (tmp_path / "governance.next.yaml").write_text(later)
    found = typed("policy", "lint", tmp_path / "governance.yaml", tmp_path / "governance.next.yaml")
    assert found.code == bool(said)
    assert said in found.out
