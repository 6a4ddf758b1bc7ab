"""The executor's own API: five requests, for holders of its token. It is not for clients of the house."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from core.errors import CountersignError, InvalidInput, SetupError, Unauthenticated
from engine.executor import AskAgain, CaseStopped
from engine.executor_desk import ExecutorDesk
from engine.executor_wire import Facts, OfAction, OfFacts, OfRead, read_back, told, written
from engine.fence import SegmentLost
from serving.api import errors
from serving.api.limits import BodyLimit

_bearer = HTTPBearer(auto_error=False)


def executor_app(desk: ExecutorDesk, token: str) -> FastAPI:
    """Raises `SetupError` without a token: whoever reaches this API may have approved effects carried out."""
    if not token:
        raise SetupError(
            "The executor needs a token, or anybody could ask it.",
            hint="Set COUNTERSIGN_EXECUTOR__TOKEN to a long random text, here and in each worker.",
        )

    def known(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
        sent = given.credentials if given else ""
        if not hmac.compare_digest(sent.encode(), token.encode()):
            raise Unauthenticated("The executor does not know this token.", hint="Send it as a bearer token.")

    app = FastAPI(title="Countersign executor", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BodyLimit)
    errors.install(app)
    guarded = [Depends(known)]

    @app.post("/run", dependencies=guarded)
    async def run(asked: OfAction) -> JSONResponse:
        return await _answered(desk.run(asked.workspace, asked.action_id, asked.asking))

    @app.post("/recall", dependencies=guarded)
    async def recall(asked: OfAction) -> JSONResponse:
        return await _answered(desk.recall(asked.workspace, asked.action_id))

    @app.post("/settle", dependencies=guarded)
    async def settle(asked: OfAction) -> JSONResponse:
        return await _answered(desk.settle(asked.workspace, asked.action_id))

    @app.post("/read", dependencies=guarded)
    async def read(asked: OfRead) -> JSONResponse:
        try:
            labels = read_back(asked.labels)
        except (ValueError, ArithmeticError) as error:
            raise InvalidInput(f"labels: {error}", field="labels") from error
        return await _answered(desk.read(asked.action, labels))

    @app.post("/facts", dependencies=guarded)
    async def facts(asked: OfFacts) -> JSONResponse:
        return JSONResponse(Facts(facts=written(await desk.facts(asked.action, asked.wanted))).model_dump(mode="json"))

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"ok": True})

    return app


async def _answered(work: Awaitable[BaseModel | None]) -> JSONResponse:
    try:
        found = await work
    except (AskAgain, CaseStopped, SegmentLost, CountersignError) as error:
        status, problem = told(error)
        return JSONResponse(problem, status, media_type="application/problem+json")
    return JSONResponse(found.model_dump(mode="json") if found is not None else {})
