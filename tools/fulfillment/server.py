"""An application that serves a shop over HTTP; errors leave it as RFC 9457 problem details."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.errors import CountersignError, InvalidInput, NotFound, SetupError, TooLarge, Unauthenticated
from tools.fulfillment.callbacks import Subscriber
from tools.fulfillment.calls import MAX_BODY
from tools.fulfillment.faults import FaultPlan, Faults
from tools.fulfillment.shop import EmbeddedShop

_Endpoint = Callable[[Request], Awaitable[Response]]
_LOG_DEFAULTS = (("after", "0"), ("limit", "1000"))


def shop_app(shop: EmbeddedShop, token: str, *, faults: bool = False, callback: Subscriber | None = None) -> Starlette:
    """Serves a shop to holders of the token. `faults` lets them switch faults on, for tests only."""
    if not token:
        raise SetupError("The shop needs a token, or anybody could write to it.", hint="Choose a long random one.")

    def guarded(endpoint: _Endpoint) -> _Endpoint:
        async def check_then_answer(request: Request) -> Response:
            sent = request.headers.get("authorization", "").encode("latin-1")
            if not hmac.compare_digest(sent, f"Bearer {token}".encode()):
                raise Unauthenticated("The shop does not know this token.", hint="Send it as a bearer token.")
            return await endpoint(request)

        return check_then_answer

    async def read(request: Request) -> Response:
        return JSONResponse(await shop.read(request.path_params["query"], await _body(request)))

    async def write(request: Request) -> Response:
        return JSONResponse(
            await shop.write(
                request.path_params["operation"],
                await _body(request),
                key=request.headers.get("idempotency-key", ""),
                case_id=request.headers.get("x-case-id", ""),
            )
        )

    async def call(request: Request) -> Response:
        found = await shop.find(request.path_params["key"])
        if found is None:
            raise NotFound("There was no call with this key.")
        return JSONResponse(found.model_dump(mode="json"))

    async def log(request: Request) -> Response:
        try:
            after, limit = (int(request.query_params.get(name, default)) for name, default in _LOG_DEFAULTS)
        except ValueError as error:
            raise InvalidInput("after and limit are whole numbers.", field="after") from error
        calls = await shop.log(after, min(limit, 1000))
        return JSONResponse({"calls": [logged.model_dump(mode="json") for logged in calls]})

    async def switch_faults(request: Request) -> Response:
        try:
            shop.faults = Faults(FaultPlan.model_validate(await _body(request)))
        except ValidationError as error:
            raise InvalidInput(f"The fault plan is not valid: {error.errors()[0]['msg']}.") from error
        return Response(status_code=204)

    async def ok(_request: Request) -> Response:
        return JSONResponse({"ok": True})

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        subscription = shop.subscribe(callback, name="callback") if callback else None
        yield
        if subscription:
            await subscription.stop()

    routes = [
        Route("/read/{query}", guarded(read), methods=["POST"]),
        Route("/write/{operation}", guarded(write), methods=["POST"]),
        Route("/calls/{key:path}", guarded(call), methods=["GET"]),
        Route("/log", guarded(log), methods=["GET"]),
        Route("/ok", ok, methods=["GET"]),
    ]
    if faults:
        routes.append(Route("/faults", guarded(switch_faults), methods=["PUT"]))
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={CountersignError: _problem})


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, CountersignError)
    return JSONResponse(error.problem(), status_code=error.status, media_type="application/problem+json")


async def _body(request: Request) -> dict[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise TooLarge(f"A request may have {MAX_BODY} bytes.", hint="Send less.")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The body is no valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InvalidInput("The body is not a JSON object.")
    return value
