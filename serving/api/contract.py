"""The OpenAPI document: FastAPI's, with what it can't know: problem documents, and which statuses a route gives.

`docs/openapi.json` is this document; a test holds both to each other, and `countersign api diff` to its last version.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from core.wire import Problem

PROBLEM = "application/problem+json"
_WRITES = ("post", "put", "patch", "delete")
_SAID = {
    "401": "There is no token, or it opens nothing.",
    "403": "It takes a role that this person does not have.",
    "404": "There is no such thing, or it is another one's.",
    "405": "This is not done here.",
    "409": "It is not in a state for this; `present` says in which one it is.",
    "412": "It has changed since `If-Match` was true.",
    "413": "The body is too large.",
    "415": "The body is of another type than is read here.",
    "422": "What was sent is not acceptable; `field` says where.",
    "429": "Too much at once. Come back after `Retry-After` seconds.",
    "503": "The records can't be reached. Come back after `Retry-After` seconds.",
    "default": "Anything else that went wrong.",
}
_HEADERS: dict[str, dict[str, Any]] = {
    "401": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    "429": {"Retry-After": {"schema": {"type": "integer"}}},
    "503": {"Retry-After": {"schema": {"type": "integer"}}},
}


def operation_id(route: APIRoute) -> str:
    """`cases_submit`, module and function: stable for generated clients, whatever becomes of paths."""
    return f"{route.endpoint.__module__.rsplit('.', 1)[-1]}_{route.name}"


def install(app: FastAPI) -> None:
    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def document(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(
        title=app.title, version=app.version, openapi_version=app.openapi_version, description=_ABOUT, routes=app.routes
    )
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    found["components"]["responses"] = _problems()
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for path, item in found["paths"].items():
        for method, operation in item.items():
            _with_problems(operation, path, method)
    for left in ("HTTPValidationError", "ValidationError"):
        schemas.pop(left, None)
    return found


def _with_problems(operation: dict[str, Any], path: str, method: str) -> None:
    answers = operation["responses"]
    if "HTTPValidationError" in str(answers.get("422")):
        del answers["422"]
    for status in _statuses(operation, path, method):
        answers.setdefault(status, _problem(status))
    answers.setdefault("default", _problem("default"))
    operation["responses"] = dict(sorted(answers.items()))


def _statuses(operation: dict[str, Any], path: str, method: str) -> list[str]:
    """Which problems an operation can tell. `405` belongs to each: the path is there, and the method is not."""
    found = ["422", "503"]
    if operation.get("security"):
        found += ["401", "403", "429"]
    if "{" in path:
        found.append("404")
    if method in _WRITES:
        found += ["409", "413", "404"]
    if "requestBody" in operation:
        found.append("415")
    if any(each["name"].lower() == "if-match" for each in operation.get("parameters", ())):
        found.append("412")
    return found


def _problem(status: str) -> dict[str, Any]:
    """Said once for all operations."""
    return {"$ref": f"#/components/responses/Problem{status.capitalize()}"}


def _problems() -> dict[str, Any]:
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        f"Problem{status.capitalize()}": {
            "description": said,
            "content": content,
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
        for status, said in _SAID.items()
    }


_ABOUT = """Agents act, people countersign. Every request carries `Authorization: Bearer TOKEN`.

Lists come in pages: send a page's `next` as `after` to get the following one. A write may carry an `Idempotency-Key`:
the same key and request are done once and answered alike. Errors are problem documents (RFC 9457)."""
