"""The written returns procedure: what to do next, from the case and everything that came back so far.

Read, understand, weigh, open, approve or decline, settle, write, finish. Nothing is remembered between
two calls, and nothing that was refused is proposed again unchanged: what can't go on goes to people, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from agents.contract import Finish, PlanStep, StepStatus
from agents.procedure import Call, Seen
from agents.returns.flow import Flow
from agents.returns.intake import ReturnRequest
from agents.returns.understanding import Understanding
from core.errors import ModelNonsense
from tools.returns.models import Resolution

_MONEY = {
    Resolution.STORE_CREDIT: ("store_credit.issue", "Issue store credit"),
    Resolution.EXCHANGE: ("exchanges.create", "Send the goods in exchange"),
    Resolution.REPLACE: ("exchanges.create", "Send a replacement"),
}


class ReturnsProcedure:
    """Implements `agents.procedure.Procedure`."""

    def plan(self, case: Mapping[str, Any], seen: Seen) -> list[PlanStep]:
        request = _request(case)
        settle, how = _MONEY.get(Understanding.of(request, seen).wants() or Resolution.REFUND_ORIGINAL, ("", ""))
        steps = [
            ("orders.get", "Read the order, what can be returned, and the customer's history"),
            *([("vision.score", "Look at the photos")] if request.photos else []),
            ("rules.evaluate", "Work out what is meant, and weigh the rules"),
            ("returns.request", "Open the return"),
            ("returns.approve", "Approve or decline it"),
            ("labels.create_return", "Send a label for the way back"),
            (settle or "refunds.create", how or "Give the money back"),
            ("messages.send", "Write to the customer"),
        ]
        planned = [_step(tool, title, seen) for tool, title in steps]
        ahead = self.next(case, seen)
        known = {tool for tool, _ in steps}
        if not isinstance(ahead, Finish) and seen.answered:
            planned += [
                PlanStep(title=call.why, tool=call.tool) for call in ahead if call.tool not in known and call.why
            ]
        return planned

    def next(self, case: Mapping[str, Any], seen: Seen) -> list[Call] | Finish:
        return Flow(_request(case), seen).next()


def _request(case: Mapping[str, Any]) -> ReturnRequest:
    try:
        return ReturnRequest.model_validate(dict(case))
    except ValidationError as error:
        raise ModelNonsense(
            f"This is no returns case: {error.errors()[0]['msg']}.", hint="Check the payload at intake."
        ) from error


def _step(tool: str, title: str, seen: Seen) -> PlanStep:
    done = seen.result(tool) is not None
    return PlanStep(title=title, tool=tool, status=StepStatus.DONE if done else StepStatus.PENDING)
