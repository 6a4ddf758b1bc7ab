"""Before the model is called: whether it may be shown what the case holds by now. Policy says, or people where it asks.

What policy allows costs a note. What it puts before people goes through the gate like any effect, and the run that
comes of it is the permit: it is looked up in the ledger, never in what the graph remembers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from core.data import DataClass, held_by
from core.model_call import MODEL_CALL, ModelCall, ModelInUse
from core.verdicts import Allow, Deny, Verdict
from engine.journal import Note
from engine.model_use import model_action
from graphs.state import CaseState, Context, PlannedCall


@dataclass(frozen=True)
class Sight:
    """What the node has to do, and what goes into its state."""

    update: dict[str, Any] = field(default_factory=dict)
    why_not: str = ""
    ask: PlannedCall | None = None
    """The house's own call, to be sent through the gate first."""


async def look(state: CaseState, context: Context, node: Literal["plan", "act"], *, news: bool = False) -> Sight:
    """Whether the model may be called with the conversation as it stands, and with news of the customer."""
    case = state["case"]
    done = state["spent"]["done"] if "spent" in state else []
    wrote = {DataClass.FREE_TEXT} if news or state.get("heard") else set()
    call = _call(context.model, _classes(case["payload"], done, context).union(wrote))
    services = context.services
    verdict = services.gate.models.verdict(case["kind"], call)
    key = f"{verdict.book.digest[:12]} {verdict.verdict} {' '.join(call.classes)}"
    if isinstance(verdict, Deny):
        return Sight(
            _noted(state, key, call, verdict), why_not=f"the model may not be shown this case: {verdict.reason}"
        )
    if isinstance(verdict, Allow):
        return Sight(_noted(state, key, call, verdict))
    action = model_action(case["workspace"], case["id"], case["kind"], call)
    if await services.permitted(case["workspace"], action.id):
        return Sight(_noted(state, key, call, verdict, permit=action.id))
    ask = PlannedCall(call_id="house", tool=MODEL_CALL, args=action.args, step_key=action.step_key, before=node)
    return Sight(ask=ask)


def _classes(payload: dict[str, Any], done: list[str], context: Context) -> frozenset[DataClass]:
    """Of the payload, and of the results that the conversation holds."""
    return held_by(payload, context.payload).union(
        *(context.specs[tool].data for tool in done if tool in context.specs)
    )


@lru_cache(maxsize=1024)
def _call(model: ModelInUse, classes: frozenset[DataClass]) -> ModelCall:
    return ModelCall(model=model, classes=tuple(classes))


def _noted(state: CaseState, key: str, call: ModelCall, verdict: Verdict, *, permit: str = "") -> dict[str, Any]:
    """A note for the event log, once for each book and set of classes."""
    judged = state.get("judged", [])
    if key in judged:
        return {}
    body = {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "rules": [match.rule for match in verdict.matches if not match.monitor],
        "book": verdict.book.model_dump(),
        **call.model_dump(mode="json"),
        **({"permit": permit} if permit else {}),
    }
    note = Note(type="model.judged", body=body).model_dump()
    return {"judged": [*judged, key], "notes": [*state.get("notes", []), note]}
