"""The processes. `countersign up` is all of them in one; `api` and `worker` are one each, over a server's database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import click
import uvicorn

from core import redaction
from core.errors import LeaseLost, SetupError
from core.settings import Settings, load_settings
from serving.api.app import make_app
from serving.auth.safety import require_safe
from serving.auth.tls import listening_options, tls
from serving.house import House, Role, open_house, owner
from serving.local import ADDRESS, issue_local_token, write_private
from serving.mcp import door as mcp_door

_NOWHERE = "localhost"
"""Where a process listens that has no door."""


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket, so that a port in use is told before anything else starts. Raises `SetupError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # a reader who takes nothing does not hold its socket for ever
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TAKES_NOTHING_MS)
    try:
        sock.bind((host, port))
        sock.listen(512)
    except OSError as error:
        sock.close()
        raise SetupError(
            f"Can't listen on {host}:{port}: {error.strerror}.",
            hint="Stop what uses the port, or choose another with --port or COUNTERSIGN_SERVER__PORT.",
        ) from error
    with contextlib.closing(sock):
        yield sock


_TAKES_NOTHING_MS = 120_000
_KEEP_ALIVE_S = 75
"""An idle connection lives longer here than with clients (httpx: 5 s), or a request could meet one that closes."""


@asynccontextmanager
async def serving(house: House, sock: socket.socket) -> AsyncIterator[str]:
    """Serves the API of a house on a bound socket. Yields its address."""
    app = make_app(house)
    app.include_router(mcp_door.router)
    context = tls(house.settings.server)
    options = listening_options(house.settings.server, context)
    options["timeout_keep_alive"] = _KEEP_ALIVE_S
    config = uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False, **options)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve([sock]))
    host, port = sock.getsockname()[:2]
    scheme = "http" if context is None else "https"
    address = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    write_private(house.settings.data / ADDRESS, address)
    try:
        async with mcp_door.opened(app):
            yield address
    finally:
        server.should_exit = True
        server.force_exit = True  # open event streams are resumable: their readers come back
        await task
        with contextlib.suppress(OSError):
            if (house.settings.data / ADDRESS).read_text() == address:  # not that of another one over the same folder
                (house.settings.data / ADDRESS).unlink()


async def run(settings: Settings, sock: socket.socket, role: Role = "all") -> None:
    """Serves until SIGINT or SIGTERM."""
    async with stopping() as stop, open_house(settings, ledger_on=effects_ledger_on(), role=role) as house:
        issue_local_token(house.database, settings.data, owner(settings), shared=role != "all")
        async with serving(house, sock) as address:
            if role == "all":
                click.echo(f"Countersign is up at {address} (data in {settings.data}). Stop it with Ctrl+C.")
                click.echo(f"Decide with: {_where(settings)}countersign desk")
            else:
                click.echo(f"The API is up at {address}. Stop it with Ctrl+C.")
            await _until(stop, house)
            click.echo("Stopping: running segments end, the rest goes on at the next start.")


async def labour(settings: Settings) -> None:
    """Runs segments until SIGINT or SIGTERM."""
    async with stopping() as stop:
        async with open_house(settings, ledger_on=effects_ledger_on(), role="worker") as house:
            click.echo(f"Worker {house.worker} is ready. Stop it with Ctrl+C.")
            await _until(stop, house)
            click.echo("Stopping: running segments end, other workers go on with the rest.")
        click.echo(f"Worker {house.worker} has stopped.")


@asynccontextmanager
async def stopping() -> AsyncIterator[asyncio.Event]:
    """Set by the first SIGINT or SIGTERM. The second one ends the process at once, like a crash."""
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, asked)
    try:
        yield stop
    finally:
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(name)


async def _until(stop: asyncio.Event, house: House) -> None:
    """Raises `LeaseLost` where this process was silent for so long that another one has its name."""
    waits = [asyncio.create_task(each.wait()) for each in (stop, house.workers.ousted)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for each in waits:
        each.cancel()
    if not stop.is_set():
        raise LeaseLost(
            f"Worker {house.worker} was silent for a lease, and another process has its name.",
            hint="Start it again, with another name or none.",
        )


def _where(settings: Settings) -> str:
    """What a client on this machine has to be told to find this server."""
    return "" if settings.data == load_settings().data else f"COUNTERSIGN_DATA={settings.data} "


def effects_ledger_on() -> bool:
    """Storms alone may switch the effects ledger off, to show that they would find it out. Raises `SetupError`."""
    if os.environ.get("COUNTERSIGN_TEST_EFFECTS_LEDGER", "on") != "off":
        return True
    if os.environ.get("COUNTERSIGN_TEST") != "1":
        raise SetupError("The effects ledger can be switched off in tests only.", hint="Unset the variable.")
    click.echo("THE EFFECTS LEDGER IS OFF: effects can happen twice. This is a test.", err=True)
    return False


_host = click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
_port = click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for a free one.  [default: 8642]"
)


@click.command()
@_host
@_port
@click.option("--data", type=click.Path(path_type=Path), help="Folder that everything is kept in.")
def up(host: str | None, port: int | None, data: Path | None) -> None:
    """Run everything in one process: API, worker, executor, timers.

    \b
    Example:  countersign up --data /var/lib/countersign --port 8642
    """
    _serve(load_settings(**({"data": data} if data else {})), host, port)


@click.command()
@_host
@_port
def api(host: str | None, port: int | None) -> None:
    """Serve the API alone, over the PostgreSQL server that workers share. Run as many as you like.

    \b
    Example:
      export COUNTERSIGN_DATABASE__URL=postgresql://countersign:secret@db/countersign
      export COUNTERSIGN_SHOP__URL=https://shop.example
      countersign api --host 0.0.0.0 --port 8642
    """
    _serve(_shared(load_settings(), "api"), host, port, "api")


@click.command()
@click.option("--name", help="What it is called among workers.  [default: a new name at each start]")
def worker(name: str | None) -> None:
    """Run segments of cases, without an API, over a PostgreSQL server. Run as many as you like.

    A first Ctrl+C or SIGTERM lets it end what it has in hand, or hand it over; a second one ends it at once.

    \b
    Example:
      export COUNTERSIGN_DATABASE__URL=postgresql://countersign:secret@db/countersign
      export COUNTERSIGN_SHOP__URL=https://shop.example
      countersign worker
    """
    settings = _shared(load_settings(**({"engine": {"worker": name}} if name is not None else {})), "worker")
    require_safe(settings, _NOWHERE)
    log_to_stderr()
    asyncio.run(labour(settings))


def _serve(settings: Settings, host: str | None, port: int | None, role: Role = "all") -> None:
    log_to_stderr()
    require_safe(settings, host or settings.server.host)
    tls(settings.server)
    with listening(host or settings.server.host, settings.server.port if port is None else port) as sock:
        asyncio.run(run(settings, sock, role))


def _shared(settings: Settings, command: str) -> Settings:
    if not settings.database.url.get_secret_value():
        raise SetupError(
            f"'countersign {command}' needs a PostgreSQL server that other processes share.",
            hint="Name it in COUNTERSIGN_DATABASE__URL=postgresql://…; 'countersign up' needs no server.",
        )
    return settings


def log_to_stderr() -> None:
    redaction.install()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
