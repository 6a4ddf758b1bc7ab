"""A shop somewhere else: `countersign shop` over HTTP.

Problem details come back as the errors that they were. What the wire adds is doubt: a write whose answer
never came is `OutcomeUnknown`, unless the request can't have left this house.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from core.actions import JSON
from core.addresses import check_address
from core.errors import (
    CountersignError,
    InvalidInput,
    KeyReused,
    NotFound,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
    TooLarge,
)
from core.ports import LoggedCall
from tools.fulfillment.calls import MAX_BODY, call_digest
from tools.fulfillment.ports import FoundCall

M = TypeVar("M", bound=BaseModel)

_TYPE = "urn:countersign:"
_NAMED: dict[str, type[CountersignError]] = {
    error("").code: error
    for error in (ProviderRefused, ProviderUnavailable, OutcomeUnknown, KeyReused, InvalidInput, TooLarge, NotFound)
}


class HttpShop:
    """Implements `ports.Shop` on a `countersign shop` somewhere else."""

    def __init__(self, url: str, token: str, timeout_s: float = 10.0) -> None:
        self._url = url.rstrip("/")
        local = check_address(self._url, token)
        self._client = httpx.AsyncClient(
            base_url=self._url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_s,
            # A proxy from the environment would see the token of a plain connection inside this machine.
            trust_env=not local,
            # Shorter than servers keep idle connections, or a write could meet one that is just closing.
            limits=httpx.Limits(keepalive_expiry=2.0),
        )

    async def read(self, query: str, args: Mapping[str, JSON]) -> dict[str, JSON]:
        return await self._send("POST", f"/read/{quote(query, safe='')}", args)

    async def write(self, operation: str, args: Mapping[str, JSON], *, key: str, case_id: str) -> dict[str, JSON]:
        call_digest(args, key, case_id)
        headers = {"Idempotency-Key": key, "X-Case-Id": case_id}
        return await self._send("POST", f"/write/{quote(operation, safe='')}", args, headers)

    async def find(self, key: str) -> FoundCall | None:
        try:
            body = await self._send("GET", f"/calls/{quote(key, safe='')}")
        except NotFound:
            return None
        return _parsed(FoundCall, body)

    async def log(self, after: int = 0, limit: int = 1000) -> list[LoggedCall]:
        body = await self._send("GET", f"/log?after={after}&limit={limit}")
        return [_parsed(LoggedCall, call) for call in body.get("calls", [])]

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(
        self,
        method: str,
        path: str,
        args: Mapping[str, JSON] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, JSON]:
        """`headers` are those of a write, the only call whose outcome can be unknown."""
        lost: type[CountersignError] = OutcomeUnknown if headers else ProviderUnavailable
        content = None if args is None else json.dumps(dict(args)).encode()
        if content and len(content) > MAX_BODY:
            raise TooLarge(f"A request to the shop may have {MAX_BODY} bytes.", hint="Send less.")
        try:
            response = await self._client.request(method, path, content=content, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            raise ProviderUnavailable(
                f"The shop at {self._url} can't be reached: {error or type(error).__name__}.", hint="Is it running?"
            ) from error
        except httpx.RequestError as error:
            raise lost(
                f"The shop at {self._url} did not answer: {error or type(error).__name__}.",
                hint="Look the call up by its key." if headers else "Try again later.",
            ) from error
        return _answer(response, lost)


def _answer(response: httpx.Response, lost: type[CountersignError]) -> dict[str, JSON]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_success and isinstance(body, dict):
        return body
    if isinstance(body, dict) and str(body.get("type", "")).startswith(_TYPE):
        _raise_named(body, response.status_code)
    said = f"The shop at {response.url.host} answered {response.status_code} with nothing that a shop says"
    if response.is_success or response.is_server_error:
        raise lost(f"{said}.", hint="Is this the URL of a shop?")
    raise ProviderUnavailable(f"{said}, so nothing happened.", hint="Is this the URL of a shop?")


def _raise_named(problem: Mapping[str, Any], status: int) -> None:
    """Raises the error that a problem names; returns for a failure of the server itself."""
    code = str(problem["type"]).removeprefix(_TYPE)
    detail, hint = str(problem.get("detail", "")), str(problem.get("hint", ""))
    extra = {k: v for k, v in problem.items() if k not in ("type", "title", "status", "detail", "hint", "self")}
    if code in _NAMED:
        raise _NAMED[code](detail, hint=hint, **extra)
    if status in (401, 403):
        raise ProviderUnavailable(detail, hint="Correct the shop's token in the settings.")
    if status == 429:
        raise ProviderUnavailable(detail, hint=hint)
    if status < 500:
        raise ProviderRefused(detail, reason=code, hint=hint)


def _parsed(model: type[M], body: JSON) -> M:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise ProviderUnavailable("The shop answered something else than a call.", hint="Is it a shop?") from error
