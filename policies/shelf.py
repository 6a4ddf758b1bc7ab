"""The books of each kind, and which of them is in force at a moment: what the gate asks.

Versions stand in the order of their publication. The last one whose dates cover the moment is in force, so
a later version takes over on its day, and the one before it stays in force until then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from core.actions import ProposedAction
from core.errors import NotFound
from core.ports import Count
from core.verdicts import BookRef, Deny, Fact, Verdict
from policies.book import Book
from policies.judge import judge

NO_BOOK = BookRef(policy="none", version="", digest="")
_SOON = timedelta(minutes=2)
"""Facts are gathered a moment before the decision: at midnight another version may take it."""


class BookJudge:
    """Implements `core.ports.Judge`. Changing a shelf swaps one reference: nobody sees half a change."""

    def __init__(self, books: Mapping[str, Book]) -> None:
        self._shelves: dict[str, tuple[Book, ...]] = {kind: (book,) for kind, book in books.items()}

    def replace(self, kind: str, *versions: Book) -> None:
        """Other versions stand on the shelf. A decision under way ends under the one that it began with."""
        self._shelves = {**self._shelves, kind: versions}

    def versions(self, kind: str) -> tuple[Book, ...]:
        """In the order of publication. Raises `NotFound`."""
        try:
            return self._shelves[kind]
        except KeyError:
            known = ", ".join(self._shelves)
            raise NotFound(f"There is no policy for '{kind[:60]}'.", hint=f"There are: {known}.") from None

    def at(self, kind: str, now: datetime) -> Book | None:
        """The version in force; where no dates cover the moment, the last one, which then denies everything."""
        shelf = self._shelves.get(kind, ())
        return next(
            (book for book in reversed(shelf) if book.in_force.covers(now.date())), shelf[-1] if shelf else None
        )

    def wants(self, kind: str, tool: str, now: datetime) -> frozenset[str]:
        present, soon = self.at(kind, now), self.at(kind, now + _SOON)
        return frozenset(
            term.path
            for book in ((present,) if present is soon else (present, soon))
            if book is not None and tool in book.programs
            for term in book.programs[tool].facts
            if term.path not in book.counts
        )

    def counts(self, kind: str, tool: str, now: datetime) -> Sequence[Count]:
        book = self.at(kind, now)
        if book is None or tool not in book.programs:
            return []
        return [book.counts[term.path] for term in book.programs[tool].facts if term.path in book.counts]

    def book(self, kind: str, now: datetime) -> BookRef:
        book = self.at(kind, now)
        return book.ref if book else NO_BOOK

    def judge(self, action: ProposedAction, facts: Mapping[str, Fact], now: datetime) -> Verdict:
        book = self.at(action.kind, now)
        if book is None:
            return Deny(reason=f"No policy is in force for '{action.kind}'.", book=NO_BOOK)
        return judge(book, action, facts, now)
