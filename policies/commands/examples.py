"""`countersign policy test`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from policies.book import read_book
from policies.commands import asking
from policies.problems import PolicyRefused


@click.command("test")
@asking.files
@asking.kind
@asking.as_json
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
            results = read_book(file, asking.vocabulary(file, kind)).try_examples()
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
    asking.exit_if(bool(report["problems"] or report["failed"]) for report in reports)
