"""Whether a version may follow those that were published: its dates, its number, and what it replaces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from policies.book import Book


def misfits(new: Book, published: Sequence[Book], today: date) -> list[str]:
    """What is wrong with a version's place in time, in words; empty if nothing is.

    `published` is in the order of publication. A version without an end is ended by the next one's beginning. One
    that begins inside the dates of another says so: `replaces: VERSION`.
    """
    found = []
    if any(each.version == new.version and each.digest != new.digest for each in published):
        found.append(f"the version {new.version} was published with another text: give this one a number of its own")
    if new.in_force.until is not None and new.in_force.until < today:
        found.append(f"its dates are over: it ends on {new.in_force.until}")
    if not published:
        return found
    versions = {each.version for each in published}
    if new.replaces and new.replaces not in versions:
        found.append(f"it replaces {new.replaces}, and there is no such version")
    begins = max(new.in_force.since, today)
    found += [
        f"it overlaps {other.version} ({other.in_force}): begin after {other.in_force.until}, or say replaces: "
        f"{other.version}"
        for other in _standing(published)
        if other.version not in (new.replaces, new.version) and _overlaps(new, other, begins)
    ]
    ends = [each.in_force.until for each in published]
    last = None if None in ends else max(end for end in ends if end is not None)
    if last is not None and begins > max(last + timedelta(days=1), today):
        found.append(
            f"nothing would be in force from {last + timedelta(days=1)} to {begins - timedelta(days=1)}: begin on "
            f"{last + timedelta(days=1)}"
        )
    return found


def _overlaps(new: Book, other: Book, begins: date) -> bool:
    """Whether both have fixed dates that share a day, or the new one begins before an open one has."""
    if other.in_force.until is None:
        return (
            new.in_force.until is not None
            and other.in_force.since > begins
            and other.in_force.since <= (new.in_force.until)
        )
    ends = new.in_force.until
    return other.in_force.until >= begins and (ends is None or other.in_force.since <= ends)


def _standing(published: Sequence[Book]) -> list[Book]:
    """Each version once, as it was published last, without those that another one replaced."""
    replaced = {each.replaces for each in published if each.replaces}
    return [each for each in {each.version: each for each in published}.values() if each.version not in replaced]
