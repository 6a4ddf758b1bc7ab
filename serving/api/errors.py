"""Every error of the tree becomes a problem document (RFC 9457); no stack trace leaves the server."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from core.errors import (
    CountersignError,
    DatabaseUnavailable,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    Unauthenticated,
    UnsupportedMedia,
)

log = logging.getLogger("countersign.api")


def problem(error: CountersignError) -> JSONResponse:
    headers = {}
    if "retry_after" in error.extra:
        headers["Retry-After"] = str(error.extra["retry_after"])
    if isinstance(error, DatabaseUnavailable):
        headers["Retry-After"] = "5"
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.problem(), error.status, headers, "application/problem+json")


def install(app: FastAPI) -> None:
    @app.exception_handler(CountersignError)
    async def _known(request: Request, error: CountersignError) -> JSONResponse:
        answer = problem(error)
        if isinstance(error, MethodNotAllowed):
            answer.headers["Allow"] = ", ".join(_methods(request))
        return answer

    @app.exception_handler(RequestValidationError)
    async def _malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        if path == "body" and "json" not in (kind := request.headers.get("content-type", "")):
            return problem(
                UnsupportedMedia(
                    f"A body of type '{kind[:60]}' is not read here." if kind else "The body's type is not named.",
                    field="Content-Type",
                    hint="Send JSON, with the header 'Content-Type: application/json'.",
                )
            )
        return problem(InvalidInput(f"{path}: {first['msg']}", field=path, hint="Correct it and send it again."))

    @app.exception_handler(HTTPException)
    async def _routing(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error.__cause__, CountersignError):  # raised while the body came in
            return problem(error.__cause__)
        if error.status_code == 404:
            return problem(NotFound("There is nothing at this address.", hint="GET /openapi.json lists the routes."))
        if error.status_code == 405:
            allowed = ", ".join(_methods(request))
            answer = problem(MethodNotAllowed(f"{request.method[:20]} is not done here.", hint=f"There is: {allowed}."))
            answer.headers["Allow"] = allowed
            return answer
        known = CountersignError(str(error.detail))
        body = {**known.problem(), "title": str(error.detail), "status": error.status_code}
        return JSONResponse(body, error.status_code, error.headers, "application/problem+json")

    @app.exception_handler(Exception)
    async def _unknown(request: Request, _error: Exception) -> JSONResponse:
        log.exception("%s %s", request.method, request.url.path)
        return problem(
            CountersignError("Something broke here.", hint="It was logged. Try again, or tell the operator.")
        )


def _methods(request: Request) -> list[str]:
    """All that are done at this address, whichever routes do them."""
    found: list[tuple[str, set[str]]] = []
    for part in request.app.routes:
        router = getattr(part, "original_router", None)  # what was included is kept as it was
        for route in router.routes if router is not None else [part]:
            match, _ = route.matches(request.scope)
            if match is not Match.NONE and getattr(route, "include_in_schema", True):
                found.append((route.path, getattr(route, "methods", None) or set()))
    fewest = min((path.count("{") for path, _ in found), default=0)  # "/batch" is no id, though it would match one
    return sorted(set[str]().union(*(methods for path, methods in found if path.count("{") == fewest)))
