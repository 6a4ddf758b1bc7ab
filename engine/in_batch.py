"""What may be done with many approvals at once: never an approval of money, or of what can't be taken back.

Looking away is cheap in a batch. What costs nothing to look at twice may be done so: to claim, to let go, to refuse, to
pass on. Each one counts for itself, under the same checks as alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.actions import Effect, ToolSpec
from core.errors import InvalidInput
from engine import incidents
from engine.decisions import Choice
from ledger.tables import ActionRow


def require_fit(action: ActionRow, choice: Choice, specs: Mapping[str, ToolSpec[Any]]) -> None:
    """Raises `InvalidInput`, saying why this one has to be looked at by itself."""
    alone = "Decide it by itself."
    if action.tool in incidents.QUESTIONS:
        raise InvalidInput("The house asks what happened, or what now: no batch knows.", field="do", hint=alone)
    if choice is not Choice.APPROVE:
        return
    spec = specs.get(action.tool)
    if spec is None:
        raise InvalidInput(f"Nobody here knows what {action.tool} would do.", field="do", hint=alone)
    if spec.spends(spec.parse(action.args)) is not None:
        raise InvalidInput("It moves money, which is never approved in a batch.", field="do", hint=alone)
    if spec.effect is Effect.IRREVERSIBLE or action.effect == Effect.IRREVERSIBLE:
        raise InvalidInput("It can't be taken back, so no batch approves it.", field="do", hint=alone)
