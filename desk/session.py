"""What the screens of one person share while the desk is open."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core.clock import Clock, SystemClock
from desk.ballots import Unanswered
from desk.client import DeskClient
from desk.feed import Feed


@dataclass
class Session:
    client: DeskClient
    feed: Feed
    clock: Clock = field(default_factory=SystemClock)
    ticking: Callable[[], float] = time.monotonic
    """Seconds that only go on, for waits and for how long somebody looked."""
    drafts: dict[str, dict[str, str]] = field(default_factory=dict)
    """Edited texts by approval and argument: they outlive a lost connection and a closed form."""
    notes: dict[str, str] = field(default_factory=dict)
    unanswered: Unanswered = field(default_factory=Unanswered)
    decided: int = 0

    @property
    def person(self) -> str:
        return self.feed.me.id if self.feed.me else ""


def open_session(
    client: DeskClient, clock: Clock | None = None, ticking: Callable[[], float] = time.monotonic
) -> Session:
    return Session(client, Feed(client, ticking), clock or SystemClock(), ticking)
