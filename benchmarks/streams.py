"""Open event streams: what they take of the server's memory, and how soon all of them hear of something."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.measure import Cost, Figure, Report
from benchmarks.processes import ROOT, free_port

_MANY, _MOST = 1_000, 10_000
_MB = 1024
"""KiB."""
_TOGETHER = 200
"""Connections that are opened at a time."""


@dataclass(frozen=True)
class _Server:
    url: str
    pid: int
    token: str

    def memory(self) -> int:
        """Resident, in KiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def cpu(self) -> float:
        """Seconds so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[_Server]:
    port = free_port()
    known = {"COUNTERSIGN_DATA": str(folder), "COUNTERSIGN_STREAMS__OF_PERSON": "100000", "PYTHONPATH": str(ROOT)}
    known |= {"COUNTERSIGN_STREAMS__OPEN": "100000", "COUNTERSIGN_AUTH__REQUESTS_PER_S": "0"}
    env = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")} | known
    command = [sys.executable, "-m", "core.console", "up", "--port", str(port)]
    quiet = subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, env=env, cwd=folder, stdout=quiet, stderr=quiet)
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient() as http, asyncio.timeout(60):
            while True:
                try:
                    if (await http.get(f"{url}/ok")).status_code == 200:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        yield _Server(url, process.pid, (folder / "local-token").read_text().strip())
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


class _Readers:
    """Streams of the whole log, each on a connection of its own."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.refused = 0

    async def up_to(self, many: int) -> None:
        while len(self.open) + self.refused < many:
            left = min(_TOGETHER, many - len(self.open) - self.refused)
            await asyncio.gather(*(self._one() for _ in range(left)))

    async def _one(self) -> None:
        host, port = self._server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=65536)
        head = (
            f"GET /api/v1/events HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {self._server.token}\r\n\r\n"
        )
        writer.write(head.encode())
        if b" 200 " not in await reader.readline():
            self.refused += 1
            writer.close()
            return
        await reader.readuntil(b"event: replayed")
        await reader.readuntil(b"\r\n\r\n")
        self.open.append((reader, writer))

    async def heard(self, word: bytes) -> None:
        await asyncio.gather(*(reader.readuntil(word) for reader, _ in self.open))

    def close(self) -> None:
        for _, writer in self.open:
            writer.transport.abort()


async def _news(server: _Server, readers: _Readers) -> Cost:
    """From a case that is opened until every reader has heard of it."""
    headers = {"Authorization": f"Bearer {server.token}"}
    change = {"do": "people.grant", "change": {"person": "nobody", "roles": ["viewer"], "note": ""}}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as http:
        begun, used = time.perf_counter(), server.cpu()
        sent = asyncio.create_task(http.post("/api/v1/cases", json={"kind": "governance", "payload": change}))
        await readers.heard(b"event: case.opened")
        cost = Cost(time.perf_counter() - begun, server.cpu() - used)
        (await sent).raise_for_status()
    return cost


async def measured(quick: bool) -> Report:
    many, most = (20, 50) if quick else (_MANY, _MOST)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))  # the server inherits it
    with TemporaryDirectory() as name:
        async with _server(Path(name)) as server:
            readers = _Readers(server)
            alone = server.memory()
            one = _Readers(server)
            await one.up_to(1)
            floor = await _news(server, one)
            one.close()
            await readers.up_to(many)
            held = server.memory()
            told = await _news(server, readers)
            notes = [
                f"The server takes {alone / _MB:.0f} MB idle and {held / _MB:.0f} MB with {many:,} open streams "
                f"(aim: 200 MB), {(held - alone) / many:.0f} KiB for each."
            ]
            begun = time.perf_counter()
            await readers.up_to(most)
            opening = time.perf_counter() - begun
            much, all_told = server.memory(), await _news(server, readers)
            notes.append(
                f"{len(readers.open):,} streams open ({readers.refused:,} refused), the last ones in {opening:.0f} s: "
                f"{much / _MB:.0f} MB; all have heard of a case after {all_told.wall:.2f} s."
            )
            readers.close()
    return Report([Figure(f"news to {many:,} open streams", told, "news to one", floor)], notes)
