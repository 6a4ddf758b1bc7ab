"""`countersign policy prove`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from policies.book import load_book
from policies.commands import asking
from policies.problems import PolicyRefused


@click.command("prove")
@asking.files
@click.option("--strict", is_flag=True, help="Remarks fail too.")
@asking.kind
@asking.as_json
def prove_books(files: tuple[Path, ...], strict: bool, kind: str | None, as_json: bool) -> None:
    """Prove what holds in every situation: rules that never match or change nothing, gaps, and each `never`.

    \b
    Exit 0: proved, maybe with remarks. 1: a `never` fails, a rule never matches, or a file is refused. 2: wrong use.
    Example:
      countersign policy prove policies/books/returns.yaml
    """
    from policies.proofs.prove import prove  # z3 is an extra

    reports: list[dict[str, Any]] = []
    for file in files:
        try:
            book = load_book(file, asking.vocabulary(file, kind))
        except PolicyRefused as refused:
            lines = [str(problem) for problem in refused.problems]
            reports.append({"file": str(file), "problems": lines, "proved": False, "findings": []})
            if not as_json:
                click.echo("\n".join(lines))
            continue
        found = prove(book, timed)
        wrong = [finding for finding in found if finding.error or strict]
        findings = [finding.as_json() for finding in found]
        reports.append({"file": str(file), "problems": [], "proved": not wrong, "findings": findings})
        if not as_json:
            for finding in found:
                place, severity = (
                    f"{book.file}:{finding.at.line}:{finding.at.column}",
                    "error" if finding.error else "remark",
                )
                click.echo(f"{place}: {severity}: {finding.message}. {finding.hint}")
            errors = sum(finding.error for finding in found)
            counted = f"{len(book.rules)} rules, {len(book.never)} promises"
            click.echo(f"{book.file}: {counted}, {errors} errors, {len(found) - errors} remarks.")
    if as_json:
        click.echo(json.dumps(reports, indent=2))
    asking.exit_if(not report["proved"] for report in reports)


def timed(step: str, seconds: float) -> None:
    """How far it is, for people who wait."""
    if sys.stderr.isatty():
        click.echo(f"{seconds * 1000:7.0f} ms  {step}", err=True)
