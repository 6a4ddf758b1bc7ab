"""The API as the desk uses it. Problem documents come back as the errors of `core.errors` that they were."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from core.errors import CountersignError, OutcomeUnknown, ProviderUnavailable, SetupError
from core.problems import error_of
from core.wire import ApprovalSummary, Me, Page, Status, TraceEntry
from core.wire_approvals import ApprovalDetail, ApprovalPage, Claimed, DecidedView
from desk.ballots import Ballot
from desk.connection import Connection
from desk.sse import messages

M = TypeVar("M", bound=BaseModel)

SILENCE_S = 45.0
"""An event stream that says nothing for so long, not even a heartbeat, is taken for dead."""


class DeskClient:
    """One person's way to the server. Use it as an async context manager."""

    def __init__(self, connection: Connection, *, timeout_s: float = 10.0) -> None:
        self.url = connection.url
        self._http = httpx.AsyncClient(
            base_url=f"{connection.url}/api/v1",
            headers={"Authorization": f"Bearer {connection.token}"},
            timeout=timeout_s,
            verify=connection.url.startswith("https"),  # reading the certificates of the world takes a while
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def me(self) -> Me:
        return await self._get("/me", Me)

    async def status(self) -> Status:
        return await self._get("/status", Status)

    async def approvals(self, after: str = "", limit: int = 200) -> ApprovalPage:
        """Open approvals in the order in which they are due."""
        asked = {"status": "open", "limit": str(limit)} | ({"after": after} if after else {})
        return await self._get("/approvals", ApprovalPage, asked)

    async def approval(self, approval_id: str) -> ApprovalDetail:
        return await self._get(f"/approvals/{_segment(approval_id)}", ApprovalDetail)

    async def trace(self, case_id: str, after: int = 0) -> Page[TraceEntry]:
        return await self._get(f"/cases/{_segment(case_id)}/trace", Page[TraceEntry], {"after": str(after)})

    async def claim(self, approval_id: str) -> ApprovalSummary:
        claimed = await self._post(f"/approvals/{_segment(approval_id)}/claim", Claimed)
        return ApprovalSummary.model_validate(claimed.model_dump(exclude={"claim"}))

    async def release(self, approval_id: str) -> ApprovalSummary:
        return await self._post(f"/approvals/{_segment(approval_id)}/release", ApprovalSummary)

    async def decide(self, ballot: Ballot) -> DecidedView:
        """Raises `OutcomeUnknown` if the answer was lost: the same ballot may be sent again, it counts once."""
        path = f"/approvals/{_segment(ballot.approval)}/decide"
        body = ballot.decide.model_dump(mode="json")
        return await self._post(path, DecidedView, body, {"Idempotency-Key": ballot.key})

    async def events(self, after: int) -> AsyncIterator[TraceEntry | None]:
        """What happens, from the event after this one on. None is a sign of life: opened, replayed, a heartbeat.

        Ends when the server ends it; raises `ProviderUnavailable` when the connection is lost.
        """
        headers = {"Last-Event-ID": str(after), "Accept": "text/event-stream"}
        timeout = httpx.Timeout(10.0, read=SILENCE_S)
        try:
            async with self._http.stream("GET", "/events", headers=headers, timeout=timeout) as response:
                if response.is_error:
                    await response.aread()
                    raise problem(response)
                yield None
                async for message in messages(response.aiter_lines()):
                    if message.event in {":", "replayed", "end"}:
                        yield None
                    else:
                        yield _read(TraceEntry, message.data)
        except httpx.TransportError as error:
            raise self._lost(error) from error

    async def _get(self, path: str, model: type[M], params: dict[str, str] | None = None) -> M:
        try:
            response = await self._http.get(path, params=params)
        except httpx.TransportError as error:
            raise self._lost(error) from error
        return _answer(response, model)

    async def _post(self, path: str, model: type[M], body: Any = None, headers: dict[str, str] | None = None) -> M:
        try:
            response = await self._http.post(path, json=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise self._lost(error) from error
        except httpx.TransportError as error:
            raise OutcomeUnknown(
                "The server's answer was lost.", hint="Send the same again: it counts once."
            ) from error
        return _answer(response, model)

    def _lost(self, error: httpx.TransportError) -> ProviderUnavailable:
        what = str(error) or type(error).__name__
        return ProviderUnavailable(
            f"{self.url} does not answer ({what}).", hint="Start it with `countersign up`, or with `make demo`."
        )


def _segment(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _answer(response: httpx.Response, model: type[M]) -> M:
    if response.is_error:
        raise problem(response)
    return _read(model, response.text)


def _read(model: type[M], text: str) -> M:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise SetupError(
            f"The server answered something that this desk does not understand ({model.__name__}).",
            hint="Desk and server have to be of one version.",
        ) from error


def problem(response: httpx.Response) -> CountersignError:
    """The error that a problem document tells of; an unknown type becomes the class of its HTTP status."""
    try:
        body = response.json()
    except json.JSONDecodeError:
        body = None
    return error_of(response.status_code, body, str(response.request.url))
