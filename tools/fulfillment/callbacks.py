"""Callbacks: an event for each write that happened, delivered from the log and so never lost.

At least once and in order: a subscriber that fails is tried again with the same event, and its position
is kept in the shop's database, so a restart goes on from there. Receivers tell copies by the event's id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

import httpx
from pydantic import BaseModel

from core.actions import JSON
from core.addresses import check_address
from core.ports import LoggedCall

logger = logging.getLogger(__name__)

LONGEST_PAUSE_S = 30.0


class ShopEvent(BaseModel):
    """A CloudEvents 1.0 event; `subject` is the case."""

    specversion: str = "1.0"
    id: str
    source: str = "urn:countersign:shop"
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    data: dict[str, JSON]

    @classmethod
    def of(cls, call: LoggedCall) -> ShopEvent:
        return cls(
            id=f"shop:{call.seq}",
            type=f"{call.operation}.done",
            subject=call.case_id,
            time=call.at,
            data={"seq": call.seq, "key": call.key, "result": call.result},
        )


Subscriber = Callable[[ShopEvent], Awaitable[None]]


class Subscription:
    """Follows the log in a task of its own until stopped."""

    def __init__(
        self,
        subscriber: Subscriber,
        *,
        log: Callable[[int], Awaitable[list[LoggedCall]]],
        position: Callable[[], Awaitable[int]],
        keep: Callable[[int], Awaitable[None]],
        copies: Callable[[LoggedCall], int],
        first_pause_s: float,
    ) -> None:
        self._subscriber = subscriber
        self._log = log
        self._position = position
        self._keep = keep
        self._copies = copies
        self._first_pause_s = first_pause_s
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._follow(), name="shop-callbacks")

    def wake(self) -> None:
        """A write was committed, maybe on another loop than this one's."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    async def stop(self) -> None:
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        pause = self._first_pause_s
        while True:
            self._news.clear()
            try:
                while await self._deliver_some():
                    pause = self._first_pause_s
                await self._news.wait()
            except Exception as error:  # noqa: BLE001 - whatever a subscriber raises, its event is kept and tried again
                logger.warning("a callback failed, next try in %.1f s: %s", pause, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _deliver_some(self) -> bool:
        after = await self._position()
        taken = after
        try:
            for call in await self._log(after):
                for _ in range(self._copies(call)):
                    await self._subscriber(ShopEvent.of(call))
                taken = call.seq
        finally:
            if taken > after:
                await asyncio.shield(self._keep(taken))
        return taken > after


class PostedCallback:
    """Posts each event to a URL as a structured CloudEvent; any answer but 2xx is tried again."""

    def __init__(self, url: str, token: str = "") -> None:
        local = check_address(url, token)
        self._url = url
        headers = {"Content-Type": "application/cloudevents+json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.AsyncClient(headers=headers, trust_env=not local)

    async def __call__(self, event: ShopEvent) -> None:
        answer = await self._client.post(self._url, content=event.model_dump_json())
        answer.raise_for_status()

    async def close(self) -> None:
        await self._client.aclose()
