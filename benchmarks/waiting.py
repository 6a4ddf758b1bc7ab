"""Many cases that wait for people, in a folder and on PostgreSQL, beside a house that has none.

One case is really run until it waits; its rows are copied, with ids of their own, by one statement for each table.
What is measured runs in a fresh process: until the house is ready, its memory and threads, a sweep, and how soon an
effect begins after its approval, among all the others.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import SecretStr
from sqlalchemy import text

from benchmarks.measure import Cost, Figure, Lap, Report, middle
from benchmarks.processes import ROOT, Processes
from core.clock import SystemClock
from core.money import Money
from core.people import HOME, Person
from core.settings import DatabaseSettings, EngineSettings, Settings
from engine.decisions import Choice, Decision
from graphs.catalog import kinds
from ledger.database import Database, Ledger, sqlite_database
from ledger.server import server_database
from ledger.tables import SYSTEM
from serving.house import House, open_house
from tests.support.script import ScriptedModel
from tests.support.servers import POSTGRES, answers, fresh_database
from tests.support.till_kind import KIND
from tools.fulfillment.shop import EmbeddedShop

_CLIENT = Person(id="ops", workspace=HOME, roles=frozenset({"operator"}))
_REVIEWER = Person(id="ann", workspace=HOME, roles=frozenset({"clerk"}))
_LAUNCH_S, _LAUNCH_MB = 5.0, 150.0

_COPIED = {
    # Of each table: what is another value in a copy, n being its number. Every other column is as in the original.
    "case": {"id": "id || '_' || n", "subject": "subject || '_' || n"},
    "inbox": {"case_id": "case_id || '_' || n", "event_id": "event_id || '_' || n", "id": ""},
    "action": {"id": "substr(id, 1, 57) || n", "case_id": "case_id || '_' || n"},
    "decision": {"action_id": "substr(action_id, 1, 57) || n", "id": ""},
    "review": {
        "id": "id || '_' || n",
        "case_id": "case_id || '_' || n",
        "action_id": "substr(action_id, 1, 57) || n",
    },
    "timer": {"id": "id || '_' || n", "case_id": "case_id || '_' || n", "review_id": "review_id || '_' || n"},
    "trace": {"case_id": "case_id || '_' || n", "seq": ""},
    "cost": {"case_id": "case_id || '_' || n", "key": "key || '_' || n", "id": ""},
}


def _settings(folder: Path, url: str) -> Settings:
    return Settings(
        data=folder,
        database=DatabaseSettings(url=SecretStr(url)),
        engine=EngineSettings(sweep_s=3600, queue_limit=1_000_000),
    )


def _payload(number: int) -> dict[str, Any]:
    """Everybody has an account of their own: facts of one case don't move while another is approved."""
    paid = {"account_id": f"acc_{number}", "amount": Money.of("150.00", "USD").model_dump()}
    return {"customer": f"cus_{number}", "script": [[{"tool": "gift.pay", "args": paid}]], "loop": False}


async def _run_until_waiting(house: House, many: int) -> list[str]:
    """Ids of cases that wait for an approval."""

    def add(ledger: Ledger) -> None:
        for each in (_CLIENT, _REVIEWER):
            ledger.people.add(HOME, each.id, each.roles)

    await house.database.write(SYSTEM, add)
    assert isinstance(house.shop, EmbeddedShop)
    first = time.time_ns() // 1_000_000  # others than in the rounds before: policy counts what a customer got
    numbers = range(first, first + many)
    balance = Money.of("1000.00", "USD").model_dump()
    await house.shop.load({"accounts": [{"account_id": f"acc_{n}", "balance": balance} for n in numbers]})
    cases = [(await house.submit(_CLIENT, KIND.name, _payload(n)))[0].id for n in numbers]
    await house.settled(HOME, set(cases))
    return cases


async def _fill(settings: Settings, waiting: int) -> None:
    """A house's records, with so many cases that wait."""
    async with open_house(settings, bell="tasks", kinds={KIND.name: KIND}, model=ScriptedModel()) as house:
        (case,) = await _run_until_waiting(house, 1)
    url = settings.database.url.get_secret_value()
    database = server_database(url, SystemClock()) if url else sqlite_database(settings.data / "ledger.db")
    try:
        _copy(database, case, waiting - 1)
    finally:
        database.close()


def _copy(database: Database, case: str, many: int) -> None:
    numbers = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :many)"
    with database.engine.connect() as connection:
        for table, changed in _COPIED.items() if many else ():
            found = connection.execute(text(f'SELECT * FROM "{table}" LIMIT 0'))
            columns = [name for name in found.keys() if changed.get(name, name)]  # noqa: SIM118 - no mapping
            quoted = ", ".join(f'"{name}"' for name in columns)
            values = ", ".join(changed.get(name, f'"{name}"') for name in columns)
            which = "id" if table == "case" else "case_id"
            if table == "decision":
                which = "(SELECT case_id FROM action WHERE action.id = decision.action_id)"
            copied = f'SELECT {values} FROM numbers, "{table}" WHERE {which} = :case'
            into = f'INSERT INTO "{table}" ({quoted}) {numbers} {copied}'
            connection.execute(text(into), {"many": many, "case": case})
        connection.commit()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))  # as a server does by itself


# in a process of its own


async def _probe(settings: Settings, approvals: int, begun: float) -> dict[str, Any]:
    import serving.main  # noqa: F401 - the API's libraries are part of a server's memory

    imported, used_before = time.time() - begun, time.process_time()
    kinds()  # so are those of all kinds
    async with open_house(settings, kinds={KIND.name: KIND}, model=ScriptedModel()) as house:
        ready, used = time.time() - begun, time.process_time()
        gc.collect()
        said: dict[str, Any] = {
            "imported_s": imported,
            "ready_s": ready,
            "ready_cpu_s": used,
            "open_cpu_s": used - used_before,
            "rss_mb": _rss_mb(),
            "threads": _threads(),
        }
        await house.sweeper.sweep()  # the first one does more: it looks into what was left behind
        lap = Lap()
        for _ in range(5):
            await house.sweeper.sweep()
        sweep = lap.cost(5)
        cases = await _run_until_waiting(house, approvals)
        lap = Lap()
        latencies = [await _approved(house, case) for case in cases]
        cost = lap.cost(approvals)
        said |= {"sweep": sweep, "latencies": latencies, "approved": cost}
        return said | {"rss_after_mb": _rss_mb(), "threads_after": _threads()}


async def _approved(house: House, case_id: str) -> float:
    """Seconds from the approval until its effect was reserved, with everything in between."""

    def look(ledger: Ledger) -> tuple[str, str, str]:
        (review,) = ledger.reviews.of_case(case_id, only_open=True)
        action = ledger.effects.action(review.action_id)
        return review.id, action.id, ledger.reviews.saw(review, action.args)

    review, action, seen = await house.database.read(HOME, look)
    begun = house.database.clock.now()
    await house.desk.decide(_REVIEWER, review, Decision(choice=Choice.APPROVE, seen=seen), None)
    await house.settled(HOME, {case_id})
    run = await house.database.read(HOME, lambda ledger: ledger.effects.run(action))
    assert run is not None, "nothing came of an approval"
    return (run.started_at - begun).total_seconds()


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _measured(folder: Path, settings: Settings, approvals: int) -> dict[str, Any]:
    out = folder / "probe.json"
    url = settings.database.url.get_secret_value()
    arguments = [str(settings.data), url, str(approvals), str(time.time()), str(out)]
    Processes(folder).whole(["-m", "benchmarks.waiting", *arguments], cwd=ROOT)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


# the figures


async def measured(quick: bool) -> Report:
    waiting, approvals, rounds = (2_000, 5, 1) if quick else (100_000, 40, 3)
    report = Report()
    with TemporaryDirectory() as name:
        await _side(report, Path(name), "in a folder", ("", ""), waiting, approvals, rounds, 0.5)
    if answers(POSTGRES):
        with TemporaryDirectory() as name, ExitStack() as servers:
            urls = (servers.enter_context(fresh_database()), servers.enter_context(fresh_database()))
            await _side(report, Path(name), "on PostgreSQL", urls, waiting, approvals, rounds, 1.0)
    return report


async def _side(
    report: Report,
    folder: Path,
    where: str,
    urls: tuple[str, str],
    waiting: int,
    approvals: int,
    rounds: int,
    latency_s: float,
) -> None:
    full, empty = _settings(folder / "full", urls[0]), _settings(folder / "empty", urls[1])
    await _fill(full, waiting)
    await _fill(empty, 1)
    _measured(folder, empty, 1)  # compiles its bytecode
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (_measured(folder, full, approvals), _measured(folder, empty, approvals)) for _ in range(rounds)
    ]
    cases, beside = f"{waiting:,} cases wait {where}", "the same house with 1"

    def add(what: str, pick: Any, most_s: float | None = None) -> None:
        ours, floor = (middle([pick(row[side]) for row in rows]) for side in (0, 1))
        aim = f"under {most_s:g} s" if most_s else ""
        report.figures.append(Figure(f"{cases}: {what}", ours, beside, floor, aim=aim, most_s=most_s))

    add("the house opens, after its imports", lambda row: Cost(row["ready_s"] - row["imported_s"], row["open_cpu_s"]))
    add("from the process's start until ready", lambda row: Cost(row["ready_s"], row["ready_cpu_s"]), _LAUNCH_S)
    add("a sweep", lambda row: Cost(*row["sweep"]))
    add(
        "approved, until its effect begins, p95",
        lambda row: Cost(_p95(row["latencies"]), row["approved"][1]),
        latency_s,
    )
    (ours, floor) = ([row[side] for row in rows] for side in (0, 1))
    memory, later = ([_mid(side, name) for side in (ours, floor)] for name in ("rss_mb", "rss_after_mb"))
    threads, at_last = ([_mid(side, name) for side in (ours, floor)] for name in ("threads", "threads_after"))
    report.notes.append(
        f"{cases}: {memory[0]:.0f} MB after launch and {later[0]:.0f} MB after {approvals} approvals "
        f"({memory[1]:.0f} and {later[1]:.0f} MB with 1): {memory[0] - memory[1]:+.0f} MB, aim under {_LAUNCH_MB:.0f}. "
        f"{threads[0]:.0f} threads, then {at_last[0]:.0f} ({threads[1]:.0f} and {at_last[1]:.0f} with 1). "
        f"Of the launch, {_mid(ours, 'imported_s'):.1f} s are imports."
    )


def _p95(latencies: list[float]) -> float:
    return quantiles(latencies, n=20)[-1] if len(latencies) > 1 else latencies[0]


def _mid(rows: list[dict[str, Any]], name: str) -> float:
    return sorted(float(row[name]) for row in rows)[len(rows) // 2]


if __name__ == "__main__":
    data, url, approvals, begun, out = sys.argv[1:]
    found = asyncio.run(_probe(_settings(Path(data), url), int(approvals), float(begun)))
    Path(out).write_text(json.dumps(found))
