"""The stage on which the guarantee is attacked: a house with a till, and an oracle that is told of every change.

Real seconds are short here: sleeping goes fifty times as fast, and nobody waits for a clock that only the test moves.
"""

from __future__ import annotations

import asyncio
import json
import re
import selectors
import shutil
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from core.errors import CountersignError
from core.people import Person
from core.settings import EngineSettings
from core.states import Desired
from engine.decisions import Choice, Decided, Decision
from ledger import guards
from ledger.database import Ledger, sqlite_database
from ledger.tables import SYSTEM, ReviewRow
from policies.problems import PolicyRefused
from tests.support.crashes import Crashes
from tests.support.folders import quick_folder
from tests.support.oracle import Oracle
from tests.support.reckoning import Ticking, read_book
from tests.support.script import Turn
from tests.support.till import PEOPLE, Till, open_till
from tests.support.till_kind import BOOK

T = TypeVar("T")

HURRY = 50
PATIENCE_S = 20
"""How long somebody may wait for another one before the sweeper comes by: 0.4 s of real time."""
ENGINE = EngineSettings(sweep_s=3600, lease_s=1)
STAFF = {name: frozenset(roles) for name, roles in PEOPLE.items()} | {"sue": frozenset({"clerk", "boss", "operator"})}
"""Sue opens cases, and is asked of others."""


class _Hurried(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        return super().select(None if timeout is None else timeout / HURRY)


class Loop(asyncio.SelectorEventLoop):
    """A loop whose seconds are a fiftieth of a second."""

    def __init__(self) -> None:
        super().__init__(_Hurried())
        self.set_exception_handler(lambda _loop, _context: None)  # workers die here; what came of it is looked at

    def time(self) -> float:
        return super().time() * HURRY


def play(story: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(story)


@cache
def _prepared() -> Path:
    """An empty ledger and two accounts, made once in a process."""

    async def make(folder: Path) -> None:
        async with open_till(folder, sealed=False):  # the oracle reads rows as they lie
            pass

    folder = _SCRATCH.enter_context(quick_folder()) / "house"
    play(make(folder))
    return folder


_SCRATCH = ExitStack()


@contextmanager
def empty_house(*, guarded: bool = True) -> Iterator[Path]:
    """A data folder with an empty ledger and two accounts; its database guards runs by itself, or not."""
    with quick_folder() as scratch:
        folder = Path(shutil.copytree(_prepared(), scratch / "house"))
        if not guarded:
            ledger = sqlite_database(folder / "ledger.db")
            with ledger.engine.begin() as connection:
                guards.remove(connection)
            ledger.close()
        yield folder


class Stage:
    """A till that can be closed, killed and opened again, and what everybody may do to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Ticking()
        self.oracle = Oracle(folder, self.clock)
        self.crashes = Crashes()
        self.staff = dict(STAFF)
        """Who is there now, with which roles."""
        self.text = BOOK.read_text()
        self.cases: list[str] = []
        self._version = 1
        self._book = folder.parent / "till.yaml"
        self._doors: AsyncExitStack
        self.till: Till
        now = self.clock.now()
        for account in ("acc_1", "acc_2"):
            self.oracle.balance(account, 100_000, now, now)

    # opening and closing

    async def open(self) -> None:
        """The policy is the one that was in force; the people are those of the till until it is told who is there."""
        self._book.write_text(self.text)
        self.oracle.policy(self.text)
        self.oracle.people({**self.staff, **{name: frozenset(roles) for name, roles in PEOPLE.items()}})
        self._doors = AsyncExitStack()
        kind = replace(self.crashes.kind(), book=self._book)
        opened = open_till(self.folder, clock=self.clock, kind=kind, engine=ENGINE, sealed=False)
        self.till = await self._doors.enter_async_context(opened)
        for name, roles in self.staff.items():
            await self._write_person(name, roles)
        self.oracle.people(self.staff)
        await self.calm()

    async def close(self) -> None:
        await self._doors.aclose()

    async def kill(self) -> None:
        """Nobody gets to finish anything."""
        others = self._others()
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.close()

    async def reopen(self) -> None:
        await self.kill()
        await self.open()

    async def lose_power(self, scripts: Mapping[str, Sequence[Turn]]) -> None:
        """The checkpoints are gone, what was on disk in the ledger is not. What models say then is in `scripts`."""
        await self.kill()
        for file in self.folder.glob("checkpoints.db*"):
            file.unlink()
        for case, script in scripts.items():
            self._rewrite(case, script)
        await self.open()

    def _others(self) -> set[asyncio.Task[Any]]:
        """Whatever runs, but for this and what the house does for ever."""
        house = self.till.house
        for_ever = {*house._background, *house.mail._at_work, *house.runs._chores}
        return asyncio.all_tasks() - {asyncio.current_task()} - for_ever

    async def calm(self) -> None:
        """Until nothing moves by itself. Who waits for a dead worker waits in the house's time, and is helped by its
        sweeper."""
        while others := self._others():
            _, waiting = await asyncio.wait(others, timeout=PATIENCE_S)
            if waiting:
                self.clock.advance(timedelta(seconds=2 * PATIENCE_S))
                await self.till.house.sweeper.sweep()

    async def steady(self) -> None:
        """Until each case has ended or waits for somebody, whoever died on the way."""
        for _ in range(40):
            await self.calm()
            if not await self.till.read(lambda ledger: ledger.cases.moving()):
                return
            await self.till.house.sweeper.sweep()

    async def until(self, case: str, entry: str, times: int) -> None:
        """Until the case's log has so many of these, or nothing moves any more."""
        while (others := self._others()) and len(await self.till.trace(case, entry)) < times:
            await asyncio.wait(others, timeout=0.1)

    # agents

    async def submit(self, *script: Turn, customer: str = "cus_1", opener: str = "ops", wait: bool = True) -> str:
        payload = {"customer": customer, "script": list(script)}
        roles = self.staff.get(opener, frozenset()) | {"operator"}
        case, _ = await self.till.house.submit(Person(id=opener, roles=roles), "till", payload)
        self.cases.append(case.id)
        if wait:
            await self.calm()
        return case.id

    def _rewrite(self, case: str, script: Sequence[Turn]) -> None:
        with closing(sqlite3.connect(self.folder / "ledger.db")) as db:
            change = """UPDATE "case" SET payload = json_set(payload, '$.script', json(?)) WHERE id = ?"""
            db.execute(change, (json.dumps(script), case))
            db.commit()

    # people

    async def waiting(self, case: str = "") -> list[ReviewRow]:
        """Open questions, in an order that does not depend on their random names."""

        def find(ledger: Ledger) -> list[ReviewRow]:
            cases = [case] if case else self.cases
            found = [row for each in cases for row in ledger.reviews.of_case(each, only_open=True)]
            steps = {row.id: ledger.effects.action(row.action_id).step_key for row in found}
            return sorted(found, key=lambda row: (row.opened_at, steps[row.id]))

        rows: list[ReviewRow] = await self.till.read(find)
        return rows

    def person(self, name: str) -> Person:
        return Person(id=name, roles=self.staff.get(name, frozenset()))

    async def vote(
        self, name: str, review: str, choice: str = "approve", *, key: str | None = None, wait: bool = True, **more: Any
    ) -> Decided:
        """As somebody who has looked at it now, if not told otherwise. Raises what the desk says."""
        seen = more.pop("seen", None) or await self.till.seen(review)
        code = "wrong" if choice == "reject" else ""
        decision = Decision(choice=Choice(choice), seen=seen, reason_code=code, **more)
        decided = await self.till.house.desk.decide(self.person(name), review, decision, key)
        if wait:
            await self.calm()
        return decided

    async def attempt(self, name: str, case: str, choice: str = "approve", **more: Any) -> bool:
        """Votes on whatever waits in the case, if it is let to. True if a vote was cast."""
        cast = False
        for review in await self.waiting(case):
            with suppress(CountersignError):
                await self.vote(name, review.id, choice, **more)
                cast = True
        return cast

    async def everybody(self, case: str, *names: str) -> None:
        for name in names:
            await self.attempt(name, case)

    async def set_roles(self, name: str, *roles: str) -> None:
        self.staff = {**self.staff, name: frozenset(roles)}
        self.oracle.people(self.staff)
        await self._write_person(name, self.staff[name])

    async def leave(self, name: str) -> None:
        self.staff = {each: roles for each, roles in self.staff.items() if each != name}
        self.oracle.people(self.staff)

        def go(ledger: Ledger) -> None:
            row = ledger.people.get("default", name)
            row.active = False
            ledger.session.add(row)

        with suppress(CountersignError):  # who has left already
            await self.till.house.database.write("default", go)

    async def _write_person(self, name: str, roles: frozenset[str]) -> None:
        await self.till.house.database.write(SYSTEM, lambda ledger: ledger.people.add("default", name, roles) and None)

    async def want(self, case: str, desired: Desired) -> None:
        """Raises `Conflict` for a case that has ended."""
        before = self.clock.now()
        await self.till.house.intake.want(self.person("ops"), case, desired)
        self.oracle.wish(case, desired.value, before)
        await self.calm()

    # the world

    async def set_balance(self, account: str, amount: str) -> None:
        before = self.clock.now()
        await self.till.set_balance(amount, account)
        minor = int(amount.replace(".", ""))
        self.oracle.balance(account, minor, before, self.clock.now())

    def change_policy(self, old: str, new: str) -> bool:
        """Another version comes into force. False if the old text is not there, or the new version does not load."""
        changed = self.text.replace(old, new)
        text = re.sub(r'^version: "\d+"', f'version: "{self._version + 1}"', changed, flags=re.MULTILINE)
        try:
            book = read_book(text) if changed != self.text else None
        except PolicyRefused:
            book = None
        if book is None:
            return False
        self.text, self._version = text, self._version + 1
        self.oracle.policy(text)
        self.till.house.judge.replace("till", book)
        return True

    async def later(self, **by: float) -> None:
        self.clock.advance(timedelta(**by))
        await self.till.house.sweeper.sweep()
        await self.calm()

    def check(self) -> None:
        self.oracle.check()


@asynccontextmanager
async def on_stage(folder: Path) -> AsyncIterator[Stage]:
    """Opened, and looked at once more as a whole when all is over."""
    stage = Stage(folder)
    await stage.open()
    try:
        yield stage
        await stage.steady()
        stage.oracle.check_again()
    finally:
        await stage.close()
