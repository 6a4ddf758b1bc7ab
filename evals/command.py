"""`countersign evals`: runs offline suites, which gate a release."""

from __future__ import annotations

import asyncio
import difflib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.errors import SetupError

if TYPE_CHECKING:
    from evals.suites.tau2_retail.files import Files
    from evals.suites.tau2_retail.report import TaskReport

SUITES = {"tau2-retail": "74 recorded retail tasks of tau2-bench, replayed against the deltas of its gold."}
_REVIEWERS = ("approve-all", "reject-all")
_EVERY = 10
"""In a pipe, progress is told once for so many tasks."""

_file = click.Path(path_type=Path, dir_okay=False)


@click.group()
def evals() -> None:
    """Run offline suites.

    \b
    Example:
      countersign evals run tau2-retail --data tests/fixtures/tau2-retail
    """


@evals.command("list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def list_suites(as_json: bool) -> None:
    """List the suites.

    \b
    Example:
      countersign evals list
    """
    if as_json:
        click.echo(json.dumps(SUITES, indent=2))
        return
    for name, about in SUITES.items():
        click.echo(f"{name:16} {about}")


@evals.command("run")
@click.argument("suite", type=click.Choice(list(SUITES)))
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Folder of the suite's three files.")
@click.option("--reviewer", type=click.Choice(_REVIEWERS), default=_REVIEWERS[0], show_default=True)
@click.option("--tasks", type=_file, help="[default: DATA/tasks.json]")
@click.option("--world", type=_file, help="[default: DATA/db.json]")
@click.option("--gold", type=_file, help="[default: DATA/gold_deltas.json]")
@click.option("--task", "only", multiple=True, metavar="ID", help="Run this task only; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.option("--out", type=_file, help="Write the whole report to this file too, as JSON.")
def run_suite(
    suite: str,
    data: Path | None,
    reviewer: str,
    tasks: Path | None,
    world: Path | None,
    gold: Path | None,
    only: tuple[str, ...],
    as_json: bool,
    out: Path | None,
) -> None:
    """Run a suite through the real house, with a scripted reviewer.

    \b
    Exit 0: every delta is as it should be, or differs for the benchmark's own
    defect. 1: something else differs. 2: wrong use, or a file is missing or broken.
    Example:
      countersign evals run tau2-retail --data tests/fixtures/tau2-retail --reviewer approve-all
    """
    files = _files(data, tasks, world, gold, only)
    if out is not None and not out.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {out.absolute().parent}.", param_hint="--out")
    from evals.reviewers import REVIEWERS  # from here on the whole house is needed
    from evals.suites.tau2_retail.suite import run

    report = asyncio.run(run(files, REVIEWERS[reviewer], _Progress(len(files.tasks))))
    whole = json.dumps(report.as_json(), indent=2, ensure_ascii=False)
    click.echo(whole if as_json else report.as_text())
    if out is not None:
        try:
            out.write_text(whole + "\n", encoding="utf-8")
        except OSError as error:
            raise SetupError(f"{out} can't be written: {error.strerror}.", hint="Choose another --out.") from error
    if not report.passed:
        raise click.exceptions.Exit(1)


def _files(
    data: Path | None, tasks: Path | None, world: Path | None, gold: Path | None, only: tuple[str, ...]
) -> Files:
    from evals.suites.tau2_retail.files import Files, load

    paths = []
    for option, given, name in (
        ("--tasks", tasks, "tasks.json"),
        ("--world", world, "db.json"),
        ("--gold", gold, "gold_deltas.json"),
    ):
        path = given or (data / name if data else None)
        if path is None:
            raise click.UsageError(f"Give --data, or else {option}.")
        paths.append(path)
    files = load(*paths)
    known = {task.id: task for task in files.tasks}
    for task_id in only:
        if task_id not in known:
            close = difflib.get_close_matches(task_id, known, n=1)
            meant = f" Did you mean {close[0]}?" if close else f" There are {len(known)}, such as {next(iter(known))}."
            raise click.BadParameter(f"there is no task '{task_id[:60]}'.{meant}", param_hint="--task")
    return Files([task for task in files.tasks if not only or task.id in only], files.world, files.gold)


class _Progress:
    """On the standard error: one line that moves on a terminal, a line now and then in a pipe."""

    def __init__(self, of: int) -> None:
        self._of, self._done, self._matching = of, 0, 0
        self._moves = sys.stderr.isatty()

    def __call__(self, task: TaskReport) -> None:
        self._done += 1
        self._matching += task.matches
        if self._moves or self._done % _EVERY == 0 or self._done == self._of:
            said = f"{self._done} of {self._of} tasks, {self._matching} as they should be"
            last = self._done == self._of
            click.echo(f"\r{said}" if self._moves else said, err=True, nl=last or not self._moves)
