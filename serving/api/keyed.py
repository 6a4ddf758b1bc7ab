"""Writes under an `Idempotency-Key`: routes of `KeyedRoute` do one thing once, however often it is asked for.

    router = APIRouter(prefix="/api/v1/things", route_class=KeyedRoute)

The same key and request give the same answer again, with `Idempotency-Replayed: true`; the same key with anything else
is refused. A refusal that changed nothing leaves the key free. A route that takes the header itself is left to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from core.errors import Conflict, CountersignError, KeyInUse, KeyReused
from core.ids import digest
from ledger.request_keys import AT_WORK, Keyed, RequestKeyRow
from ledger.trouble import RECORDS_AWAY
from serving.api.deps import Caller, RequestKey, Rooms
from serving.api.errors import problem

log = logging.getLogger("countersign.api")

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LONGEST = timedelta(minutes=5)
"""No request of these takes so long: one that began before and has no answer was cut off."""
_KEPT = ("location", "etag", "content-type")
_MOST = 1_000_000


class _Replayed(Exception):
    def __init__(self, answer: Response) -> None:
        self.answer = answer


async def once(request: Request, house: Rooms, person: Caller, key: RequestKey = None) -> None:
    """Finds out whether this was asked before. Raises `KeyReused`, `KeyInUse`, `Conflict`."""
    if key is None:
        return
    asked = [request.method, request.url.path, request.url.query, (await request.body()).hex(), _rights(person)]
    keyed = Keyed(person.workspace, person.id, key, digest(asked))

    def look(ledger: Any) -> tuple[RequestKeyRow | None, bool]:
        row: RequestKeyRow | None = ledger.request_keys.find(keyed)
        return row, row is not None and ledger.now - row.begun_at > _LONGEST

    row, cut_off = await house.database.read(person.workspace, look)
    if row is None:
        request.state.keyed = keyed
        AT_WORK.set(keyed)
        return
    if row.request != keyed.request:
        raise KeyReused(
            f"Idempotency key '{key[:60]}' was used for another request.", hint="Use a new key for a new request."
        )
    if row.status:
        headers = {**row.headers, "Idempotency-Replayed": "true"}
        raise _Replayed(Response(row.answer, row.status, headers))
    if cut_off:
        raise _begun("Its answer was lost, or erased with what it told of.")
    raise KeyInUse(
        "A request with this idempotency key is being carried out.",
        hint="Wait for its answer, or send it again in a moment.",
        retry_after=1,
    )


def _begun(why: str) -> Conflict:
    return Conflict(
        f"This was begun, and may be done in whole or in part. {why}",
        hint="Look at what it was about. It is not done again under this key; use a new one for what is missing.",
        present="begun",
    )


def _rights(person: Caller) -> list[str]:
    """An answer is for whoever may have it now: other rights make another request of it."""
    return sorted(map(str, person.permissions))


class KeyedRoute(APIRoute):
    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        own = any(field.alias == "Idempotency-Key" for field in self.dependant.header_params)
        self.keyed = bool(_WRITES & set(self.methods or ())) and not own
        given = list(options.get("dependencies") or [])
        if self.keyed and all(each.dependency is not once for each in given):
            super().__init__(path, endpoint, **{**options, "dependencies": [*given, Depends(once)]})

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        carry_out = super().get_route_handler()

        async def keyed(request: Request) -> Response:
            try:
                answer = await carry_out(request)
            except _Replayed as again:
                return again.answer
            except CountersignError as error:
                asked = _asked(request)
                if asked is None or not asked.kept:
                    raise
                answer = problem(error)  # something was done before it failed: it is not done again
            asked = _asked(request)
            if asked is not None:
                asked.over = True
                if not _passes(answer.status_code):
                    await _keep(request, asked, answer)
                elif asked.kept:
                    await _keep(request, asked, problem(_begun(f"It was answered {answer.status_code} on the way.")))
            return answer

        return keyed


def _passes(status: int) -> bool:
    """Whether it may well be another answer in a moment: nobody is to hear it for as long as keys are kept."""
    return status >= 500 or status == 429


def _asked(request: Request) -> Keyed | None:
    found: Keyed | None = getattr(request.state, "keyed", None)
    return found


async def _keep(request: Request, asked: Keyed, answer: Response) -> None:
    body = answer.body
    if not isinstance(body, bytes) or len(body) > _MOST:
        return
    headers = {name: value for name, value in answer.headers.items() if name in _KEPT}
    text = body.decode()
    house = request.app.state.house
    try:
        await house.database.write(
            asked.workspace,
            lambda ledger: ledger.request_keys.answered(asked, answer.status_code, headers, text, request.url.path),
            durable=False,
        )
    except RECORDS_AWAY as away:
        log.warning("an answer under an idempotency key is not kept: %s", away)
