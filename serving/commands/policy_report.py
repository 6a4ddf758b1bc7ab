"""`countersign policy report`: the page that a committee decides by."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from core.errors import CountersignError
from policies.backtest.page.compose import Paper, Version
from policies.book import read_book
from policies.commands import asking
from serving.commands.ledger_access import has_ledger, place
from serving.commands.policy_backtest import data_option, on_record, since_option, until_option
from serving.commands.policy_page import write


@click.command()
@click.argument("old", type=asking.existing)
@click.argument("new", type=asking.existing)
@data_option
@since_option
@until_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The HTML file to write.")
@asking.kind
def report(
    old: Path, new: Path, data: Path | None, since: datetime | None, until: datetime | None, out: Path, kind: str | None
) -> None:
    """Write what changes from OLD to NEW on one page: in words, by proof, and on recorded decisions.

    \b
    Where there is no ledger yet, no trial is made, and the page says so.
    Example:
      countersign policy report returns.yaml returns.next.yaml --data .countersign/demo --out report.html
    """
    vocabulary = asking.vocabulary(new, kind)
    before, after = (Version(read_book(path, vocabulary), path.read_text("utf-8-sig")) for path in (old, new))
    records = place(data)
    tried = data is not None or has_ledger(data)
    found = on_record(after.book, [before.book], vocabulary, data, since, until) if tried else None
    no_trial = "" if found else f"No trial was made on recorded decisions: there is no ledger in {records}."
    try:
        from policies.proofs.diff import compare

        paper = Paper(after, before, compare(before.book, after.book).as_json(), found=found, no_trial=no_trial)
    except CountersignError as why:  # without z3, or undecided: then the page says so
        no_proof = f"It is not proved what changes: {why.detail}"
        paper = Paper(after, before, no_proof=no_proof, found=found, no_trial=no_trial)
    write(out, paper)
    click.echo(f"Tried on {found.decisions:,} recorded decisions of {records}." if found else no_trial)
    click.echo(f"{out} is written.")
