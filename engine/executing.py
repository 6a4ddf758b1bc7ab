"""The seam between who asks for an effect and who has it: graphs, compensation and the sweeper know
an executor by this alone.

`engine/executor.py` carries actions out in this process; `engine/remote_executor.py` has another one do it.
"""

from __future__ import annotations

from typing import Protocol

from core.actions import ProposedAction, ToolOutcome


class Executing(Protocol):
    async def read(self, action: ProposedAction) -> ToolOutcome:
        """Runs a tool without an effect. Raises `ProviderUnavailable`."""
        ...

    async def run(self, workspace: str, action_id: str) -> ToolOutcome:
        """Runs an action once, or tells what came of it; asking again is always safe.

        Raises `AskAgain` if it needs (more) approval, `CaseStopped` if the case may not go on,
        `ProviderUnavailable` if facts can't be had or nobody is there who could run it.
        """
        ...

    async def recall(self, workspace: str, action_id: str) -> None:
        """Where nobody knew what came of an action: takes up what its provider or people say of it now."""
        ...

    async def settle(self, workspace: str, action_id: str) -> None:
        """Finds out what came of an effect that nobody waits for any more. It only asks; it never calls again."""
        ...
