"""Those outside of a storm: a client that sends its requests until they are answered, and people who decide."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.support.storm_business import Business

_ABREAST = 6
"""Requests under way at a time."""
_AGAIN_S = 0.3
_OF_THE_HOUSE = ("case.recover", "effect.reconcile")


class NotNow(Exception):
    """The house is down, or too busy: the same is sent again."""


class Callers:
    def __init__(self, url: str, business: Business, tokens: Mapping[str, str], shop_file: Path) -> None:
        self._business = business
        self._tokens = tokens
        self._shop_file = shop_file
        self._voted: set[tuple[str, str]] = set()
        self.client = httpx.AsyncClient(base_url=url, timeout=30, trust_env=False)
        self.refused: list[str] = []
        """Requests of ours that were not taken, although nothing is wrong with them."""
        self.failed: list[str] = []
        """Answers 500: a defect, though the same is sent again."""

    async def submit(self, requests: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Every request is sent under its key until it is answered, whatever happens to the house."""
        waiting = iter(requests)

        async def send() -> None:
            for key, payload in waiting:
                body = {"kind": self._business.kind, "payload": payload}
                await self._insist("POST", "/api/v1/cases", self._business.submitter, key, body)

        await asyncio.gather(*(send() for _ in range(_ABREAST)))

    async def review(self, decided: bool = True) -> None:
        """Everybody decides whatever waits for their role, under a key of their own for each approval.

        With `decided` off they answer only what the house itself asks.
        """
        while True:
            queue = await self._insist("GET", "/api/v1/approvals?limit=100", self._reader())
            todo = [
                (name, item)
                for item in queue["items"]
                for name, roles in self._business.people.items()
                if (decided or item["tool"] in _OF_THE_HOUSE)
                and roles & set(item["roles"])
                and (name, item["id"]) not in self._voted
            ]
            if not todo:
                await asyncio.sleep(_AGAIN_S)
                continue
            waiting = iter(todo)

            async def decide(waiting: Any = waiting) -> None:
                for name, item in waiting:
                    await self._decide(name, item)

            await asyncio.gather(*(decide() for _ in range(_ABREAST)))
            await asyncio.sleep(_AGAIN_S)  # people do not ask all the time either

    async def _decide(self, name: str, item: Mapping[str, Any]) -> None:
        if name == self._business.submitter and item["tool"] not in _OF_THE_HOUSE:
            return
        approval = item["id"]
        shown = await self._insist("GET", f"/api/v1/approvals/{approval}", name)
        choice = self._business.choice(item)
        if item["tool"] == "effect.reconcile":
            choice = "approve" if self._happened(str(shown["args"]["action_id"])) else "reject"
        body = {"choice": choice, "seen": shown["seen"], "note": "looked at it", "reason_code": "other"}
        await self._insist("POST", f"/api/v1/approvals/{approval}/decide", name, f"{name}:{approval}", body)
        self._voted.add((name, approval))

    def _happened(self, action_id: str) -> bool:
        """A person who is asked looks into the provider's own log."""
        with closing(sqlite3.connect(f"file:{self._shop_file}?mode=ro", uri=True)) as shop:
            found = shop.execute("SELECT 1 FROM log WHERE key LIKE ?", (f"%:{action_id[:16]}%",))
            return found.fetchone() is not None

    async def statuses(self) -> dict[str, int]:
        try:
            return dict((await self._send("GET", "/api/v1/status", self._reader()))["cases"])
        except NotNow:
            return {}

    def _reader(self) -> str:
        return next(name for name in self._business.people if name != self._business.submitter)

    async def _insist(self, method: str, path: str, name: str, key: str = "", body: Any = None) -> dict[str, Any]:
        while True:
            try:
                return await self._send(method, path, name, key, body)
            except NotNow:
                await asyncio.sleep(_AGAIN_S)

    async def _send(self, method: str, path: str, name: str, key: str = "", body: Any = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._tokens[name]}"}
        if key:
            headers["Idempotency-Key"] = key
        try:
            answer = await self.client.request(method, path, json=body, headers=headers)
        except httpx.TransportError as gone:
            raise NotNow from gone
        if answer.status_code == 500:
            self.failed.append(f"{method} {path}: {answer.text[:300]}")
        if answer.status_code == 429 or answer.status_code >= 500:
            raise NotNow(answer.text)
        if answer.is_error and not (answer.status_code == 409 and path.endswith("/decide")):
            self.refused.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        found: dict[str, Any] = answer.json()
        return found
