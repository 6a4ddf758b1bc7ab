"""`countersign policy`: checks, tries and explains policy files."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from core.errors import CountersignError
from core.verdicts import FactValue
from policies.book import Book, load_book, read_book
from policies.explain import explain
from policies.lint import remarks
from policies.problems import PolicyRefused, Problem, suggest
from policies.values import Unfit, value_of
from policies.vocabulary import Vocabulary

_VOCABULARIES = "graphs.catalog:vocabulary"
"""The floor above knows the kinds. It is reached by name, so that this floor imports nothing of it."""

_files = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
_kind = click.option("--kind", help="The kind of case. [default: the file's name without its ending]")
_json = click.option("--json", "as_json", is_flag=True, help="For scripts.")


@click.group()
def policy() -> None:
    """Check, try and explain policy files.

    \b
    Example:
      countersign policy lint policies/books/returns.yaml
    """


@policy.command()
@_files
@_kind
@_json
def lint(files: tuple[Path, ...], kind: str | None, as_json: bool) -> None:
    """Check policy files: every mistake with its line, its column and what to do.

    \b
    Exit 0: clean. 1: problems were found. 2: wrong use.
    Example:
      countersign policy lint policies/books/returns.yaml
    """
    reports = []
    for file in files:
        problems, said = _linted(file, _vocabulary(file, kind))
        reports.append({"file": str(file), "problems": [_as_json(problem) for problem in problems]})
        if not as_json:
            click.echo("\n".join(map(str, problems)) if problems else said)
    if as_json:
        click.echo(json.dumps(reports, indent=2))
    _exit(bool(report["problems"]) for report in reports)


def _linted(file: Path, vocabulary: Vocabulary) -> tuple[list[Problem], str]:
    try:
        book = load_book(file, vocabulary)
    except PolicyRefused as refused:
        return refused.problems, ""
    return remarks(book), f"{file.name}: {len(book.rules)} rules and {len(book.examples)} examples, clean."


@policy.command("test")
@_files
@_kind
@_json
def try_examples(files: tuple[Path, ...], kind: str | None, as_json: bool) -> None:
    """Run the examples of policy files.

    \b
    Exit 0: all hold. 1: some do not, or a file is refused. 2: wrong use.
    Example:
      countersign policy test policies/books/returns.yaml
    """
    reports: list[dict[str, Any]] = []
    for file in files:
        try:
            results = read_book(file, _vocabulary(file, kind)).try_examples()
        except PolicyRefused as refused:
            lines = [str(problem) for problem in refused.problems]
            reports.append({"file": str(file), "problems": lines, "failed": 0, "examples": []})
            if not as_json:
                click.echo("\n".join(lines))
            continue
        failed = [result for result in results if result.wrong]
        examples = [
            {"example": r.example.number, "line": r.example.at.line, "expected": r.example.text, "said": r.said,
             "holds": not r.wrong} for r in results
        ]  # fmt: skip
        reports.append({"file": str(file), "problems": [], "failed": len(failed), "examples": examples})
        if not as_json:
            for r in failed:
                click.echo(f"{file.name}:{r.example.at.line}: example {r.example.number}, {r.example.tool}")
                click.echo(f"  expected  {r.example.text}\n  said      {r.said}")
            click.echo(f"{file.name}: {len(results) - len(failed)} of {len(results)} examples hold.")
    if as_json:
        click.echo(json.dumps(reports, indent=2))
    _exit(bool(report["problems"] or report["failed"]) for report in reports)


@policy.command("explain")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--tool", required=True, help="The tool that is called.")
@click.option(
    "--set", "given", multiple=True, metavar="PATH=VALUE", help="A fact or an argument; `unknown` takes it away."
)
@click.option("--bare", is_flag=True, help="Do not start from the file's typical example.")
@click.option("--paths", is_flag=True, help="List what a rule for the tool may ask, instead.")
@_kind
@_json
def explain_action(
    file: Path, tool: str, given: tuple[str, ...], bare: bool, paths: bool, kind: str | None, as_json: bool
) -> None:
    """Say what a policy decides on one action, and which rules make it so.

    \b
    Example:
      countersign policy explain policies/books/returns.yaml --tool refunds.create \\
          --set "args.amount=150.01 USD" --set args.reason=COLOR
    """
    book = read_book(file, _vocabulary(file, kind))
    if tool not in book.vocabulary.tools:
        raise click.BadParameter(f"unknown tool '{tool}'. {suggest(tool, book.vocabulary.tools)}", param_hint="--tool")
    if paths:
        _list_paths(book, tool, as_json)
        return
    facts: dict[str, FactValue] = {} if bare else dict(book.typical.get(tool, {}))
    for text in given:
        path, value = _given(book, tool, text)
        facts[path] = value
    explanation = explain(book, tool, facts)
    click.echo(json.dumps(explanation.as_json(), indent=2) if as_json else explanation.as_text())


def _given(book: Book, tool: str, text: str) -> tuple[str, FactValue]:
    path, equals, value = text.partition("=")
    term = book.vocabulary.tools[tool].get(path)
    if term is None or not equals:
        hint = suggest(path, book.vocabulary.tools[tool])
        raise click.BadParameter(f"unknown fact '{path}'. {hint}", param_hint="--set")
    if value == "unknown" and value not in term.choices:
        return path, None
    try:
        return path, value_of(value, term)
    except Unfit as unfit:
        raise click.BadParameter(f"{unfit.message}. {unfit.hint}", param_hint="--set") from unfit


def _list_paths(book: Book, tool: str, as_json: bool) -> None:
    terms = sorted(book.vocabulary.tools[tool].values(), key=lambda term: term.path)
    if as_json:
        listed = [{"path": t.path, "type": t.type.value, "choices": t.choices, "doc": t.doc} for t in terms]
        click.echo(json.dumps(listed, indent=2))
        return
    for term in terms:
        words = f" ({' '.join(term.choices)})" if term.choices else ""
        click.echo(f"{term.path:36} {term.type.value:8} {term.doc}{words}")


def _vocabulary(file: Path, kind: str | None) -> Vocabulary:
    module, _, name = _VOCABULARIES.partition(":")
    of: Callable[[str], Vocabulary] = getattr(importlib.import_module(module), name)
    wanted = kind or file.name.split(".")[0]
    try:
        return of(wanted)
    except CountersignError as error:
        raise click.UsageError(f"'{wanted}' is no kind of case: {error.detail} Give --kind.") from error


def _as_json(problem: Problem) -> dict[str, Any]:
    return {
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    }


def _exit(wrong: Iterable[bool]) -> None:
    if any(wrong):
        raise click.exceptions.Exit(1)
