"""Wakes up whoever reads the event log: a reader waits for news, then reads the log from where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from ledger.trouble import RECORDS_AWAY

_TOGETHER_S = 0.02
"""What is published within it is told to others in one go."""
_AGAIN_S = 1.0
"""After it a line that was cut off is tried again."""


class Stream:
    """Push wake-up inside one process. Nothing travels here but the fact that there is something new."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.untold = asyncio.Event()
        """There is something that other processes were not told yet."""

    def publish(self) -> None:
        """After a commit: this process has something new."""
        self.heard()
        self.untold.set()

    def heard(self) -> None:
        """Somebody has something new."""
        self._news.set()
        self._news = asyncio.Event()

    def ticket(self) -> asyncio.Event:
        """Take it before reading the log, wait on it afterwards: news in between is not missed."""
        return self._news


class Line(Protocol):
    """To the other processes over the same records."""

    def heard(self) -> AsyncIterator[None]: ...

    async def say(self) -> None: ...

    async def last(self) -> int: ...


async def share(stream: Stream, line: Line, *, look_s: float = 2.0) -> None:
    """Tells the others what is new here, and here what is new with them, until it is cancelled.

    Whatever is lost on the way is found by looking at the log every so often.
    """
    await asyncio.gather(_listen(stream, line), _tell(stream, line), _look(stream, line, look_s))


async def _listen(stream: Stream, line: Line) -> None:
    while True:
        try:
            async for _ in line.heard():
                stream.heard()
        except RECORDS_AWAY:
            await asyncio.sleep(_AGAIN_S)


async def _tell(stream: Stream, line: Line) -> None:
    while True:
        await stream.untold.wait()
        stream.untold.clear()
        try:
            await line.say()
        except RECORDS_AWAY:
            continue
        await asyncio.sleep(_TOGETHER_S)


async def _look(stream: Stream, line: Line, every_s: float) -> None:
    seen = -1
    while True:
        try:
            last = await line.last()
        except RECORDS_AWAY:
            last = seen
        if last != seen:
            seen = last
            stream.heard()
        await asyncio.sleep(every_s)
