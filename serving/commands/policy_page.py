"""Writes the committee's page to a file: what `policy report` and `policy backtest --html` share."""

from __future__ import annotations

from pathlib import Path

from core.errors import SetupError
from policies.backtest.outcome import Backtest
from policies.backtest.page.compose import Paper, Version, page
from policies.book import read_book
from policies.vocabulary import Vocabulary


def trial_page(out: Path, new: Path, vocabulary: Vocabulary, found: Backtest) -> None:
    """A trial alone, without an older version to hold it against."""
    write(out, Paper(Version(read_book(new, vocabulary), new.read_text("utf-8-sig")), found=found))


def write(out: Path, paper: Paper) -> None:
    """Raises `SetupError`."""
    try:
        out.write_text(page(paper), encoding="utf-8")
    except OSError as error:
        raise SetupError(f"{out} can't be written: {error.strerror}.", hint="Choose another file.") from error
