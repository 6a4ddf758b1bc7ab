"""Threads and runs: the same trivial graph and the same stock client, against `langgraph dev` and a bare server.

Each server is a process of its own, and they are measured one after the other, round by round.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from benchmarks.measure import Cost, Figure, Report
from benchmarks.rivals import thread_servers
from benchmarks.rivals.thread_servers import Server

_CLIENTS = 32
_CPU_S, _FIRST_S, _RESUME_S = 0.008, 0.030, 0.050
_PAUSE_S = 0.05
"""Between two runs of a server that is idle."""


@dataclass
class Taken:
    """Of one server, one value for each round."""

    memory_mb: float = 0.0
    wall: list[float] = field(default_factory=list)
    """Seconds for a run, with so many clients waiting at a time."""
    cpu: list[float] = field(default_factory=list)
    """Seconds of the server's processor for a run."""
    first: list[float] = field(default_factory=list)
    resume: list[float] = field(default_factory=list)


async def measured(quick: bool) -> Report:
    rounds, each = (1, 2) if quick else (3, 10)
    makers: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {
        "ours": thread_servers.ours,
        "langgraph dev": thread_servers.rival,
        "bare": thread_servers.floor,
    }
    taken: dict[str, Taken] = {}
    notes: list[str] = []
    with TemporaryDirectory() as folder, ExitStack() as stack:
        servers: dict[str, Server] = {}
        for name, make in makers.items():
            try:
                servers[name] = stack.enter_context(make(Path(folder) / name.replace(" ", "-")))
            except RuntimeError as error:
                notes.append(f"{name} is not in the table: {error}")
        for name, server in servers.items():
            taken[name] = Taken(memory_mb=server.memory_mb())
            await _round(server, Taken(), 1)  # it warms up
        for _ in range(rounds):
            for name, server in servers.items():
                await _round(server, taken[name], each)
    return Report(_figures(taken), [*notes, *_memory(taken)])


async def _round(server: Server, taken: Taken, each: int) -> None:
    client = get_client(url=server.url, api_key=server.token, timeout=120)
    threads = [(await client.threads.create())["thread_id"] for _ in range(_CLIENTS)]

    async def waits(thread: str) -> None:
        for _ in range(each):
            await client.runs.wait(thread, "trivial", input={"number": 1})

    cpu, begun = server.cpu(), time.perf_counter()
    await asyncio.gather(*(waits(thread) for thread in threads))
    taken.wall.append((time.perf_counter() - begun) / (each * _CLIENTS))
    taken.cpu.append((server.cpu() - cpu) / (each * _CLIENTS))
    for number in range(each):
        await asyncio.sleep(_PAUSE_S)
        taken.first.append(await _first(client, threads[number]))
    for _ in range(each):
        await asyncio.sleep(_PAUSE_S)
        taken.resume.append(await _resume(client))


async def _first(client: LangGraphClient, thread: str) -> float:
    """Until the first event."""
    begun, first = time.perf_counter(), 0.0
    async for _ in client.runs.stream(thread, "trivial", input={"number": 1}):
        first = first or time.perf_counter() - begun
    return first


async def _resume(client: LangGraphClient) -> float:
    """From an answer until the graph that asked is at its end."""
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "asks", input={"number": 1})
    begun = time.perf_counter()
    await client.runs.wait(thread, "asks", command={"resume": "yes"})
    return time.perf_counter() - begun


def _figures(taken: dict[str, Taken]) -> list[Figure]:
    mine = taken["ours"]
    return [figure for beside in taken if beside != "ours" for figure in _beside(mine, taken[beside], beside)]


def _beside(mine: Taken, other: Taken, name: str) -> Iterator[Figure]:
    rival = name != "bare"

    def cost(wall: list[float], cpu: list[float] | None = None) -> Cost:
        return Cost(median(wall), median(cpu) if cpu else 0.0)

    yield Figure(
        f"runs, {_CLIENTS} clients waiting",
        cost(mine.wall, mine.cpu),
        name,
        cost(other.wall, other.cpu),
        per_second=True,
        aim=f"twice its runs/s{_done(2 * median(mine.wall) <= median(other.wall))}" if rival else "",
    )
    cpu = median(mine.cpu)
    met = cpu <= _CPU_S and (not rival or cpu < median(other.cpu))
    yield Figure(
        "the server's CPU for a run",
        Cost(cpu, cpu),
        name,
        Cost(median(other.cpu), median(other.cpu)),
        aim=f"at most 8 ms, and below the rival's{_done(met)}" if rival else "",
    )
    yield Figure("first event, idle, p50", cost(mine.first), name, cost(other.first), aim="30 ms", most_s=_FIRST_S)
    yield Figure(
        "resume after an answer, p50", cost(mine.resume), name, cost(other.resume), aim="50 ms", most_s=_RESUME_S
    )


def _done(met: bool) -> str:
    return ": met" if met else ": missed"


def _memory(taken: dict[str, Taken]) -> list[str]:
    return ["Idle memory: " + ", ".join(f"{name} {one.memory_mb:.0f} MB" for name, one in taken.items()) + "."]
