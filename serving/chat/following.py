"""Follows a case for its customer: what was written to them, that work goes on, and how it stands in the end.

Read from the durable log and the books, so a client that vanished finds all of it again. Why something was decided,
by whom and on which facts stays in the house.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from agents.conversation import Conversation, Standing
from core.actions import Effect
from engine.journal import MODEL_CALLED
from ledger.database import Ledger
from ledger.tables import TraceRow
from serving.house import House
from serving.standing import standing_of

_LOOK_S = 1.0
"""How long to wait for news before looking anyway."""
_PAGE = 500


@dataclass(frozen=True)
class Says:
    """Words for the customer: a letter of the case, or how it stands."""

    text: str
    goes_on: bool = False
    """A piece of the same text as the one before."""


@dataclass(frozen=True)
class Working:
    """Work goes on; nothing of it is for the customer."""

    on: Literal["thinking", "reading", "acting", "waiting"]


@dataclass(frozen=True)
class Spent:
    """Tokens of a model call."""

    read: int
    written: int


Event = Says | Working | Spent


@dataclass(frozen=True)
class Look:
    """What is new, and how it stands."""

    events: list[Event]
    after: int
    standing: Standing
    version: int


class News(Protocol):
    """The end of the event log, shared by all who follow it."""

    last: int
    """The last entry that it has."""

    async def news(self, seq: int, key: str, within_s: float) -> None:
        """Returns when there may be something of a case after an entry, or after so long."""


Feed = Callable[[], AbstractAsyncContextManager[News]]


class Follower:
    def __init__(self, house: House, feed: Feed, workspace: str, talk: Conversation, case_id: str, after: int) -> None:
        """`after` is the last entry of the case's log that is known."""
        self._house = house
        self._feed = feed
        self._workspace = workspace
        self._talk = talk
        self._case_id = case_id
        self._after = after

    async def events(self, settle_s: float, wait_s: float = 0.0, *, brief: bool = False) -> AsyncGenerator[Event, None]:
        """What comes until the case rests, then how it stands; and the same again, if people decide within `wait_s`.

        What does not rest within `settle_s` is told as being worked on. A `brief` answer repeats no letter.
        """
        patient = asyncio.get_running_loop().time() + wait_s
        look = None
        async with self._feed() as feed:
            while look is None or (look.standing.state == "waiting" and await self._moved(feed, look.version, patient)):
                wrote, asked, until = brief, look is not None, asyncio.get_running_loop().time() + settle_s
                while True:
                    level = feed.last
                    look = await self._house.database.read(self._workspace, self._look)
                    self._after = look.after
                    for event in look.events:
                        wrote = wrote or isinstance(event, Says)
                        yield event
                    if look.standing.state != "working" or not await self._news(feed, level, until):
                        break
                if not asked or look.standing.state != "waiting":  # it is said once that people look at it
                    yield Says(self._talk.words(replace(look.standing, told=()) if wrote else look.standing))

    async def _moved(self, feed: News, version: int, until: float) -> bool:
        """Whether anything happens to the case before a moment of the loop's clock."""
        while True:
            level = feed.last
            case = await self._house.database.read(self._workspace, lambda ledger: ledger.cases.get(self._case_id))
            if case.version != version:
                return True
            if not await self._news(feed, level, until):
                return False

    async def _news(self, feed: News, level: int, until: float) -> bool:
        """False once the time is over. Looks every so often: not all that happens to a case is in its log."""
        left = until - asyncio.get_running_loop().time()
        if left <= 0:
            return False
        await feed.news(level, self._case_id, min(_LOOK_S, left))
        return True

    def _look(self, ledger: Ledger) -> Look:
        events: list[Event] = []
        after = self._after
        while rows := ledger.trace.of_case(self._case_id, after, _PAGE):
            for row in rows:
                events += self._told(ledger, row)
            after = int(rows[-1].seq or 0)
        case = ledger.cases.get(self._case_id)
        return Look(events, after, standing_of(ledger, case, self._talk), case.version)

    def _told(self, ledger: Ledger, row: TraceRow) -> list[Event]:
        match row.type:
            case _ if row.type == MODEL_CALLED:
                spent = Spent(int(row.body.get("tokens_in", 0)), int(row.body.get("tokens_out", 0)))
                return [Working("thinking"), spent]
            case "action.judged":
                spec = self._house.tools.specs().get(str(row.body.get("tool", "")))
                return [Working("reading" if spec is not None and spec.effect is Effect.READ else "acting")]
            case "effect.done" if row.body.get("tool") == self._talk.writes_by:
                return [Says(self._talk.written(ledger.effects.action(str(row.body["action"])).args))]
            case "effect.done":
                return [Working("acting")]
            case "review.opened":
                return [Working("waiting")]
            case _:
                return []
