"""What the commands on policy files share: the files, their kind, their words, and the exit code."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from core.errors import NotFound
from policies.problems import Problem
from policies.vocabulary import Vocabulary

_VOCABULARIES = "graphs.catalog:vocabulary"
"""The floor above knows the kinds. It is reached by name, so that this floor imports nothing of it."""

existing = click.Path(path_type=Path, exists=True, dir_okay=False)
files = click.argument("files", nargs=-1, required=True, type=existing)
kind = click.option("--kind", help="The kind of case.  [default: the file's name up to its first dot]")
as_json = click.option("--json", "as_json", is_flag=True, help="For scripts.")


def vocabulary(file: Path, kind: str | None) -> Vocabulary:
    """The words of the kind that a file is for. Raises `UsageError` naming the kinds that there are."""
    module, _, name = _VOCABULARIES.partition(":")
    of: Callable[[str], Vocabulary] = getattr(importlib.import_module(module), name)
    wanted = kind or file.name.split(".")[0]
    try:
        return of(wanted)
    except NotFound as error:
        raise click.UsageError(f"'{wanted}' is no kind of case. {error.hint} Give --kind.") from error


def problem_json(problem: Problem) -> dict[str, Any]:
    return {
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    }


def exit_if(wrong: Iterable[bool]) -> None:
    if any(wrong):
        raise click.exceptions.Exit(1)
