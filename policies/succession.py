"""One version after another: which is in force at a moment, and whether another one may follow.

A version begins on its day, or when it was published if that is later. It ends on its last day, or when another one
begins. So of those that have begun the last one counts, and where its last day is over nothing is in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from policies.book import Book

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Standing:
    """A version on the shelf."""

    book: Book
    begins: datetime

    @classmethod
    def of(cls, book: Book, published: datetime | None = None) -> Standing:
        """Without a time of publication it stands from its first day."""
        first = datetime.combine(book.in_force.since, time(), UTC)
        return cls(book, max(first, published) if published else first)

    @property
    def until(self) -> date | None:
        return self.book.in_force.until


def standing_at(versions: Sequence[Standing], moment: datetime) -> Standing | None:
    """The last one that has begun, over or not. `versions` are in the order of publication."""
    begun = [each for each in versions if each.begins <= moment]
    return max(reversed(begun), key=lambda each: each.begins) if begun else None


@dataclass(frozen=True)
class Otherwise:
    """What would stand during the life of a new version if it were not published, and what follows it."""

    books: tuple[Book | None, ...]
    """None: for a time nothing would be in force, and everything denied."""
    next: Standing | None
    """What was to come already, and takes over from it."""


def otherwise(new: Book, published: Sequence[Standing], now: datetime) -> Otherwise:
    """What a new version has to be compared with: what it takes the place of, which need not be in force now."""
    comes = Standing.of(new, now)
    later = min((each for each in published if each.begins > comes.begins), key=lambda each: each.begins, default=None)
    present = standing_at(published, comes.begins)
    if present is None or not present.book.in_force.covers(comes.begins.date()):
        return Otherwise((None,), later)
    ends = [end for end in (later and later.begins.date() - _DAY, comes.until) if end]
    outlives = present.until is not None and (not ends or min(ends) > present.until)
    return Otherwise((present.book, None) if outlives else (present.book,), later)


def clashes(books: Sequence[Book]) -> list[tuple[Book, str]]:
    """Of files for one kind that lie side by side: those whose dates overlap others, or leave a gap, and why."""
    found, earlier = [], list[Standing]()
    for book in sorted(books, key=lambda each: each.in_force.since):
        standing = Standing.of(book)
        same = [each.book for each in earlier if each.begins == standing.begins and each.book.digest != book.digest]
        if same:
            found.append((book, f"it begins on the same day as {same[0].file}: both would be in force"))
        else:
            found += [(book, why) for why in misfits(book, earlier, standing.begins)]
        earlier.append(standing)
    return found


def misfits(new: Book, published: Sequence[Standing], now: datetime) -> list[str]:
    """What is wrong with a version's place in time, in words; empty if nothing is.

    One that begins inside the fixed dates of another says so: `replaces: VERSION`.
    """
    today, comes = now.date(), Standing.of(new, now)
    found = []
    books = [each.book for each in published]
    if any(each.version == new.version and each.digest != new.digest for each in books):
        found.append(f"the version {new.version} was published with another text: give this one a number of its own")
    if new.replaces and all(each.version != new.replaces for each in books):
        found.append(f"it replaces {new.replaces}, and there is no such version")
    if comes.until is not None and comes.until < today:
        return [*found, f"its dates are over: it ends on {comes.until}"]
    return [*found, *_before(new, comes, published, now), *_after(comes, published)]


def _before(new: Book, comes: Standing, published: Sequence[Standing], now: datetime) -> list[str]:
    """What stands until it begins: it may not be cut short unasked, and not be over long before."""
    present = standing_at(published, comes.begins)
    if present is None or present.until is None:
        return []
    first = comes.begins.date()
    if present.until >= first and present.book.version not in (new.replaces, new.version):
        name = present.book.version
        return [f"it overlaps {name} ({present.book.in_force}): begin after {present.until}, or say replaces: {name}"]
    return _gap(max(present.until + _DAY, now.date()), first)


def _after(comes: Standing, published: Sequence[Standing]) -> list[str]:
    """What was to come already: it takes over on its day, whatever end this one gives itself."""
    later = min((each for each in published if each.begins > comes.begins), key=lambda each: each.begins, default=None)
    if later is None or comes.until is None:
        return []
    first = later.begins.date()
    if comes.until >= first:
        return [f"it overlaps {later.book.version} ({later.book.in_force}): end before {first}"]
    return _gap(comes.until + _DAY, first)


def _gap(start: date, first: date) -> list[str]:
    if start >= first:
        return []
    return [f"nothing would be in force from {start} to {first - _DAY}"]
