"""The house's own tool: its run says that people let a model be shown what a case holds. It reaches nothing."""

from __future__ import annotations

from core.actions import JSON
from core.model_call import SPEC, ModelCall, Permit
from core.ports import CallContext
from tools.contract import Tool


def permit() -> Tool[ModelCall]:
    async def run(given: ModelCall, context: CallContext) -> Permit:
        return Permit(permitted=given)

    async def nothing_stored(key: str) -> dict[str, JSON] | None:
        """It can be run again: nothing happens outside."""
        return None

    return Tool(SPEC, run, nothing_stored)
