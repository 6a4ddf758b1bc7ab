"""What a new policy proves, and what it changes: asked when somebody wants it in force, never for a decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.errors import SetupError
from ledger.database import Database, Ledger
from ledger.history import decisions, how_many, runs
from ledger.tables import SYSTEM
from policies.backtest.outcome import Backtest
from policies.backtest.recount import Recounts
from policies.backtest.telling import as_text
from policies.backtest.trial import backtest
from policies.book import Book, read_book
from policies.problems import PolicyRefused
from policies.succession import Otherwise
from policies.vocabulary import Vocabulary

_WINDOW = timedelta(days=30)
_MOST = 50_000
"""Decisions that are tried while somebody waits: about ten seconds."""


@dataclass(frozen=True)
class Compared:
    direction: str
    """same, tighter, looser, mixed, unproved"""
    summary: str
    failed: tuple[str, ...]
    """What it promises and does not hold, with line and column."""


def compared(new: Book, beside: Otherwise, trial: Callable[[], str]) -> Compared:
    """Takes about a second for a hundred rules. Without z3 nothing is proved, and promises can't be kept.

    `beside` is what would stand instead, and what follows; `trial` tells what the new version would have done to
    recorded decisions.
    """
    try:
        from policies.proofs.diff import compare  # z3 is heavy, and an extra
        from policies.proofs.prove import prove
        from policies.proofs.strictness import Direction, together
    except SetupError as missing:
        promises = f"{missing.detail} What it promises under 'never' can't be proved."
        return Compared("unproved", f"{missing.detail}\n{trial()}", (promises,) if new.never else ())
    failed = tuple(str(finding.problem(new.file)) for finding in prove(new) if finding.error)
    directions, told = [], []
    for book in beside.books:
        if book is None:
            directions.append(Direction.LOOSER)
            told.append("looser   Without it nothing would be in force for a time, and everything denied.")
        else:
            difference = compare(book, new)
            directions.append(difference.direction)
            told.append(difference.as_text())
    if beside.next is not None:
        difference = compare(new, beside.next.book)
        told.append(f"On {beside.next.begins:%Y-%m-%d} {beside.next.book.version} takes over from it:")
        told.append(difference.as_text())
        directions += [] if difference.tightening else [difference.direction]
    return Compared(together(directions).value, "\n".join([*told, trial()]), failed)


def tried(
    ledger: Ledger,
    new: Book,
    words: Vocabulary,
    given: Iterable[Book] = (),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    step: Callable[[], object] = lambda: None,
) -> Backtest:
    """What a version would have decided on recorded decisions. `words` are its kind's, without any book's counts.

    The books that decided are looked for among those `given` and those that the ledger holds. One that does not load
    any more decided then, and explains nothing now.
    """
    session = ledger.session
    earlier = list(given)
    for row in ledger.policies.published(words.kind):
        with suppress(PolicyRefused):
            earlier.append(read_book((f"{row.kind} {row.version}", row.text), words))
    recounts = Recounts(lambda tools, after: runs(session, tools, since=after), since)
    records = decisions(session, words.kind, since=since, until=until)
    return backtest(records, new, earlier=earlier, recount=recounts.of, step=step)


def last_month(database: Database, new: Book, words: Vocabulary) -> str:
    """What a new version would have decided on the newest recorded decisions, in a few lines."""

    def work(ledger: Ledger) -> str:
        since = ledger.now - _WINDOW
        total = how_many(ledger.session, words.kind, since=since)
        if total > _MOST:
            return f"{total:,} decisions of {_WINDOW.days} days: too many to try here. Run countersign policy backtest."
        if not total:
            return "There are no recorded decisions to try it on."
        return as_text(tried(ledger, new, words, since=since))

    return database.transact(SYSTEM, work, writes=False)
