"""Kills a house for real, SIGKILL to its own process, at each named point of a case, and opens it again.

Processes are forked from a server that has imported everything and has no threads, so a start takes a part of a
second. A point is `name:before` or `name:after`, or `name#3:before` for its third time. What is named `tx.…` is a
transaction: before its commit, when all is said, and after it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import langgraph.checkpoint.postgres  # noqa: F401 - imported before the fork, or every start would do it
import psycopg  # noqa: F401

import ledger.server  # noqa: F401
from core.clock import FakeClock, SystemClock
from core.settings import EngineSettings
from core.states import CaseStatus
from engine.dbos_bell import DbosBell
from engine.reviews import ReviewDesk
from engine.task_bell import TaskBell
from graphs.checkpoints import InlineSqliteSaver
from graphs.checkpoints_server import PooledPostgresSaver
from ledger.cases import Cases
from ledger.database import Database, Ledger
from ledger.effects import Effects
from ledger.timers import Timers
from tests.support.till import Till, open_till, pay, write
from tools.fulfillment.shop import EmbeddedShop

SCRIPT = ([write(), pay("10.00")], [pay("60.00")], [write("letter.send")])
"""Two calls at once, a question to people, a letter."""
ALONE = ([pay("10.00")], [write("letter.send")])
LATE, STOPPED = "late", "stopped"
"""Stories: nobody votes in time; the process does not die, but stops for a while."""

TRANSACTIONS = {
    "submit": "Intake.submit.<locals>.open_case",
    "begin": "Segments._begun.<locals>.<lambda>",
    "propose": "Gate.propose.<locals>.record",
    "reserve": "Executor._reserve",
    "finish": "Executor._finish.<locals>.close",
    "end": "Segments._end.<locals>.close",
    "vote": "ReviewDesk.voting.<locals>.vote",
    "timer": "Sweeper._fire.<locals>.fire",
}
_NAMES = {step: name for name, step in TRANSACTIONS.items()}
_BETWEEN: dict[str, tuple[tuple[type[Any], str], ...]] = {
    "intent": ((Effects, "reserve"),),
    "call": ((EmbeddedShop, "write"),),
    "done": ((Effects, "finish"),),
    "checkpoint": ((InlineSqliteSaver, "aput"), (PooledPostgresSaver, "aput")),
    "writes": ((InlineSqliteSaver, "aput_writes"), (PooledPostgresSaver, "aput_writes")),
    "review": ((ReviewDesk, "open"),),
    "processed": ((Cases, "processed"),),
    "bell": ((TaskBell, "ring"), (DbosBell, "ring")),
    "fire": ((Timers, "fire"),),
}
"""Calls between which a process dies, by name."""


class MovedClock(FakeClock):
    """The time of day, moved: what waits for hours comes up at once."""

    def __init__(self) -> None:
        super().__init__()
        self._by = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self._by

    def advance(self, by: timedelta) -> None:
        self._by += by


class Death:
    """Where this process dies, or stops."""

    def __init__(self, point: str, by: signal.Signals) -> None:
        self._by = by
        name, self._when = point.rsplit(":", 1)
        self._name, _, nth = name.partition("#")
        self._nth = int(nth or 1)
        self._seen: Counter[str] = Counter()

    def come_by(self, name: str, when: str) -> None:
        if name != self._name or when != self._when:
            return
        self._seen[name] += 1
        if self._seen[name] == self._nth:
            os.kill(os.getpid(), self._by)

    def arm(self) -> None:
        """Only in a process of its own: classes are changed for its life."""
        write = Database.write

        @functools.wraps(write)
        async def deadly(this: Database, workspace: str, step: Callable[[Ledger], Any], **more: Any) -> Any:
            plain = step.func if isinstance(step, functools.partial) else step
            name = f"tx.{_NAMES.get(getattr(plain, '__qualname__', ''), '')}"

            def to_its_end(ledger: Ledger) -> Any:
                result = step(ledger)
                self.come_by(name, "before")
                return result

            result = await write(this, workspace, to_its_end, **more)
            self.come_by(name, "after")
            return result

        setattr(Database, "write", deadly)  # noqa: B010 - a class is changed on purpose
        for name, places in _BETWEEN.items():
            for owner, method in places:
                setattr(owner, method, self._around(name, getattr(owner, method)))

    def _around(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **more: Any) -> Any:
            self.come_by(name, "before")
            result = method(*args, **more)
            self.come_by(name, "after")
            return result

        @functools.wraps(method)
        async def awaited(*args: Any, **more: Any) -> Any:
            self.come_by(name, "before")
            result = await method(*args, **more)
            self.come_by(name, "after")
            return result

        return awaited if inspect.iscoroutinefunction(method) else call


# What runs in a process of its own


def live(folder: str, server: str, point: str, story: str, bell: Any, ledger_on: bool) -> None:
    """Opens the house, plays the case to its end, and writes down how it ended."""
    if point:
        Death(point, signal.SIGSTOP if story == STOPPED else signal.SIGKILL).arm()
    asyncio.run(_play(Path(folder), server, story, bell, ledger_on))


async def _play(folder: Path, server: str, story: str, bell: Any, ledger_on: bool) -> None:
    settings = EngineSettings(sweep_s=3600, lease_s=0.2, attempts=100)
    clock = MovedClock()
    late = folder / "late"
    if late.exists():
        clock.advance(timedelta(hours=5))
    async with open_till(
        folder / "house", clock=clock, engine=settings, server=server, bell=bell, ledger_on=ledger_on
    ) as till:
        case = await till.submit(*(ALONE if story == STOPPED else SCRIPT), key="the_case")
        await till.steady(case)
        if await till.status(case) is CaseStatus.WAITING:
            if story == LATE:
                late.touch()
                clock.advance(timedelta(hours=5))
                await till.house.sweeper.sweep()
            else:
                await till.vote("ann", (await till.review(case)).id, wait=False)
        await till.steady(case)
        (folder / "end.json").write_text(json.dumps(await _ending(till, case)))


async def _ending(till: Till, case: str) -> dict[str, Any]:
    """All that an oracle run and this one have to agree on."""
    row = await till.case(case)
    costs = await till.read(lambda ledger: ledger.costs.of_case(case))
    report = await till.check()
    length, broken = await till.read(lambda ledger: ledger.audit.verify("default"))
    return {
        "status": [str(row.status), row.outcome, row.summary, row.problem],
        "provider": sorted(await till.happened(case)),
        "balance": await till.balance(),
        "runs": sorted([run.tool, str(run.status)] for run in await till.runs(case)),
        "reviews": [str(review.status) for review in await till.reviews(case)],
        "costs": sorted([cost.component, cost.amount_minor, cost.quantity] for cost in costs),
        "waiting": [len(await till.inbox(case)), len(await till.read(lambda ledger: ledger.timers.pending(case)))],
        "findings": [f"{each.what}: {each.detail}" for each in report.findings],
        "chain": "whole" if length and broken is None else str(broken),
    }


# What starts them

_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload(["tests.support.kill_points"])
_PATIENCE_S = 60.0


def run(
    folder: Path, server: str, *points: str, story: str = "", bell: str = "tasks", ledger_on: bool = True
) -> dict[str, Any]:
    """How the case ended, in a house that was killed at these points, one in each life. Without any: how it has to."""
    for point in (*points, ""):
        process = _fork.Process(target=live, args=(str(folder), server, point, story, bell, ledger_on), daemon=True)
        process.start()
        process.join(_PATIENCE_S)
        if process.exitcode is None:
            process.kill()
            raise AssertionError(f"after {points} it does not come to {point or 'its end'}")
        wanted = -signal.SIGKILL if point else 0
        assert process.exitcode == wanted, f"at {point or 'the end'} it ended with {process.exitcode}, not {wanted}"
    ended: dict[str, Any] = json.loads((folder / "end.json").read_text())
    return ended


def stop_and_go(folder: Path, server: str, point: str) -> list[dict[str, Any]]:
    """How the case ended for the worker that took over from one that was stopped there, and for that one, let go."""
    args = (str(folder), server, point, STOPPED, "tasks", True)
    late = _fork.Process(target=live, args=args, daemon=True)
    late.start()
    pid = int(late.pid or 0)
    until = time.monotonic() + _PATIENCE_S
    while _state(pid) != "T":
        if time.monotonic() > until or not late.is_alive():
            raise AssertionError(f"it did not come to {point}")
        time.sleep(0.02)
    try:
        taken_over = run(folder, server, story=STOPPED)
    finally:
        os.kill(pid, signal.SIGCONT)
    late.join(_PATIENCE_S)
    assert late.exitcode == 0, f"let go, it ended with {late.exitcode}"
    return [taken_over, json.loads((folder / "end.json").read_text())]


def _state(pid: int) -> str:
    """T: stopped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]
    except OSError:
        return ""
