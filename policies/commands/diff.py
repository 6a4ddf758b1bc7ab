"""`countersign policy diff`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from policies.book import read_book
from policies.commands import asking
from policies.commands.prove import timed


@click.command("diff")
@click.argument("old", type=asking.existing)
@click.argument("new", type=asking.existing)
@asking.kind
@asking.as_json
def compare_books(old: Path, new: Path, kind: str | None, as_json: bool) -> None:
    """Prove whether a new version is tighter or looser than the old one, with an example for each difference.

    \b
    Exit 0: the same or tighter. 1: looser, mixed or not proved, or a file is refused. 2: wrong use.
    Example:
      countersign policy diff returns.yaml returns.next.yaml
    """
    from policies.proofs.diff import compare  # z3 is an extra

    vocabulary = asking.vocabulary(new, kind)
    difference = compare(read_book(old, vocabulary), read_book(new, vocabulary), timed)
    click.echo(json.dumps(difference.as_json(), indent=2) if as_json else difference.as_text())
    asking.exit_if([not difference.tightening])
