"""The one DBOS workflow: a segment of a case. It keeps nothing of its own; the inbox and the ledger do."""

from __future__ import annotations

from dbos import DBOS

from engine.bells import current


@DBOS.workflow(name="segment")
def segment(workspace: str, case_id: str) -> None:
    current().perform(workspace, case_id)
