"""`countersign policy lint`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from policies.book import load_book
from policies.commands import asking
from policies.lint import remarks
from policies.problems import PolicyRefused, Problem
from policies.vocabulary import Vocabulary


@click.command()
@asking.files
@asking.kind
@asking.as_json
def lint(files: tuple[Path, ...], kind: str | None, as_json: bool) -> None:
    """Check policy files: every mistake with its line, its column and what to do.

    \b
    Exit 0: clean. 1: problems were found. 2: wrong use.
    Example:
      countersign policy lint policies/books/returns.yaml
    """
    reports = []
    for file in files:
        problems, said = _linted(file, asking.vocabulary(file, kind))
        reports.append({"file": str(file), "problems": [asking.problem_json(problem) for problem in problems]})
        if not as_json:
            click.echo("\n".join(map(str, problems)) if problems else said)
    if as_json:
        click.echo(json.dumps(reports, indent=2))
    asking.exit_if(bool(report["problems"]) for report in reports)


def _linted(file: Path, vocabulary: Vocabulary) -> tuple[list[Problem], str]:
    try:
        book = load_book(file, vocabulary)
    except PolicyRefused as refused:
        return refused.problems, ""
    return remarks(book), f"{file.name}: {len(book.rules)} rules and {len(book.examples)} examples, clean."
