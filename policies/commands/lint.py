"""`countersign policy lint`."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import click

from policies.book import Book, load_book
from policies.commands import asking
from policies.lint import remarks
from policies.problems import PolicyRefused, Problem
from policies.succession import clashes
from policies.vocabulary import Vocabulary


@click.command()
@asking.files
@asking.kind
@asking.as_json
def lint(files: tuple[Path, ...], kind: str | None, as_json: bool) -> None:
    """Check policy files: every mistake with its line, its column and what to do.

    Several files for one kind are versions of one policy: their dates may not overlap, nor leave a gap.

    \b
    Exit 0: clean. 1: problems were found. 2: wrong use.
    Example:
      countersign policy lint policies/books/returns.yaml
    """
    found = [_linted(file, asking.vocabulary(file, kind)) for file in files]
    side_by_side = _clashes([(file, book) for file, (_, book) in zip(files, found, strict=True) if book is not None])
    reports = []
    for file, (problems, book) in zip(files, found, strict=True):
        problems = [*problems, *side_by_side.get(file, ())]
        reports.append({"file": str(file), "problems": [asking.problem_json(problem) for problem in problems]})
        if not as_json and problems:
            click.echo("\n".join(map(str, problems)))
        elif not as_json and book is not None:
            click.echo(f"{file.name}: {len(book.rules)} rules and {len(book.examples)} examples, clean.")
    if as_json:
        click.echo(json.dumps(reports, indent=2))
    asking.exit_if(bool(report["problems"]) for report in reports)


def _linted(file: Path, vocabulary: Vocabulary) -> tuple[list[Problem], Book | None]:
    try:
        book = load_book(file, vocabulary)
    except PolicyRefused as refused:
        return refused.problems, None
    return remarks(book), book


def _clashes(books: list[tuple[Path, Book]]) -> dict[Path, list[Problem]]:
    """Of several versions of one policy: dates that overlap or leave a gap, at the dates of the later one.

    Here files are named by their whole paths: those of one kind often have the same name in different folders.
    """
    found = defaultdict(list)
    for kind in {book.vocabulary.kind for _, book in books}:
        for book, why in clashes(
            [replace(each, file=str(path)) for path, each in books if each.vocabulary.kind == kind]
        ):
            at = book.in_force.at
            found[Path(book.file)].append(Problem(book.file, at.line, at.column, why, "Change the dates."))
    return found
