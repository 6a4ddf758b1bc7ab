"""The books in force, one for each kind: what the gate asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from core.actions import ProposedAction
from core.errors import NotFound
from core.ports import Count
from core.verdicts import BookRef, Deny, Fact, Verdict
from policies.book import Book
from policies.judge import judge
from policies.program import Program

NO_BOOK = BookRef(policy="none", version="", digest="")


class BookJudge:
    """Implements `core.ports.Judge` over one book for each kind."""

    def __init__(self, books: Mapping[str, Book]) -> None:
        self._books = dict(books)

    def replace(self, kind: str, book: Book) -> None:
        """Brings another book into force. A decision under way ends under the one that it began with."""
        self._books = {**self._books, kind: book}

    def wants(self, kind: str, tool: str) -> frozenset[str]:
        program = self._program(kind, tool)
        return frozenset(term.path for term in program.facts) if program else frozenset()

    def counts(self, kind: str, tool: str) -> Sequence[Count]:
        book = self._books.get(kind)
        return [book.counts[path] for path in sorted(self.wants(kind, tool)) if path in book.counts] if book else []

    def book(self, kind: str) -> BookRef:
        book = self._books.get(kind)
        return book.ref if book else NO_BOOK

    def in_force(self, kind: str) -> Book:
        """Raises `NotFound`."""
        try:
            return self._books[kind]
        except KeyError:
            raise NotFound(
                f"There is no policy for '{kind[:60]}'.", hint=f"There are: {', '.join(self._books)}."
            ) from None

    def _program(self, kind: str, tool: str) -> Program | None:
        book = self._books.get(kind)
        return book.programs.get(tool) if book else None

    def judge(self, action: ProposedAction, facts: Mapping[str, Fact], now: datetime) -> Verdict:
        book = self._books.get(action.kind)
        if book is None:
            return Deny(reason=f"No policy is in force for '{action.kind}'.", book=NO_BOOK)
        return judge(book, action, facts, now)
