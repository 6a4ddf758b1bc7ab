"""An executor somewhere else: `countersign executor` over HTTP. Implements `engine.executing.Executing`.

A process with this one holds no credentials of the outside. Every request may be sent again: whoever carries
actions out decides by its records, so an answer that got lost is asked for once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from core.actions import JSON, ProposedAction, ToolOutcome
from core.addresses import check_address
from core.errors import ProviderUnavailable, SetupError
from core.verdicts import Fact
from engine import fence
from engine.executor_wire import Facts, OfAction, OfFacts, OfRead, raised, read_back, written

M = TypeVar("M", bound=BaseModel)

_PAUSES_S = (0.1, 0.5, 2.0)
"""Between requests to an executor that is not there: one that starts anew is back by then."""
_CONNECT_S = 5.0


class ExecutorLine:
    """The connection. One for all that a process asks of its executor."""

    def __init__(self, url: str, token: str, timeout_s: float) -> None:
        """Raises `SetupError`."""
        if not token:
            raise SetupError(
                "The executor takes nothing without a token.", hint="Set COUNTERSIGN_EXECUTOR__TOKEN in both processes."
            )
        self._url = url.rstrip("/")
        self._client = httpx.AsyncClient(
            base_url=self._url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S),
            # A proxy from the environment would see the token of a plain connection inside this machine.
            trust_env=not check_address(self._url, token),
            # Shorter than servers keep idle connections.
            limits=httpx.Limits(max_connections=100, keepalive_expiry=2.0),
        )

    async def ask(self, path: str, message: BaseModel, answer: type[M]) -> M:
        """Raises what the executor raised, or `ProviderUnavailable`."""
        response = await self._answered(path, message.model_dump_json().encode())
        if not response.is_success:
            raise raised(_json(response), response.status_code)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            raise ProviderUnavailable(
                f"What answers at {self._url} is no executor, or another version of it.", hint="Look at the address."
            ) from error

    async def _answered(self, path: str, content: bytes) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        why = ""
        for pause in (*_PAUSES_S, None):
            try:
                return await self._client.post(path, content=content, headers=headers)
            except httpx.ReadTimeout as error:
                why = f"did not answer: {error or 'it takes too long'}"
                break  # it works still; whoever comes back later hears what came of it
            except httpx.RequestError as error:
                why = f"can't be reached: {error or type(error).__name__}"
                if pause is not None:
                    await asyncio.sleep(pause)
        raise ProviderUnavailable(f"The executor at {self._url} {why}.", hint="Is 'countersign executor' running?")

    async def close(self) -> None:
        await self._client.aclose()


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return None


class RemoteExecutor:
    def __init__(self, line: ExecutorLine, labels: Callable[[ProposedAction], Mapping[str, Fact]]) -> None:
        """`labels` tells where the arguments of an action come from, which only the process that proposed it knows."""
        self._line = line
        self._labels = labels

    async def read(self, action: ProposedAction) -> ToolOutcome:
        return await self._line.ask("/read", OfRead(action=action, labels=written(self._labels(action))), ToolOutcome)

    async def run(self, workspace: str, action_id: str) -> ToolOutcome:
        return await self._line.ask("/run", OfAction.by(workspace, action_id, fence.of_this_task()), ToolOutcome)

    async def recall(self, workspace: str, action_id: str) -> None:
        await self._line.ask("/recall", OfAction(workspace=workspace, action_id=action_id), Nothing)

    async def settle(self, workspace: str, action_id: str) -> None:
        await self._line.ask("/settle", OfAction(workspace=workspace, action_id=action_id), Nothing)


class Nothing(BaseModel):
    """It was done."""


class RemoteFacts:
    """What policy has to know of an action, gathered where the systems of record can be reached."""

    def __init__(self, line: ExecutorLine) -> None:
        self._line = line

    async def gather(self, action: ProposedAction, case: Mapping[str, JSON], wanted: frozenset[str]) -> dict[str, Fact]:
        """The case itself is read from the records over there."""
        found = read_back((await self._line.ask("/facts", OfFacts(action=action, wanted=wanted), Facts)).facts)
        return {path: fact for path, fact in found.items() if path in wanted}
