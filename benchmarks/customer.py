"""A customer who waits: a case submitted with `Prefer: wait`, settled by rules and a score that is there, 20 a second.

Beside it the same graph on bare LangGraph, called one after the other, without HTTP and with no records.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from benchmarks.cases import Course
from benchmarks.measure import Cost, Figure, Lap, Report
from core.people import HOME
from core.settings import Settings
from graphs.returns.kind import KIND
from graphs.returns.rehearsal import rehearse
from ledger.database import Ledger
from serving.house import House, open_house, owner
from serving.local import issue_local_token
from serving.main import listening, serving
from tools.fulfillment.shop import EmbeddedShop

_PER_S = 20
_AIM_S = 0.1
_RANKS = (("p50", 50), ("p95", 95), ("most", 100))
_STAGES = ("case.opened", "plan.written", "action.judged", "effect.done", "case.closed")


async def measured(quick: bool) -> Report:
    many = 10 if quick else 300
    with TemporaryDirectory() as name:
        course = Course(Path(name), 2 if quick else 40)
        await course.house("tasks")
        floor = await course.bare()
        walls, stages, used, others = await _customers(Path(name) / "live", many)
    ours = Cost(_rank(walls, 95), used / max(len(walls) + others, 1))
    beside = "the same graph on bare LangGraph, alone, no HTTP (mean)"
    spread = " ".join(f"{word} {_rank(walls, percent) * 1000:.0f} ms" for word, percent in _RANKS)
    by_stage = (f"{stage} {_rank(each, 50) * 1000:.0f} / {_rank(each, 95) * 1000:.0f}" for stage, each in stages)
    notes = [
        f"{len(walls)} requests that settled, at {_PER_S}/s, and {others} that wait for people: {spread}.",
        f"By stage, p50 / p95 in ms after it was opened: {', '.join(by_stage)}.",
    ]
    return Report([Figure("submit and wait, p95", ours, beside, floor, aim="under 100 ms", most_s=_AIM_S)], notes)


async def _customers(folder: Path, many: int) -> tuple[list[float], list[tuple[str, list[float]]], float, int]:
    rehearsal = rehearse(11, many * 2, datetime.now(UTC))
    settings = Settings(data=folder)
    async with open_house(settings) as house:
        assert isinstance(house.shop, EmbeddedShop)
        await house.shop.load(rehearsal.records)
        token = issue_local_token(house.database, settings.data, owner(settings))
        with listening("127.0.0.1", 0) as sock:
            async with serving(house, sock) as url:
                headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=30"}
                async with httpx.AsyncClient(base_url=url, headers=headers, timeout=300) as http:
                    payloads = [payload for _, payload in rehearsal.requests]
                    for payload in payloads[:3]:
                        await _asked(http, payload)
                    lap, begun = Lap(), time.perf_counter()
                    asking = []
                    for number, payload in enumerate(payloads[3 : 3 + many]):
                        await asyncio.sleep(max(0.0, begun + number / _PER_S - time.perf_counter()))
                        asking.append(asyncio.create_task(_asked(http, payload)))
                    answers = await asyncio.gather(*asking)
                    cpu = lap.cost(1).cpu
        closed = [(wall, case) for wall, case, status in answers if status == "closed"]
        stages = await _stages(house, [case for _, case in closed])
    return [wall for wall, _ in closed], stages, cpu, len(answers) - len(closed)


async def _asked(http: httpx.AsyncClient, payload: Any) -> tuple[float, str, str]:
    begun = time.perf_counter()
    answer = await http.post("/api/v1/cases", json={"kind": KIND.name, "payload": payload})
    wall = time.perf_counter() - begun
    case = answer.raise_for_status().json()["case"]
    return wall, case["id"], case["status"]


async def _stages(house: House, cases: Sequence[str]) -> list[tuple[str, list[float]]]:
    """When each stage was first written down, in seconds after the case was opened."""

    def look(ledger: Ledger) -> list[tuple[str, list[float]]]:
        found: dict[str, list[float]] = {stage: [] for stage in _STAGES[1:]}
        for case in cases:
            first: dict[str, datetime] = {}
            for row in ledger.trace.of_case(case):
                first.setdefault(row.type, row.at)
            for stage in found:
                if stage in first:
                    found[stage].append((first[stage] - first[_STAGES[0]]).total_seconds())
        return list(found.items())

    return await house.database.read(HOME, look)


def _rank(found: Sequence[float], percent: int) -> float:
    ranked = sorted(found)
    return ranked[-(-len(ranked) * percent // 100) - 1] if ranked else 0.0
