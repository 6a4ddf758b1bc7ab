"""`countersign shop`: the shop as a process of its own, over HTTP."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path

import click
import uvicorn

from core.errors import SetupError
from core.settings import load_settings
from tools.fulfillment.callbacks import PostedCallback
from tools.fulfillment.catalog import choose, read_world
from tools.fulfillment.ports import Dialect
from tools.fulfillment.server import shop_app
from tools.fulfillment.shop import EmbeddedShop


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8643, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--token-env",
    default="COUNTERSIGN_SHOP__TOKEN",
    show_default=True,
    metavar="NAME",
    help="Environment variable that holds the token which callers must send.",
)
@click.option(
    "--data",
    default=Path(".countersign/shop.db"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="The shop's database file.",
)
@click.option(
    "--world", type=click.Path(path_type=Path), help="JSON file of records to begin with, where the shop has none yet."
)
@click.option("--dialect", "names", multiple=True, metavar="NAME", help="What the shop understands; all, if left out.")
@click.option("--callback-url", default="", help="Where to post a CloudEvent for each write that happened.")
@click.option(
    "--callback-token-env",
    default="COUNTERSIGN_SHOP__CALLBACK_TOKEN",
    show_default=True,
    metavar="NAME",
    help="Environment variable that holds the token to send with callbacks.",
)
@click.option("--faults", is_flag=True, help="For tests: let callers switch faults on.")
def shop(
    host: str,
    port: int,
    token_env: str,
    data: Path,
    world: Path | None,
    names: tuple[str, ...],
    callback_url: str,
    callback_token_env: str,
    faults: bool,
) -> None:
    """Serve the embedded shop over HTTP, as a system of record of its own.

    \b
    Example:
      export COUNTERSIGN_SHOP__TOKEN=$(openssl rand -hex 16)
      countersign shop --world world.json
    """
    token = os.environ.get(token_env, "")
    if not token:
        raise SetupError(f"{token_env} is not set, and the shop needs a token.", hint=f"export {token_env}=…")
    callback = PostedCallback(callback_url, os.environ.get(callback_token_env, "")) if callback_url else None
    chosen = choose(names)
    masters = load_settings().keys.opening(data.parent, frozenset())
    listening = _listen(host, port)
    with suppress(KeyboardInterrupt):
        asyncio.run(
            _serve(EmbeddedShop(data, chosen, masters=masters), chosen, world, token, listening, callback, faults)
        )


async def _serve(
    served: EmbeddedShop,
    chosen: list[Dialect],
    world: Path | None,
    token: str,
    listening: socket.socket,
    callback: PostedCallback | None,
    faults: bool,
) -> None:
    try:
        if world and await served.is_empty():
            click.echo(f"{await served.load(read_world(world, chosen))} records from {world}", err=True)
        elif world:
            click.echo(f"The shop has its records already; {world} was not loaded.", err=True)
        app = shop_app(served, token, faults=faults, callback=callback)
        host, port = listening.getsockname()[:2]
        click.echo(f"The shop answers at http://{f'[{host}]' if ':' in host else host}:{port}", err=True)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=10)
        await uvicorn.Server(config).serve(sockets=[listening])
    finally:
        await served.close()
        if callback:
            await callback.close()


def _listen(host: str, port: int) -> socket.socket:
    """Bound before anything else is done, so that a port in use is a clear error."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        raise SetupError(
            f"The shop can't listen on {host} port {port}: {error.strerror}.", hint="Choose another with --port."
        ) from error
    return listening
