"""What a figure is, and how it is taken: in turns with its floor, so that a busy machine slows both alike."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple


class Cost(NamedTuple):
    """Seconds for one of what is measured, on the clock and of the processor, all threads together."""

    wall: float
    cpu: float

    def over(self, many: int) -> Cost:
        return Cost(self.wall / many, self.cpu / many)


class Lap:
    """Begins when it is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def cost(self, times: int) -> Cost:
        return Cost((time.perf_counter() - self._wall) / times, (time.process_time() - self._cpu) / times)


@dataclass(frozen=True)
class Figure:
    name: str
    ours: Cost
    beside: str
    floor: Cost
    per_second: bool = False
    """Shown as so many a second instead of so long each."""
    aim: str = ""
    most_s: float | None = None
    """The aim in seconds for one, on the clock."""

    @property
    def met(self) -> bool | None:
        return None if self.most_s is None else self.ours.wall <= self.most_s


@dataclass
class Report:
    """The figures of one benchmark, and what has to be said with them."""

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


Work = Callable[[], Awaitable[Cost]]


async def in_turns(rounds: int, *works: Work) -> list[Cost]:
    """A B A B …; the median of each."""
    costs: list[list[Cost]] = [[] for _ in works]
    for _ in range(rounds):
        for work, mine in zip(works, costs, strict=True):
            mine.append(await work())
    return [middle(mine) for mine in costs]


def middle(costs: Sequence[Cost]) -> Cost:
    return Cost(median(cost.wall for cost in costs), median(cost.cpu for cost in costs))


def repeated(times: int, call: Callable[[], object]) -> Work:
    """A pure call, many times: for what takes microseconds."""

    async def work() -> Cost:
        lap = Lap()
        for _ in range(times):
            call()
        return lap.cost(times)

    return work


def machine() -> dict[str, str]:
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": load,
    }
