"""Which model may be shown what a case holds: policy is asked before each call of a model."""

from __future__ import annotations

from datetime import date

from core.actions import ProposedAction
from core.clock import Clock
from core.ids import digest
from core.model_call import MODEL_CALL, SPEC, ModelCall
from core.ports import Judge
from core.verdicts import Verdict
from engine import incidents

_REMEMBERED = 1_000


class ModelUse:
    def __init__(self, judge: Judge, clock: Clock) -> None:
        self._judge = judge
        self._clock = clock
        self._known: dict[tuple[str, str, date, ModelCall], Verdict] = {}

    def verdict(self, kind: str, call: ModelCall) -> Verdict:
        """Only the book in force and the call decide, so an answer holds for the day."""
        now = self._clock.now()
        key = kind, self._judge.book(kind, now).digest, now.date(), call
        if (known := self._known.get(key)) is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[key] = self._judge.judge(model_action("", "", kind, call), {}, now)
        return known


def model_action(workspace: str, case_id: str, kind: str, call: ModelCall) -> ProposedAction:
    """A model's call as the house proposes it. In one case the same call is the same action, whenever it is asked."""
    args = call.model_dump(mode="json")
    return ProposedAction(
        workspace=workspace,
        case_id=case_id,
        kind=kind,
        tool=MODEL_CALL,
        schema_version=SPEC.version,
        args=args,
        proposer=incidents.HOUSE,
        step_key=f"model.{digest(args)[:12]}",
    )
