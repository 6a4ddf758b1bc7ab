"""What the doctor says of one thing: how it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

_SKEW, _FAR_SKEW = timedelta(seconds=2), timedelta(minutes=1)


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Line(NamedTuple):
    part: str
    state: State
    says: str
    do: str = ""
    """What to do about it."""


def ok(part: str, says: str) -> Line:
    return Line(part, State.OK, says)


def warn(part: str, says: str, do: str) -> Line:
    return Line(part, State.WARN, says, do)


def fail(part: str, says: str, do: str) -> Line:
    return Line(part, State.FAIL, says, do)


def skew(part: str, theirs: datetime | None, before: datetime, grain: timedelta = timedelta(0)) -> Iterator[Line]:
    """`before` is our time when they were asked; `grain` is what they don't tell of the time."""
    if theirs is None:
        return
    now = datetime.now(UTC)
    off = max(before - theirs - grain, theirs - now, timedelta(0))
    says = f"this machine's clock and that of the {part} are {off.total_seconds():.1f} s apart"
    do = "Set the clocks by NTP. Timers go by the database's."
    if off > _FAR_SKEW:
        yield fail("clock", says, do)
    elif off > _SKEW:
        yield warn("clock", says, do)
    else:
        yield ok("clock", f"as that of the {part}")


def told(many: float) -> str:
    for unit in ("B", "KB", "MB"):
        if many < 1000:
            return f"{many:.0f} {unit}"
        many /= 1000
    return f"{many:,.1f} GB"
