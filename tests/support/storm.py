"""A storm: processes are struck in the middle of their work, again and again, beside a provider that outlives them.

    python -m tests.storms --cases 200 --strikes 10 --database both [--business returns] [--ledger-off]

The provider answers late, and each strike waits for an effect in the air: it falls between an effect and its
record. People decide what waits. In the end the project's own checker judges, the audit chain is followed, and each
case is compared with the oracle.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from core.settings import DatabaseSettings, Settings, ShopSettings
from tests.support.storm_books import Books, Verdict, enrol, judge
from tests.support.storm_business import Business, Due, Till
from tests.support.storm_callers import Callers
from tests.support.storm_crew import Crew, free_port, wait_for
from tests.support.storm_strikes import Field, Strike, kill

_LOOK_S, _SELDOM_S, _MANY = 0.25, 0.5, 1000
"""How often to look how far it is, and how often where there are so many cases that looking costs something."""
TOKEN = "storm"


class Stuck(Exception):
    """The storm did not come to its end in time."""


@dataclass
class Outcome:
    """What a storm left behind."""

    cases: int
    cut_off: list[int]
    """For each strike: effects that had been begun, with nothing told of their end."""
    statuses: dict[str, int]
    verdict: Verdict
    due: Due
    """How it ended, as an oracle for another storm over the same requests."""
    reconciled: int
    """Effects whose end was found out at the provider, or by people, after their worker was gone."""
    by_worker: dict[str, int]
    refused: list[str]
    failed: list[str]
    seconds: float
    said: dict[str, str]
    """What each process said, by its name."""

    @property
    def well(self) -> bool:
        return self.verdict.clean and not self.refused


@dataclass
class Storm:
    cases: int
    strikes: int
    seed: int = 1
    server: str = ""
    """Address of an empty PostgreSQL database; without one, SQLite in a folder and one process."""
    workers: int = 2
    """On PostgreSQL; beside them runs one process that takes requests."""
    odd: Sequence[Mapping[str, str]] = ()
    """Environments of further workers."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What every process of the house is told beside the usual."""
    strike: Strike = kill
    business: Business = field(default_factory=Till)
    due: Due | None = None
    """The oracle, where the business has none of its own."""
    ledger_on: bool = True
    lease_s: float = 1.5
    late_s: float = 0.15
    patience_s: float = 240.0
    keep: bool = False
    tell: Callable[[str], None] = lambda line: None

    def run(self) -> Outcome:
        folder = Path(tempfile.mkdtemp(prefix="storm-"))
        try:
            outcome = asyncio.run(self._run(folder))
        except BaseException:  # however it ends, whoever looks for the reason needs the logs
            self.tell(f"\nlogs are in {folder}")
            raise
        if outcome.well or not self.ledger_on:
            shutil.rmtree(folder)
        else:
            self.tell(f"\nlogs are in {folder}")
        return outcome

    async def _run(self, folder: Path) -> Outcome:
        began = time.monotonic()
        port, shop_port = free_port(), free_port()
        settings = Settings(
            data=folder / "data",
            database=DatabaseSettings(url=SecretStr(self.server)),
            shop=ShopSettings(url=f"http://127.0.0.1:{shop_port}", token=SecretStr(TOKEN)),
        )
        self._books = Books(settings.data / "ledger.db", self.server, folder / "shop.db")
        crew = Crew(folder, self._env(settings, port), commands=self.business.commands)
        tokens = enrol(settings, self.business)
        options = ["--port", str(shop_port), "--data", str(folder / "shop.db")]
        shop = crew.shop(shop_port, [*options, *self.business.prepare(folder, self.cases)], self.cases, self.late_s)
        callers = Callers(f"http://127.0.0.1:{port}", self.business, tokens, folder / "shop.db")
        try:
            wait_for(f"{settings.shop.url}/ok", shop)
            if self.business.commands:
                await self._be_late(settings)
            front = crew.house("api" if self.server else "all")
            for odd in [*[{}] * (self.workers if self.server else 0), *self.odd]:
                crew.house("worker", odd)
            wait_for(f"http://127.0.0.1:{port}/ok", front)
            self._field = Field(crew, self._books, random.Random(self.seed), self.ledger_on, self.lease_s, self.late_s)
            statuses = await self._blow(callers)
            await asyncio.to_thread(crew.dismiss, "all", "api", "worker")
            due = self.due or self.business.due(self.cases)
            verdict = await judge(settings, self.business, self._books, due)
        finally:
            await callers.client.aclose()
            await asyncio.to_thread(crew.dismiss)
        by_worker = dict(self._books.ask("SELECT worker, count(*) FROM run GROUP BY worker ORDER BY worker"))
        return Outcome(
            cases=self.cases,
            cut_off=self._field.cut_off,
            statuses=statuses,
            verdict=verdict,
            due=self._books.outcome(),
            reconciled=self._books.count("SELECT count(*) FROM run WHERE attempts > 1"),
            by_worker=by_worker,
            refused=callers.refused,
            failed=callers.failed,
            seconds=time.monotonic() - began,
            said=crew.said(),
        )

    def _env(self, settings: Settings, port: int) -> dict[str, str]:
        env = {
            "COUNTERSIGN_DATA": str(settings.data),
            "COUNTERSIGN_DATABASE__URL": self.server,
            "COUNTERSIGN_SHOP__URL": settings.shop.url,
            "COUNTERSIGN_SHOP__TOKEN": TOKEN,
            "COUNTERSIGN_SERVER__PORT": str(port),
            "COUNTERSIGN_ENGINE__SWEEP_S": "0.5",
            "COUNTERSIGN_ENGINE__LEASE_S": str(self.lease_s),
        }
        if not self.ledger_on:
            env |= {"COUNTERSIGN_TEST": "1", "COUNTERSIGN_TEST_EFFECTS_LEDGER": "off"}
        return env | dict(self.env)

    async def _be_late(self, settings: Settings) -> None:
        import httpx

        plan = {"seed": self.seed, "rates": {"late": 1.0}, "seconds": self.late_s}
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            (await client.put(f"{settings.shop.url}/faults", json=plan)).raise_for_status()

    async def _blow(self, callers: Callers) -> dict[str, int]:
        work = [
            asyncio.create_task(callers.submit(self.business.requests(self.cases))),
            asyncio.create_task(callers.review(self.business.decided)),
        ]
        strike: asyncio.Task[None] | None = None
        until, statuses = time.monotonic() + self.patience_s, dict[str, int]()
        try:
            while time.monotonic() < until:
                for task in [*work, *([strike] if strike else [])]:
                    if task.done() and task.exception():
                        task.result()
                statuses = await callers.statuses() or statuses
                over = statuses.get("closed", 0) + statuses.get("cancelled", 0)
                struck = len(self._field.cut_off)
                self._progress(over, struck, statuses)
                if over == self.cases:
                    return statuses
                # Strikes spread over the run: each waits until its share of the cases is over.
                due = struck < self.strikes and over >= self.cases * (struck + 0.5) / (self.strikes + 1)
                if due and (strike is None or strike.done()):
                    strike = asyncio.create_task(self._strike())
                await asyncio.sleep(_SELDOM_S if self.cases >= _MANY else _LOOK_S)
            raise Stuck(f"after {self.patience_s:.0f} s: {statuses}, struck {len(self._field.cut_off)} times")
        finally:
            await _cancelled([*work, *([strike] if strike else [])])

    async def _strike(self) -> None:
        await self.strike(self._field)

    def _progress(self, over: int, struck: int, statuses: dict[str, int]) -> None:
        self.tell(
            f"\r{over:,} of {self.cases:,} over, struck {struck} of {self.strikes}, "
            f"{sum(self._field.cut_off):,} effects cut off {statuses}   "
        )


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):  # told already, or cut off on purpose
            await task
