"""The books of each kind, and which of them is in force at a moment: what the gate asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from core.actions import ProposedAction
from core.errors import NotFound
from core.ports import Count
from core.verdicts import BookRef, Deny, Fact, ReviewerSet, Verdict
from policies.book import Book
from policies.judge import judge
from policies.succession import Standing, standing_at

NO_BOOK = BookRef(policy="none", version="", digest="")
_SOON = timedelta(minutes=2)
"""Facts are gathered a moment before the decision: at midnight another version may take it."""


class BookJudge:
    """Implements `core.ports.Judge`. Changing a shelf swaps one reference: nobody sees half a change."""

    def __init__(self, books: Mapping[str, Book]) -> None:
        self._shelves: dict[str, tuple[Standing, ...]] = {kind: (Standing.of(book),) for kind, book in books.items()}

    def replace(self, kind: str, *versions: Book | Standing) -> None:
        """Other versions stand on the shelf. A decision under way ends under the one that it began with."""
        standing = tuple(Standing.of(each) if isinstance(each, Book) else each for each in versions)
        self._shelves = {**self._shelves, kind: standing}

    def versions(self, kind: str) -> tuple[Standing, ...]:
        """In the order of publication. Raises `NotFound`."""
        try:
            return self._shelves[kind]
        except KeyError:
            known = ", ".join(self._shelves)
            raise NotFound(f"There is no policy for '{kind[:60]}'.", hint=f"There are: {known}.") from None

    def at(self, kind: str, now: datetime) -> Book | None:
        """The version that counts; outside its dates it denies everything."""
        shelf = self._shelves.get(kind, ())
        found = standing_at(shelf, now) or next(iter(shelf), None)
        return found.book if found else None

    def wants(self, kind: str, tool: str, now: datetime) -> frozenset[str]:
        present, soon = self.at(kind, now), self.at(kind, now + _SOON)
        books = [book for book in ((present,) if present is soon else (present, soon)) if book is not None]
        return frozenset[str]().union(*(book.wants(tool) for book in books))

    def counts(self, kind: str, tool: str, now: datetime) -> Sequence[Count]:
        book = self.at(kind, now)
        if book is None or tool not in book.programs:
            return []
        return [book.counts[term.path] for term in book.programs[tool].facts if term.path in book.counts]

    def remembers(self, kind: str, tool: str, now: datetime) -> frozenset[str]:
        book = self.at(kind, now)
        return book.remembers(tool) if book else frozenset()

    def book(self, kind: str, now: datetime) -> BookRef:
        book = self.at(kind, now)
        return book.ref if book else NO_BOOK

    def groups(self, kind: str, now: datetime) -> Mapping[str, ReviewerSet]:
        book = self.at(kind, now)
        return book.reviewers if book else {}

    def judge(self, action: ProposedAction, facts: Mapping[str, Fact], now: datetime) -> Verdict:
        book = self.at(action.kind, now)
        if book is None:
            return Deny(reason=f"No policy is in force for '{action.kind}'.", book=NO_BOOK)
        return judge(book, action, facts, now)
