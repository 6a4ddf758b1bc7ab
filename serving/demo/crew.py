"""The processes of a demo that is played by many: a shop, which outlives them all, and workers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import IO

import httpx
from pydantic import SecretStr

from core.errors import SetupError
from core.settings import Settings, ShopSettings

_START_S, _STOP_S = 60.0, 15.0


@contextmanager
def crew(settings: Settings, workers: int) -> Iterator[Settings]:
    """Starts a shop over the folder's records, and workers beside it. Yields the settings by which they are reached."""
    token = token_hex(16)
    with _process(settings.data / "shop.log", "shop", "--port", "0", "--data", str(settings.data / "shop.db"),
                  COUNTERSIGN_SHOP__TOKEN=token) as (shop, log):  # fmt: skip
        url = _said(shop, log, "answers at ")
        _answering(url)
        known = settings.model_copy(update={"shop": ShopSettings(url=url, token=SecretStr(token))})
        with _all(known, [settings.data / f"worker-{n + 1}.log" for n in range(workers)]):
            yield known


@contextmanager
def _all(settings: Settings, logs: Sequence[Path]) -> Iterator[None]:
    if not logs:
        yield
        return
    environment = {
        "COUNTERSIGN_DATA": str(settings.data),
        "COUNTERSIGN_DATABASE__URL": settings.database.url.get_secret_value(),
        "COUNTERSIGN_SHOP__URL": settings.shop.url,
        "COUNTERSIGN_SHOP__TOKEN": settings.shop.token.get_secret_value(),
        "COUNTERSIGN_ENGINE__SWEEP_S": "1",
    }
    with _process(logs[0], "worker", **environment), _all(settings, logs[1:]):
        yield


@contextmanager
def _process(log: Path, *command: str, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    with open(log, "wb") as written:
        process = _start(command, environment, written)
        try:
            yield process, log
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(command: Sequence[str], environment: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "core.console", *command],
        env={**os.environ, **environment},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl+C stops the demo, which stops them in order
    )


def _said(process: subprocess.Popen[bytes], log: Path, before: str) -> str:
    """What stands after these words in a process's log. Raises `SetupError` if it ends without them."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        text = log.read_text(errors="replace")
        if before in text:
            return text.split(before, 1)[1].split()[0]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SetupError("A process of the demo did not start.", hint=f"What it said is in {log}.")


def _answering(url: str) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        with suppress(httpx.TransportError):
            httpx.get(f"{url}/ok", timeout=5)
            return
        time.sleep(0.05)
