"""A wire between the house and its PostgreSQL server that a test cuts at the n-th thing said over it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_ASKS = (b"Q", b"S")
"""Messages of a client that the server answers: a simple query, and the end of a prepared one."""


@dataclass
class Wire:
    """Counts what clients ask. `cut_at` is the number at which every connection is lost, once.

    With `after`, the server hears that one and does it, and only its answer is lost.
    """

    url: str
    said: int = 0
    commits: list[int] = field(default_factory=list)
    """The numbers of what asked for a commit."""
    cut_at: int = 0
    after: bool = False
    down: bool = False
    """It takes nobody at all."""
    cuts: int = 0
    _open: list[asyncio.StreamWriter] = field(default_factory=list)

    def begin(self, cut_at: int = 0, *, after: bool = False) -> None:
        self.said, self.commits, self.cut_at, self.after = 0, [], cut_at, after

    def heard(self, kind: bytes, body: bytes) -> bool:
        """Whether the wire is to be cut here."""
        if kind in _ASKS:
            self.said += 1
            if kind == b"Q" and body.startswith(b"COMMIT"):
                self.commits.append(self.said)
            return self.said == self.cut_at
        return False

    def cut(self) -> None:
        self.cuts += 1
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        if self.down:
            back.transport.abort()
            return
        where = urlsplit(self.url)
        server, forth = await asyncio.open_connection(where.hostname, where.port)
        self._open += [back, forth]
        answers = asyncio.create_task(self._answers(server, back))
        with suppress(OSError, asyncio.IncompleteReadError):
            while (size := await client.readexactly(4)) == b"\0\0\0\x08":  # no letter: asks to be encrypted
                await client.readexactly(4)
                back.write(b"N")
            forth.write(size + await client.readexactly(int.from_bytes(size) - 4))
            while True:
                head = await client.readexactly(5)
                body = await client.readexactly(int.from_bytes(head[1:]) - 4)
                last = self.heard(head[:1], body)
                if last and not self.after:
                    break
                if last:
                    answers.cancel()
                forth.write(head + body)
                await forth.drain()
                if last:
                    await server.read(1)  # done, and nobody was told
                    break
            else:
                return
            self.cut()
        answers.cancel()
        for writer in (back, forth):
            writer.transport.abort()

    async def _answers(self, server: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while some := await server.read(65536):
                back.write(some)
                await back.drain()
        back.transport.abort()


@contextmanager
def wired(url: str) -> Iterator[tuple[Wire, str]]:
    """The wire, and the address at its near end. It has a thread and a loop of its own: the house blocks, too."""
    wire, loop, ready, found = Wire(url), asyncio.new_event_loop(), threading.Event(), list[int]()

    async def listen() -> None:
        server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
        found.append(server.sockets[0].getsockname()[1])
        ready.set()

    def run() -> None:
        loop.run_until_complete(listen())
        loop.run_forever()
        wire.cut()
        while left := asyncio.all_tasks(loop):
            loop.run_until_complete(asyncio.wait(left, timeout=1))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait()
    where = urlsplit(url)
    user = f"{where.username}@" if where.username else ""
    try:
        yield wire, where._replace(netloc=f"{user}127.0.0.1:{found[0]}").geturl()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
