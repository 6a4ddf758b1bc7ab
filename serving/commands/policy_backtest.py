"""`countersign policy backtest`: a policy file on what a data folder's ledger recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from core.console import echo_json
from core.settings import load_settings
from ledger.database import Ledger
from ledger.history import decisions, how_many
from ledger.tables import SYSTEM
from policies.backtest.outcome import Backtest
from policies.backtest.situations import situations
from policies.backtest.telling import as_text
from policies.book import Book, read_book
from policies.commands import asking
from policies.coverage import Coverage, coverage
from policies.vocabulary import Vocabulary
from serving.commands.ledger_access import opened
from serving.comparing import tried

_AGO = re.compile(r"([1-9]\d{0,3})d")


class Moment(click.ParamType[datetime]):
    """A day such as 2026-10-01, a moment with its offset, or so many days ago, as 30d."""

    name = "day"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if ago := _AGO.fullmatch(value):
            return datetime.now(UTC) - timedelta(days=int(ago[1]))
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"'{value[:40]}' is no day. Write it like 2026-10-01 or 30d.", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


data_option = click.option("--data", type=click.Path(path_type=Path), help="Data folder.  [default: the settings' one]")
since_option = click.option(
    "--since", type=Moment(), metavar="DAY", help="From when on: 2026-10-01, or 30d.  [default: all]"
)
until_option = click.option("--until", type=Moment(), metavar="DAY", help="Up to when.  [default: now]")


@click.command()
@click.argument("new", type=asking.existing)
@click.option(
    "--old", "old", multiple=True, type=asking.existing, help="A book that decided then.  [default: the installed one]"
)
@since_option
@until_option
@data_option
@click.option("--html", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write a page of it there, too.")
@asking.kind
@asking.as_json
@click.pass_context
def backtest(
    context: click.Context,
    new: Path,
    old: tuple[Path, ...],
    since: datetime | None,
    until: datetime | None,
    data: Path | None,
    out: Path | None,
    kind: str | None,
    as_json: bool,
) -> None:
    """Try the policy NEW on recorded decisions: what changes, in verdicts, money and people's time.

    \b
    Exit 0: nothing changes. 1: verdicts change, or decisions could not be judged. 2: wrong use.
    Examples:
      countersign policy backtest policies/books/returns.yaml --data .countersign/demo
      countersign policy backtest new.yaml --kind returns --since 30d --html trial.html
    """
    vocabulary = asking.vocabulary(new, kind)
    book = read_book(new, vocabulary)
    found = on_record(book, [read_book(path, vocabulary) for path in old], vocabulary, data, since, until)
    if out:
        from serving.commands.policy_page import trial_page

        trial_page(out, new, vocabulary, found)
    if as_json:
        echo_json(found.as_json())
    else:
        click.echo(as_text(found))
    context.exit(1 if found.changed or found.unjudged else 0)


def on_record(
    new: Book,
    old: list[Book],
    vocabulary: Vocabulary,
    data: Path | None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Backtest:
    """Reads the ledger in one transaction, so that all of it is of one moment, also beside a server."""

    def work(ledger: Ledger) -> Backtest:
        session, name = ledger.session, vocabulary.kind
        with _progress(how_many(session, name, since=since, until=until)) as step:
            return tried(ledger, new, vocabulary, [*old, *_installed(vocabulary)], since=since, until=until, step=step)

    with opened(data) as database:
        return database.transact(SYSTEM, work, writes=False)


def covered_by_records(book: Book, data: Path) -> Coverage:
    """What the examples of a book and the decisions of a folder try of it. For `countersign policy coverage`."""

    def work(ledger: Ledger) -> Coverage:
        return coverage(book, situations(decisions(ledger.session, book.vocabulary.kind), book))

    with opened(data) as database:
        return database.transact(SYSTEM, work, writes=False)


def _installed(vocabulary: Vocabulary) -> list[Book]:
    """The kind's book that is installed, which may have decided; whether it did, its digest tells."""
    from graphs.catalog import find  # heavy

    settings = load_settings()
    book = find(vocabulary.kind).book
    return [read_book(settings.policies / book.name if settings.policies else book, vocabulary)]


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], object]]:
    """On a terminal, a bar on stderr."""
    console = Console(stderr=True)
    if not console.is_terminal or not total:
        yield lambda: None
        return
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task, done = progress.add_task("", total=total), 0

        def step() -> None:
            nonlocal done
            done += 1
            if done % 500 == 0:
                progress.update(task, completed=done)

        yield step
