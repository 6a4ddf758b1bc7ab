"""A picture of the desk as it stands on a running server, for documents."""

from __future__ import annotations

import asyncio
import re

from core.errors import SetupError
from desk.app import DeskApp
from desk.client import DeskClient
from desk.connection import Connection
from desk.feed import Link
from desk.session import open_session

_PATIENCE_S = 15.0


async def take_picture(connection: Connection, *, width: int, height: int, light: bool = False, at: int = 1) -> str:
    """An SVG of the desk with the case at this place of the queue open. Raises `SetupError` if it does not come up."""
    async with DeskClient(connection) as client:
        await client.me()
        app = DeskApp(open_session(client), light=light)
        async with app.run_test(size=(width, height), notifications=False) as pilot:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await app.session.feed.ready.wait()
                    while app.session.feed.link is not Link.LIVE or not app.queue_screen.settled.is_set():
                        await pilot.pause(0.05)
                    await pilot.press(*["j"] * (at - 1))
                    while not app.queue_screen.settled.is_set():
                        await pilot.pause(0.05)
            except TimeoutError:
                raise SetupError(
                    "The desk did not come up in time.", hint="Try again when the server is less busy."
                ) from None
            app.queue_screen.tick()
            await pilot.pause()
            svg = standalone(app.export_screenshot(title="countersign desk"))
    return svg


def standalone(svg: str) -> str:
    """Without fonts from a server: a picture in a document fetches nothing."""
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)
    svg = re.sub(r"@font-face\s*{.*?}", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")
