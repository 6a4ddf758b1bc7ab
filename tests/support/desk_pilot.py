"""A desk on a scripted server, with clocks that stand until they are moved."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from textual.pilot import Pilot

from core.clock import FakeClock
from desk.app import DeskApp
from desk.client import DeskClient
from desk.connection import Connection
from desk.feed import Feed, Link
from desk.screens.queue import QueueScreen
from desk.session import Session
from tests.support.desk_server import TOKEN, DeskServer, serving


class Ticks:
    """A monotonic clock that only goes on when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class WatchedApp(DeskApp):
    """Remembers what it told the person."""

    def __init__(self, session: Session, light: bool) -> None:
        super().__init__(session, light=light)
        self.told: list[str] = []

    def notify(self, message: str, **options: Any) -> None:
        self.told.append(message)
        super().notify(message, **options)


@dataclass
class Desk:
    server: DeskServer
    app: WatchedApp
    pilot: Pilot[None]
    ticks: Ticks
    clock: FakeClock

    @property
    def screen(self) -> QueueScreen:
        return self.app.queue_screen

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Lets the desk work until it holds; fails with the screen if it never does."""
        for _ in range(500):
            if condition():
                return
            await self.pilot.pause(0.01)
        raise AssertionError(f"never: {what}\n{self.text()}")

    async def shows(self, wanted: str) -> None:
        await self.until(lambda: wanted in self.text(), f"'{wanted}' on the screen")

    async def tells(self, wanted: str) -> None:
        await self.until(lambda: any(wanted in told for told in self.app.told), f"told '{wanted}' ({self.app.told})")

    async def armed(self, approval: str) -> None:
        """Until this case is painted; then its quarter of a second passes."""
        await self.until(lambda: self.screen.case.detail and self.screen.case.detail.approval.id == approval, approval)
        await self.pilot.pause()
        self.ticks.now += 1.0
        await self.until(lambda: self.screen.trigger.armed, "the decision keys are armed")

    def text(self) -> str:
        """The topmost screen as lines."""
        return "\n".join(strip.text.rstrip() for strip in self.app.screen._compositor.render_strips())

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)


@asynccontextmanager
async def desk_on(server: DeskServer, *, size: tuple[int, int] = (120, 36), light: bool = False) -> AsyncIterator[Desk]:
    """The desk of anna, live, with its first case open if there is one."""
    ticks, clock = Ticks(), FakeClock(server.now)
    async with serving(server), DeskClient(Connection(server.url, TOKEN)) as client:
        session = Session(client, Feed(client, ticks, retry_s=0.02), clock, ticks)
        app = WatchedApp(session, light)
        async with app.run_test(size=size, notifications=True) as pilot:
            desk = Desk(server, app, pilot, ticks, clock)
            await desk.until(
                lambda: session.feed.link is Link.LIVE and desk.screen.settled.is_set(), "the desk is live"
            )
            yield desk
