"""How often somebody may ask: token buckets, of which only so many are kept."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST = 20_000


class Rates:
    """One bucket for each name. Whoever was not heard of for longest is forgotten first: their bucket is full by then,
    unless there are more than `most` who ask at once."""

    def __init__(
        self, per_s: float, at_once: int, *, most: int = _MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`per_s` of 0 is no limit."""
        self._per_s, self._at_once, self._most, self._clock = per_s, float(at_once), most, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What is left for each, and when that was."""

    def __len__(self) -> int:
        return len(self._left)

    def wait(self, name: str, many: float = 1.0) -> int:
        """Takes so many. Seconds to wait where there are not as many, and 0 where there were."""
        if not self._per_s:
            return 0
        left, many = self._now(name), min(many, self._at_once)
        spent = left >= many
        self._left[name] = (left - many if spent else left, self._clock())
        self._left.move_to_end(name)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return 0 if spent else self._until(left, many)

    def empty(self, name: str) -> int:
        """Seconds to wait until there is one; takes nothing."""
        left = self._now(name) if self._per_s else 1.0
        return 0 if left >= 1.0 else self._until(left)

    def _now(self, name: str) -> float:
        left, at = self._left.get(name, (self._at_once, self._clock()))
        return min(self._at_once, left + (self._clock() - at) * self._per_s)

    def _until(self, left: float, many: float = 1.0) -> int:
        return max(1, math.ceil((many - left) / self._per_s))
