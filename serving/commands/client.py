"""One person's way to a running server, for the commands. Errors come back as those of `core.errors`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from core.actions import JSON
from core.errors import OutcomeUnknown, ProviderUnavailable, SetupError
from core.events import BATCH, STRUCTURED
from core.problems import error_of
from core.wire import (
    CaseDetail,
    CaseSummary,
    CheckpointDetail,
    Checkpoints,
    Fork,
    HandedIn,
    Page,
    PolicyView,
    SubmitCase,
    TraceEntry,
    UndoView,
    UnknownEffect,
)
from core.wire_people import MadeToken, NewToken, TokenView
from serving.local import local_connection

M = TypeVar("M", bound=BaseModel)

_TIMEOUT_S = 30.0
_SILENCE_S = 45.0
"""An event stream that says nothing for so long, not even a heartbeat, is taken for dead."""
_COME_BACK_S = (0.5, 1.0, 2.0, 4.0, 8.0)


class ApiClient:
    """Use it as a context manager."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"}
        try:
            self._http = httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=_TIMEOUT_S)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise SetupError(f"'{url[:80]}' is no address of a server: {error}.", hint="Check it.") from error

    @classmethod
    def of(cls, folder: Path) -> Self:
        """For the server that runs on a data folder, or the one that the environment names."""
        return cls(*local_connection(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def submit(
        self, kind: str, payload: Mapping[str, JSON], key: str, wait_s: int, priority: int = 0
    ) -> tuple[CaseDetail, bool]:
        """The case, and whether it has settled (as far as was waited for)."""
        body = SubmitCase(kind=kind, payload=dict(payload), priority=priority).model_dump(mode="json")
        headers = {"Idempotency-Key": key} | ({"Prefer": f"wait={wait_s}"} if wait_s else {})
        response = self._send("POST", "/cases", json=body, headers=headers, timeout=_TIMEOUT_S + wait_s)
        return _read(CaseDetail, response.text), response.status_code != 202

    def hand_in(self, bundle: Mapping[str, JSON]) -> str:
        """Hands a signed policy in, without any force; the digest that a case names it by."""
        return _read(HandedIn, self._send("POST", "/policies/drafts", json=dict(bundle)).text).bundle

    def draft(self, bundle: str) -> dict[str, JSON]:
        """A signed policy that was handed in."""
        found: dict[str, JSON] = self._send("GET", f"/policies/drafts/{quote(bundle, safe='')}").json()
        return found

    def policies(self) -> list[PolicyView]:
        return [_read(PolicyView, json.dumps(each)) for each in self._send("GET", "/policies").json()]

    def send_events(self, found: JSON) -> dict[str, Any]:
        """What became of an event, or of each in an array."""
        kind = BATCH if isinstance(found, list) else STRUCTURED
        body = json.dumps(found).encode()
        answer: dict[str, Any] = self._send("POST", "/events", content=body, headers={"Content-Type": kind}).json()
        return answer

    def published(self, after: int, limit: int) -> Page[dict[str, JSON]]:
        """What the house told others, from after a position."""
        asked = {"after": str(after), "limit": str(limit)}
        return _read(Page[dict[str, JSON]], self._send("GET", "/events/published", params=asked).text)

    def attach(self, content: bytes) -> str:
        """Keeps a file there; what it is to be called in a payload."""
        return str(self._send("POST", "/attachments", content=content).json()["ref"])

    def cases(self, status: tuple[str, ...], kind: str, limit: int) -> Page[CaseSummary]:
        asked = {"status": list(status), "kind": kind, "limit": str(limit)}
        return _read(Page[CaseSummary], self._send("GET", "/cases", params=asked).text)

    def case(self, case_id: str) -> CaseDetail:
        return _read(CaseDetail, self._send("GET", f"/cases/{quote(case_id, safe='')}").text)

    def checkpoints(self, case_id: str) -> Checkpoints:
        return _read(Checkpoints, self._send("GET", f"/cases/{quote(case_id, safe='')}/checkpoints").text)

    def checkpoint(self, case_id: str, checkpoint: str) -> CheckpointDetail:
        path = f"/cases/{quote(case_id, safe='')}/checkpoints/{quote(checkpoint, safe='')}"
        return _read(CheckpointDetail, self._send("GET", path).text)

    def fork(self, case_id: str, checkpoint: str) -> CaseSummary:
        body = Fork(checkpoint=checkpoint).model_dump()
        return _read(CaseSummary, self._send("POST", f"/cases/{quote(case_id, safe='')}/fork", json=body).text)

    def make_token(self, wanted: NewToken) -> MadeToken:
        return _read(MadeToken, self._send("POST", "/tokens", json=wanted.model_dump(exclude_none=True)).text)

    def tokens(self, person: str = "") -> list[TokenView]:
        asked = {"of": person} if person else {}
        return _read(Page[TokenView], self._send("GET", "/tokens", params=asked).text).items

    def end_token(self, token_id: str) -> None:
        self._send("DELETE", f"/tokens/{quote(token_id, safe='')}")

    def retry(self, case_id: str) -> CaseSummary:
        return _read(CaseSummary, self._send("POST", f"/cases/{quote(case_id, safe='')}/retry").text)

    def unknown(self) -> Page[UnknownEffect]:
        return _read(Page[UnknownEffect], self._send("GET", "/effects/unknown").text)

    def compensation(self, case_id: str) -> Page[UndoView]:
        return _read(Page[UndoView], self._send("GET", f"/cases/{quote(case_id, safe='')}/compensation").text)

    def compensate(self, case_id: str) -> Page[UndoView]:
        return _read(Page[UndoView], self._send("POST", f"/cases/{quote(case_id, safe='')}/compensate").text)

    def events(self, case_id: str) -> Iterator[TraceEntry]:
        """The case's event log, followed until the case ends; a lost connection is taken up where it broke."""
        after, pauses = 0, iter(_COME_BACK_S)
        while True:
            try:
                for entry in self._stream(f"/cases/{quote(case_id, safe='')}/events", after):
                    if entry is None:
                        return
                    after, pauses = entry.seq, iter(_COME_BACK_S)
                    yield entry
                lost: httpx.TransportError | None = None
            except httpx.TransportError as error:
                lost = error
            pause = next(pauses, None)
            if pause is None:
                raise self._gone(lost)
            time.sleep(pause)

    def _stream(self, path: str, after: int) -> Iterator[TraceEntry | None]:
        """Entries after this one; None where the server says that it was the last."""
        timeout = httpx.Timeout(10.0, read=_SILENCE_S)
        with self._http.stream("GET", path, headers={"Last-Event-ID": str(after)}, timeout=timeout) as response:
            if response.is_error:
                response.read()
                raise error_of(response.status_code, _json(response), str(response.url))
            event = ""
            for line in response.iter_lines():
                name, _, value = line.partition(":")
                if name == "event":
                    event = value.strip()
                elif name == "data" and event == "end":
                    yield None
                elif name == "data" and event != "replayed":
                    yield _read(TraceEntry, value)

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **more)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise self._gone(error) from error
        except httpx.TransportError as error:
            if method == "GET":
                raise self._gone(error) from error
            raise OutcomeUnknown(
                f"The answer of {self.url} was lost.", hint="Send it again with the same --key: it counts once."
            ) from error
        if response.is_error:
            raise error_of(response.status_code, _json(response), str(response.url))
        return response

    def _gone(self, error: Exception | None) -> ProviderUnavailable:
        what = str(error or "") or type(error).__name__
        return ProviderUnavailable(f"{self.url} does not answer ({what}).", hint="Start it with 'countersign up'.")


def _json(response: httpx.Response) -> JSON:
    try:
        return response.json()
    except json.JSONDecodeError:
        return None


def _read(model: type[M], text: str) -> M:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise SetupError(
            f"The server answered something that is no {model.__name__}.",
            hint="This program and the server have to be of one version.",
        ) from error
