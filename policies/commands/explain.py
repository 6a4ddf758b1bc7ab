"""`countersign policy explain`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from core.verdicts import FactValue
from policies.book import Book, read_book
from policies.commands import asking
from policies.explain import explain
from policies.problems import suggest
from policies.values import Unfit, value_of


@click.command("explain")
@click.argument("file", type=asking.existing)
@click.option("--tool", required=True, help="The tool that is called.")
@click.option(
    "--set", "given", multiple=True, metavar="PATH=VALUE", help="A fact or an argument; `unknown` takes it away."
)
@click.option("--bare", is_flag=True, help="Do not start from the file's typical example.")
@click.option("--paths", is_flag=True, help="List what a rule for the tool may ask, instead.")
@asking.kind
@asking.as_json
def explain_action(
    file: Path, tool: str, given: tuple[str, ...], bare: bool, paths: bool, kind: str | None, as_json: bool
) -> None:
    """Say what a policy decides on one action, and which rules make it so.

    \b
    Example:
      countersign policy explain policies/books/returns.yaml --tool refunds.create \\
          --set "args.amount=150.01 USD" --set args.reason=COLOR
    """
    book = read_book(file, asking.vocabulary(file, kind))
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
