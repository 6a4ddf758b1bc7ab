"""The processes. `countersign up` is all of them in one."""

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

from core.errors import SetupError
from core.settings import Settings, load_settings
from serving.api.app import make_app
from serving.house import House, open_house, owner
from serving.local import ADDRESS, issue_local_token, write_private


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket, so that a port in use is told before anything else starts. Raises `SetupError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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


@asynccontextmanager
async def serving(house: House, sock: socket.socket) -> AsyncIterator[str]:
    """Serves the API of a house on a bound socket. Yields its address."""
    config = uvicorn.Config(make_app(house), log_level="warning", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve([sock]))
    host, port = sock.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    write_private(house.settings.data / ADDRESS, address)
    try:
        yield address
    finally:
        server.should_exit = True
        server.force_exit = True  # open event streams are resumable: their readers come back
        await task
        (house.settings.data / ADDRESS).unlink(missing_ok=True)


async def run(settings: Settings, sock: socket.socket) -> None:
    """Until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with open_house(settings, ledger_on=_effects_ledger_on()) as house:
        issue_local_token(house.database, settings.data, owner(settings))
        async with serving(house, sock) as address:
            click.echo(f"Countersign is up at {address} (data in {settings.data}). Stop it with Ctrl+C.")
            click.echo(f"Decide with: {_where(settings)}countersign desk")
            await stop.wait()
            click.echo("Stopping: running segments end, the rest goes on at the next start.")


def _where(settings: Settings) -> str:
    """What a client on this machine has to be told to find this server."""
    return "" if settings.data == load_settings().data else f"COUNTERSIGN_DATA={settings.data} "


def _effects_ledger_on() -> bool:
    """Storms alone may switch the effects ledger off, to show that they would find it out. Raises `SetupError`."""
    if os.environ.get("COUNTERSIGN_TEST_EFFECTS_LEDGER", "on") != "off":
        return True
    if os.environ.get("COUNTERSIGN_TEST") != "1":
        raise SetupError("The effects ledger can be switched off in tests only.", hint="Unset the variable.")
    click.echo("THE EFFECTS LEDGER IS OFF: effects can happen twice. This is a test.", err=True)
    return False


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for a free one.  [default: 8642]")
@click.option("--data", type=click.Path(path_type=Path), help="Folder that everything is kept in.")
def up(host: str | None, port: int | None, data: Path | None) -> None:
    """Run everything in one process: API, worker, executor, timers.

    \b
    Example:  countersign up --data /var/lib/countersign --port 8642
    """
    settings = load_settings(**({"data": data} if data else {}))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    with listening(host or settings.server.host, settings.server.port if port is None else port) as sock:
        asyncio.run(run(settings, sock))
