"""Waiting for cases, for a customer at the other end of the line or for a demo's last line."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from engine.stream import Stream
from ledger.database import Database, Ledger

_TOGETHER_S = 0.1
"""Between two looks at many cases, while there is news all the time."""
_ONE_S = 0.02
"""The same of one."""
_NEWS_S = 1.0
"""How long to wait for news before looking anyway: another process may have done it, and its news is late."""


async def settled(database: Database, stream: Stream, workspace: str, case_ids: set[str]) -> None:
    """Waits until none of these cases has a segment before it: each is closed, or waits for somebody."""

    def moving(ledger: Ledger) -> bool:
        return ledger.cases.moves(*case_ids) if len(case_ids) == 1 else bool(case_ids & ledger.cases.moving())

    while True:
        ticket = stream.ticket()
        if not await database.read(workspace, moving):
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(ticket.wait(), _NEWS_S)
        await asyncio.sleep(_ONE_S if len(case_ids) == 1 else _TOGETHER_S)
