"""The house's door, and a sender in front of it whose requests and answers are lost now and then."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from httpx import ASGITransport, AsyncClient
from starlette.types import Receive, Scope, Send

from core.events import STRUCTURED
from serving.api.app import make_app
from tests.support.till import Till


def door(till: Till, token: str) -> AsyncClient:
    """For one person."""
    headers = {"Authorization": f"Bearer {token}"}
    return AsyncClient(transport=ASGITransport(make_app(till.house)), base_url="http://till", headers=headers)


class Http:
    """The sender has the answer at once; where there is none, or it was lost, it sends again."""

    def __init__(self, till: Till, token: str, luck: random.Random | None = None) -> None:
        self._till = till
        self._luck = luck
        self.answers: list[dict[str, Any]] = []
        transport = ASGITransport(self._app)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": STRUCTURED}
        self._client = AsyncClient(transport=transport, base_url="http://till", headers=headers)
        self._house = make_app(till.house)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        lost = self._luck.random() if self._luck else 1.0
        if lost < 0.05:
            await _answer_503(send)
        elif lost < 0.1:
            await self._house(scope, receive, _deaf)
            await _answer_503(send)
        else:
            await self._house(scope, receive, send)

    async def send(self, *events: Mapping[str, Any] | bytes) -> None:
        for each in events:
            body = each if isinstance(each, bytes) else json.dumps(each).encode()
            while (answer := await self._client.post("/api/v1/events", content=body)).status_code == 503:
                pass
            self.answers.append(answer.json() | {"status_code": answer.status_code})

    async def settled(self) -> None:
        """Each answer was given."""

    async def refused(self) -> list[str]:
        return [each["detail"] for each in self.answers if each["status_code"] >= 400]

    async def heard(self) -> list[dict[str, Any]]:
        return list((await self._client.get("/api/v1/events/published", params={"limit": 500})).json()["items"])

    async def close(self) -> None:
        await self._client.aclose()


async def _answer_503(send: Send) -> None:
    await send({"type": "http.response.start", "status": 503, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def _deaf(_message: Any) -> None: ...
