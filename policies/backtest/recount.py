"""Counts told anew for the moment of a decision, from the runs of the effects ledger.

A count whose definition changed is not on record, but what it counts is. A run counts for a decision if it was
reserved before it, in the order of the ledger's own decisions: two moments can be equal, two decisions can't.
It was in flight until it finished. A test tells recorded counts anew and finds them equal.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from core.actions import JSON
from core.ids import digest
from core.money import Money
from core.ports import Count
from core.states import RunStatus
from core.verdicts import FactValue
from policies.backtest.records import Ran, Recorded

Runs = Callable[[Sequence[str], datetime | None], Iterable[Ran]]
"""Gives the runs of these tools that began after a moment, in the order in which they were reserved."""

_NUMBER = ""
"""Among sums by currency: how many."""


class Recounts:
    """Reads the runs of a count when it is first asked for; decisions come in the order of the ledger."""

    def __init__(self, runs: Runs, since: datetime | None = None) -> None:
        self._runs = runs
        self._since = since
        self._counters: dict[Count, _Counter] = {}

    def of(self, count: Count, record: Recorded) -> FactValue:
        counter = self._counters.get(count)
        if counter is None:
            after = self._since - timedelta(seconds=count.window_s) if self._since else None
            counter = self._counters[count] = _Counter(count, deque(self._runs(count.tools, after)))
        return counter.told(record)


@dataclass
class _Held:
    """What is counted together: the runs of one customer, one agent, one case."""

    window: deque[Ran] = field(default_factory=deque)
    flying: list[Ran] = field(default_factory=list)
    landed: Counter[str] = field(default_factory=Counter)


@dataclass
class _Counter:
    count: Count
    coming: deque[Ran]
    held: dict[str, _Held] = field(default_factory=dict)

    def told(self, record: Recorded) -> FactValue:
        while self.coming and self.coming[0].reserved < record.id:
            run = self.coming.popleft()
            mine = self.held.setdefault(self._key(run), _Held())
            mine.window.append(run)
            mine.flying.append(run)
        own = _money(record.args, self.count.path) if self.count.measure == "sum" else None
        if self.count.measure == "sum" and own is None:
            return None
        mine = self.held.get(self._key(record), _Held())
        self._move(mine, record.at)
        unit = own.currency if own else _NUMBER
        total = mine.landed[unit]
        if "in_flight" in self.count.include:
            total += sum(self._worth(run)[unit] for run in mine.flying)
        return Money(amount_minor=total, currency=unit) if own else total

    def _move(self, mine: _Held, at: datetime) -> None:
        """Lands what finished by then, and forgets what is out of the window."""
        landing = [run for run in mine.flying if run.finished_at is not None and run.finished_at <= at]
        if landing:
            mine.flying = [run for run in mine.flying if run.finished_at is None or run.finished_at > at]
            for run in landing:
                if self._stays(run):
                    mine.landed.update(self._worth(run))
        oldest = at - timedelta(seconds=self.count.window_s)
        while mine.window and mine.window[0].started_at <= oldest:
            gone = mine.window.popleft()
            if gone in mine.flying:
                mine.flying.remove(gone)
            elif self._stays(gone):
                mine.landed.subtract(self._worth(gone))

    def _stays(self, run: Ran) -> bool:
        """Whether a run counts once it is over. Of one whose end nobody knows, it is as if it were in flight."""
        if run.status == RunStatus.UNKNOWN:
            return "in_flight" in self.count.include
        return run.status == RunStatus.DONE and "done" in self.count.include

    def _worth(self, run: Ran) -> Counter[str]:
        if self.count.measure == "count":
            return Counter({_NUMBER: 1})
        money = _money(run.args, self.count.path)
        return Counter({money.currency: money.amount_minor} if money else {})

    def _key(self, of: Ran | Recorded) -> str:
        same: Mapping[str, str] = {"customer": of.subject, "agent": of.proposer, "case": of.case_id}
        if self.count.per.startswith("args."):
            return digest([of.workspace, _at(of.args, self.count.per)])
        return f"{of.workspace} {same.get(self.count.per, '')}"


def _at(args: Mapping[str, JSON], path: str) -> Any:
    found: Any = args
    for part in path.removeprefix("args.").split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _money(args: Mapping[str, JSON], path: str) -> Money | None:
    found = _at(args, path)
    try:
        return Money.model_validate(found) if isinstance(found, dict) else None
    except ValueError:
        return None
