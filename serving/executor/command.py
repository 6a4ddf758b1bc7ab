"""`countersign executor`: carries approved actions out, for workers that hold no credentials of the outside."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click
import uvicorn

from core.settings import Settings, load_settings
from serving.auth.safety import require_safe
from serving.executor.app import executor_app
from serving.executor.room import ExecutorRoom, open_executor
from serving.main import effects_ledger_on, listening, log_to_stderr, stopping

_LAST_ANSWERS_S = 5
"""How long what runs may take to end, and to be answered."""


@asynccontextmanager
async def answering(room: ExecutorRoom, token: str, sock: socket.socket) -> AsyncIterator[str]:
    """Serves the executor's API on a bound socket. Yields its address."""
    config = uvicorn.Config(
        executor_app(room.desk, token),
        log_level="warning",
        lifespan="off",
        access_log=False,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve([sock]))
    host, port = sock.getsockname()[:2]
    try:
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await task
        await room.desk.landed(_LAST_ANSWERS_S)


async def carry_out(settings: Settings, sock: socket.socket) -> None:
    """Until SIGINT or SIGTERM."""
    async with stopping() as stop, open_executor(settings, ledger_on=effects_ledger_on()) as room:
        async with answering(room, settings.executor.token.get_secret_value(), sock) as address:
            click.echo(f"Executor {room.name} answers at {address}. Stop it with Ctrl+C.")
            await stop.wait()
            click.echo("Stopping: effects that run end.")
        click.echo(f"Executor {room.name} has stopped.")


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for a free one.  [default: 8644]")
@click.option("--name", help="What runs say who carried them out.  [default: a new name at each start]")
def executor(host: str | None, port: int | None, name: str | None) -> None:
    """Carry out what policy and people let, as the one process that holds credentials of the outside.

    Workers and the API find it by COUNTERSIGN_EXECUTOR__URL, and show the same token.

    \b
    Example:
      export COUNTERSIGN_DATABASE__URL=postgresql://executor:secret@db/countersign
      export COUNTERSIGN_EXECUTOR__TOKEN=…
      export COUNTERSIGN_SHOP__URL=https://shop.example COUNTERSIGN_SHOP__TOKEN=…
      countersign executor --host 127.0.0.1 --port 8644
    """
    settings = load_settings(**({"engine": {"worker": name}} if name is not None else {}))
    log_to_stderr()
    require_safe(settings, host or settings.executor.host)
    with listening(host or settings.executor.host, settings.executor.port if port is None else port) as sock:
        asyncio.run(carry_out(settings, sock))
