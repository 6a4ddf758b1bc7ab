"""JSON bodies are looked at before any route reads them: I-JSON (RFC 7493), not deep, and text that databases hold.

What two readers could understand differently, such as a member that stands there twice or a number that loses digits,
is refused and not guessed at. No route, whoever wrote it, ever parses a body that is too deep for its parser.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import InvalidInput
from serving.api.errors import problem

DEEPEST = 64
"""Objects and lists in one another."""
_GREATEST = 2**53 - 1
"""The greatest integer that every reader of JSON keeps exactly."""
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|([\[{])|([\]}])', re.DOTALL)
"""A text that never ends goes on to the end of the body: otherwise each of its quotes would be tried as a beginning."""
_SUSPECT = re.compile(rb"\\u(?:0000|d[89a-f])", re.IGNORECASE)
_CORRECT = "Correct it and send it again."


def check(body: bytes) -> None:
    """Raises `InvalidInput`, saying what is wrong and where."""
    if _deep(body):
        raise InvalidInput(
            f"The body is nested more than {DEEPEST} levels deep.", field="body", hint="Send something flatter."
        )
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_exact,
            parse_float=_finite,
        )
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The body is no UTF-8 (byte {error.start}).", field="body", hint=_CORRECT) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput(f"The body is no JSON: {error.msg} ({where}).", field="body", hint=_CORRECT) from error
    if _SUSPECT.search(body) or b"\x00" in body:
        for text in _texts(value):
            if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
                raise InvalidInput(
                    "The body holds a NUL or half a surrogate pair, which is no text.", field="body", hint=_CORRECT
                )


def _deep(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for found in _BRACKETS.finditer(body):
        depth += (found.lastindex == 1) - (found.lastindex == 2)
        if depth > DEEPEST:
            return True
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        times = Counter(name for name, _ in pairs)
        twice = next(name for name in times if times[name] > 1)
        raise InvalidInput(f"'{twice[:60]}' stands twice in one object.", field="body", hint=_CORRECT)
    return members


def _no_constant(word: str) -> Any:
    raise InvalidInput(f"{word} is no number of JSON.", field="body", hint=_CORRECT)


def _exact(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > _GREATEST:
        raise InvalidInput(
            f"The number {digits[:40]} is greater than {_GREATEST}, which not every reader keeps exactly.",
            field="body",
            hint="Send it as text.",
        )
    return int(digits)


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise InvalidInput(f"The number {digits[:40]} is too large.", field="body", hint=_CORRECT)
    return number


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


class PlainJson:
    """Reads a JSON body whole, which `BodyLimit` has bounded, checks it and hands it on. A NUL in an address is refused
    too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "\x00" in scope["path"] or b"%00" in scope["query_string"] or b"\x00" in scope["query_string"]:
            refused = InvalidInput("The address holds a NUL.", field="path", hint=_CORRECT)
            await problem(refused)(scope, receive, send)
            return
        if scope["method"] in ("GET", "HEAD", "OPTIONS") or not _is_json(scope):
            await self._app(scope, receive, send)
            return
        try:
            body = await _whole(receive)
            if body is None:
                return  # whoever sent it is gone
            if body:
                check(body)
        except InvalidInput as error:
            await problem(error)(scope, receive, send)
            return
        await self._app(scope, _handing_on(body, receive), send)


def _is_json(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = bytes(value).partition(b";")[0].strip().lower()
            return kind.endswith(b"json")
    return False


async def _whole(receive: Receive) -> bytes | None:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _handing_on(body: bytes, receive: Receive) -> Receive:
    handed = False

    async def next_message() -> Message:
        nonlocal handed
        if handed:
            return await receive()
        handed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message
