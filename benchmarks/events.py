"""Events taken into inboxes over HTTP, in batches and one by one, beside bare rows inserted or ignored."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from httpx import ASGITransport, AsyncClient
from pydantic import SecretStr

from benchmarks.measure import Cost, Figure, Lap, Report, in_turns
from core.events import BATCH
from core.settings import DatabaseSettings, EngineSettings, Settings, ShopSettings
from engine.arrivals import Arrivals
from engine.intake import Intake
from graphs.returns.kind import KIND
from serving.api.app import make_app
from serving.house import House, open_house, owner
from serving.local import issue_local_token
from tests.support.servers import POSTGRES, answers, fresh_database

_CASES = 200
_AT_ONCE = 250
_AIM = 3000
_BESIDE = "bare rows inserted or ignored, as many in a transaction"

Batch = Sequence[dict[str, Any]]
Insert = Callable[[Batch], None]


async def measured(quick: bool) -> Report:
    report = Report(notes=[f"Numbered events go to {_CASES} open cases; token, JSON, schema and log included."])
    with TemporaryDirectory() as folder:
        await _on(report, "SQLite", Path(folder), "", quick)
    if answers(POSTGRES):
        with TemporaryDirectory() as folder, fresh_database() as url:
            await _on(report, "PostgreSQL", Path(folder), url, quick)
    else:
        report.notes.append("There is no PostgreSQL here: COUNTERSIGN_TEST_POSTGRES names one.")
    return report


async def _on(report: Report, name: str, folder: Path, url: str, quick: bool) -> None:
    many, rounds = (1000, 2) if quick else (5000, 5)
    settings = Settings(
        data=folder,
        engine=EngineSettings(sweep_s=3600, queue_limit=10_000_000),
        database=DatabaseSettings(url=SecretStr(url)),
        shop=ShopSettings(url="http://127.0.0.1:9"),  # nobody asks it
    )
    sources = count(1)
    async with open_house(settings, bell="tasks", role="api") as house:  # nothing runs, nothing is swept
        token = issue_local_token(house.database, settings.data, owner(settings))
        quiet = _without_work(house)
        cases = [await _opened(quiet, number) for number in range(_CASES)]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": BATCH}
        async with AsyncClient(
            transport=ASGITransport(make_app(quiet)), base_url="http://b", headers=headers
        ) as client:
            for at_once, aim in ((_AT_ONCE, _AIM), (1, None)):
                number = many if at_once > 1 else many // 20
                with _bare(folder, url) as insert:
                    ours, floor = await in_turns(
                        rounds,
                        partial(_sent, client, cases, sources, number, at_once),
                        partial(_inserted, insert, cases, sources, number, at_once),
                    )
                figure = Figure(f"an event into an inbox, {at_once} at a time, {name}", ours, _BESIDE, floor, True)
                report.figures.append(replace(figure, aim=f"{aim:,}/s", most_s=1 / aim) if aim else figure)


def _without_work(house: House) -> House:
    """The same house, whose bell is not heard: what comes after the inbox is measured elsewhere."""

    async def unheard(workspace: str, case_id: str) -> None: ...

    arrivals = Arrivals(
        house.database,
        house.stream,
        unheard,
        house.submit,
        {KIND.name: KIND.news},
        gap=timedelta(minutes=1),
        queue_limit=10_000_000,
    )
    intake = Intake(house.database, house.stream, unheard, queue_limit=10_000_000)
    return replace(house, intake=intake, mail=replace(house.mail, arrivals=arrivals))


async def _opened(house: House, number: int) -> str:
    case, _ = await house.submit(owner(house.settings), KIND.name, {"letter": "Hello", "customer_id": f"cus_{number}"})
    return case.id


def _batches(cases: Sequence[str], source: int, many: int, at_once: int) -> list[Batch]:
    scanned = {"order_id": "ord_1", "parcel": "1Z999", "status": "in_transit", "at": "2026-11-22T10:00:00Z"}
    events = [
        {
            "specversion": "1.0",
            "id": f"{source}-{number}",
            "source": f"carrier-{source}",
            "type": "parcel.scanned",
            "subject": cases[number % _CASES],
            "sequence": str(number // _CASES + 1),
            "data": scanned,
        }
        for number in range(many)
    ]
    return [events[start : start + at_once] for start in range(0, many, at_once)]


async def _sent(client: AsyncClient, cases: Sequence[str], sources: Iterator[int], many: int, at_once: int) -> Cost:
    batches = _batches(cases, next(sources), many, at_once)
    bodies = [json.dumps(batch).encode() for batch in batches]
    lap = Lap()
    for body in bodies:
        answer = await client.post("/api/v1/events", content=body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["refused"] == 0, answer.text
    return lap.cost(many)


async def _inserted(insert: Insert, cases: Sequence[str], sources: Iterator[int], many: int, at_once: int) -> Cost:
    batches = _batches(cases, next(sources), many, at_once)
    lap = Lap()
    for batch in batches:
        insert(batch)
    return lap.cost(many)


_TABLE = "CREATE TABLE IF NOT EXISTS bare (source TEXT, event_id TEXT, body TEXT, PRIMARY KEY (source, event_id))"


@contextmanager
def _bare(folder: Path, url: str) -> Iterator[Insert]:
    """Its commits are on disk, as ours are."""

    def rows(batch: Batch) -> list[tuple[str, str, str]]:
        return [(each["source"], each["id"], json.dumps(each)) for each in batch]

    if url:
        with psycopg.connect(url) as server:
            server.execute(_TABLE)
            server.commit()

            def into_server(batch: Batch) -> None:
                words = "INSERT INTO bare VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
                server.cursor().executemany(words, rows(batch))
                server.commit()

            yield into_server
        return
    with closing(sqlite3.connect(folder / "bare.db")) as file:
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("PRAGMA synchronous=FULL")
        file.execute(_TABLE)

        def into_file(batch: Batch) -> None:
            with file:
                file.executemany("INSERT OR IGNORE INTO bare VALUES (?, ?, ?)", rows(batch))

        yield into_file
