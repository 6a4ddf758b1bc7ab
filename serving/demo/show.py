"""How far a demo is: a bar on a terminal, a line now and then in a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from core.states import CaseStatus

_PARTS = 4
"""Lines that a pipe gets while the cases run."""
_SAID = (CaseStatus.CLOSED, CaseStatus.WAITING, CaseStatus.PAUSED, CaseStatus.FAILED)


def so_far(status: Mapping[str, int]) -> str:
    return ", ".join(f"{status[each]} {each}" for each in _SAID if status.get(each))


class Show:
    """Gets told how many cases are settled."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._task = progress.add_task("cases", total=total, said="") if progress else None
        self._part = 0

    def tell(self, settled: int, status: Mapping[str, int]) -> None:
        if self._progress and self._task is not None:
            self._progress.update(self._task, completed=settled, said=so_far(status))
        elif (part := settled * _PARTS // self._total) > self._part:
            self._part = part
            click.echo(f"  {settled} of {self._total} cases: {so_far(status)}")


@contextmanager
def showing(total: int) -> Iterator[Show]:
    console = Console()
    if not console.is_terminal:
        yield Show(total, None)
        return
    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TimeElapsedColumn(), TextColumn("[dim]{task.fields[said]}")),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Show(total, progress)
