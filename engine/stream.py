"""Wakes up whoever reads the event log: a reader waits for news, then reads the log from where it was."""

from __future__ import annotations

import asyncio


class Stream:
    """Push wake-up inside one process. Nothing travels here but the fact that there is something new."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def publish(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def ticket(self) -> asyncio.Event:
        """Take it before reading the log, wait on it afterwards: news in between is not missed."""
        return self._news
