"""The fence around a segment: whoever runs it writes for its case only as long as nobody else has taken it over.

Each segment begins under the next number of its case (`CaseRow.epoch`). It holds that number wherever it goes, and
every later write looks whether it is still the last one. A worker that was stopped for a while, and whose case went on
elsewhere, so writes nothing when it wakes up; only what came of a call that it made is recorded all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from core.states import CaseStatus
from ledger.database import Ledger
from ledger.tables import CaseRow


class SegmentLost(BaseException):
    """The case went on in another segment. No `except Exception` on the way may swallow it."""


@dataclass
class Fence:
    """What a segment holds of its case."""

    workspace: str
    case_id: str
    epoch: int
    fallen: bool = False
    """This process itself took the case back from it."""

    def hold(self, epoch: int | None) -> None:
        """`epoch` is the case's present one. Raises `SegmentLost`."""
        if self.fallen or epoch != self.epoch:
            raise SegmentLost(f"segment {self.epoch} of {self.case_id} goes on as segment {epoch}")


_IN_HAND: ContextVar[Fence | None] = ContextVar("fence", default=None)
"""Of the segment that this task works for; the graph's own tasks and threads inherit it."""


@contextmanager
def inside(fence: Fence) -> Iterator[None]:
    """What runs in here works for this segment."""
    before = _IN_HAND.set(fence)
    try:
        yield
    finally:
        _IN_HAND.reset(before)


def of_this_task() -> Fence | None:
    return _IN_HAND.get()


def in_hand(case_id: str) -> Fence | None:
    """The fence of the segment that this task works for, if it is one of this case."""
    fence = of_this_task()
    return fence if fence is not None and fence.case_id == case_id else None


def hold(case: CaseRow) -> None:
    """To be called with the case's locked row before a segment writes. Raises `SegmentLost`."""
    if fence := in_hand(case.id):
        fence.hold(case.epoch)


def free(ledger: Ledger, case: CaseRow, *, died: bool) -> None:
    """A case that runs is in nobody's hands any more: whoever had it writes nothing for it, and anybody may go on.

    `died` says whether its segment may be to blame; too many of those bring the case to people.
    """
    case.epoch += 1
    if not died:
        case.crashes = max(0, case.crashes - 1)
    ledger.cases.move(case, CaseStatus.OPEN)
