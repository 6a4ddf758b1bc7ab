"""How a case stands, as far as its customer is concerned. The chat and threads tell it in the same words."""

from __future__ import annotations

from typing import Literal

from agents.conversation import Conversation, Standing
from core.states import FINISHED, CaseStatus, RunStatus
from ledger.database import Ledger
from ledger.tables import CaseRow


def standing_of(ledger: Ledger, case: CaseRow, talk: Conversation) -> Standing:
    """`working` while a segment works on it or will soon, else how it rests: a failed case waits for people."""
    if ledger.cases.moves(case.id):
        return Standing(case.id, "working")
    runs = [run for run in ledger.effects.runs(case.id) if run.tool == talk.writes_by and run.status == RunStatus.DONE]
    told = [talk.written(ledger.effects.action(run.action_id).args) for run in runs]
    state: Literal["waiting", "delayed", "ended"] = "waiting"
    if case.status in FINISHED:
        state = "ended"
    elif case.status == CaseStatus.PAUSED:
        state = "delayed"
    return Standing(case.id, state, case.outcome, told)
