"""`countersign policy coverage`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import click

from policies.book import Book, read_book
from policies.commands import asking
from policies.coverage import Coverage, coverage
from policies.edge_cases import proposals

_RECORDS = "serving.commands.policy_backtest:covered_by_records"
"""Records are kept on another floor. It is reached by name, so that this one imports nothing of it."""


@click.command("coverage")
@click.argument("file", type=asking.existing)
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Count what was decided there, too."
)
@click.option("--propose", is_flag=True, help="Print examples for what is untried, to paste under `cases:`.")
@asking.kind
@asking.as_json
def cover(file: Path, data: Path | None, propose: bool, kind: str | None, as_json: bool) -> None:
    """Say which rules, thresholds, choices and promises no example of a policy file tries.

    \b
    Exit 0: all are tried. 1: some are not. 2: wrong use.
    Examples:
      countersign policy coverage policies/books/returns.yaml
      countersign policy coverage policies/books/returns.yaml --propose
    """
    book = read_book(file, asking.vocabulary(file, kind))
    found = _with_records(book, data) if data else coverage(book)
    proposed = proposals(found).as_yaml(_indent(book)) if propose else ""
    if as_json:
        said = found.as_json()
        if propose:
            said["proposed"] = proposed
        click.echo(json.dumps(said, indent=2))
    elif propose:
        click.echo(proposed or f"{book.file}: nothing is untried.")
    else:
        click.echo(found.as_text())
    asking.exit_if([bool(found.open)])


def _indent(book: Book) -> int:
    """Where the file's own examples begin."""
    return max(0, book.examples[0].at.column - len("- ") - 1) if book.examples else 2


def _with_records(book: Book, data: Path) -> Coverage:
    module, _, name = _RECORDS.partition(":")
    covered: Callable[[Book, Path], Coverage] = getattr(importlib.import_module(module), name)
    return covered(book, data)
