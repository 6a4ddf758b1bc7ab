"""The one DBOS workflow: a segment of a case. It keeps nothing of its own; the inbox and the ledger do."""

from __future__ import annotations

from collections.abc import Callable

from dbos import DBOS

Perform = Callable[[str, str], None]

_worker: list[Perform] = []
"""Who does the work in this process: DBOS knows workflows by name, not by instance."""


def employ(perform: Perform) -> None:
    _worker[:] = [perform]


@DBOS.workflow(name="segment")
def segment(workspace: str, case_id: str) -> None:
    _worker[0](workspace, case_id)
