"""Calls of a provider: again with the same key while it says that nothing happened, looked up where nobody knows.

Nothing is written here. What is told back is how the call ended, for the effects ledger.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from core.actions import ProposedAction
from core.clock import Clock
from core.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from core.ports import CallContext, Tools
from core.states import RunStatus

_PAUSES_S = (0.05, 0.25, 1.0)
"""Between attempts at a provider that said that nothing happened."""

FOUND = "found at the provider by its key"

UNDER_WAY = "concurrent_request"
"""A provider's word for: a call with this key is running here right now."""


class Ended(NamedTuple):
    """How a call ended."""

    status: RunStatus
    result: dict[str, Any]
    reason: str = ""


class Calls:
    def __init__(self, tools: Tools, clock: Clock) -> None:
        self._tools = tools
        self._clock = clock

    async def make(self, action: ProposedAction, key: str) -> Ended:
        """Calls, and finds out what came of it."""
        try:
            result = await self.patiently(action, key)
        except ProviderRefused as no:
            if no.reason == UNDER_WAY:
                return await self.find_out(action, key, no.detail)
            return Ended(RunStatus.FAILED, {"code": no.reason}, no.detail)
        except ProviderUnavailable as down:
            return Ended(RunStatus.FAILED, {"code": "unavailable"}, down.detail)
        except OutcomeUnknown as unknown:
            return await self.find_out(action, key, unknown.detail)
        return Ended(RunStatus.DONE, result)

    async def patiently(self, action: ProposedAction, key: str) -> dict[str, Any]:
        """Calls again, with the same key, while the provider says that nothing happened. Raises what it says."""
        context = self._context(action, key)
        for pause in _PAUSES_S:
            try:
                return await self._tools.call(action.tool, action.args, context)
            except ProviderUnavailable:
                await asyncio.sleep(pause)
        return await self._tools.call(action.tool, action.args, context)

    async def find_out(self, action: ProposedAction, key: str, why: str) -> Ended:
        """Asks the provider whether it happened. It did: its result. It did not: once more, same key."""
        spec, context = self._tools.specs()[action.tool], self._context(action, key)
        for pause in (*_PAUSES_S, 0.0):
            try:
                found = await self._tools.lookup(action.tool, key) if spec.lookup else None
                if found is not None:
                    return Ended(RunStatus.DONE, found, FOUND)
                if not spec.keyed:
                    break  # a second call could be a second effect
                return Ended(RunStatus.DONE, await self._tools.call(action.tool, action.args, context))
            except ProviderRefused as no:
                if no.reason != UNDER_WAY:
                    return Ended(RunStatus.FAILED, {"code": no.reason}, no.detail)
                why = no.detail
                await asyncio.sleep(pause)
            except (OutcomeUnknown, ProviderUnavailable) as still:
                why = still.detail
                await asyncio.sleep(pause)
        return Ended(RunStatus.UNKNOWN, {}, why)

    def _context(self, action: ProposedAction, key: str) -> CallContext:
        return CallContext(
            workspace=action.workspace,
            case_id=action.case_id,
            action_id=action.id,
            key=key,
            actor=action.proposer,
            at=self._clock.now(),
        )
