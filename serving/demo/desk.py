"""A desk on a data folder: finds the server that runs there, or starts one for as long as the desk is open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from core.errors import SetupError
from serving.demo.folder import token_of
from serving.local import ADDRESS, TOKEN, servers

_COUNTERSIGN = (sys.executable, "-m", "core.console")
_START_S, _STOP_S = 60.0, 30.0
_LOG = "up.log"


def run(folder: Path, name: str, rest: Sequence[str]) -> int:
    """The desk's exit code. `name` is one of the demo's people, or empty for the local owner."""
    person = token_of(folder, name) if name else ""
    for number in (signal.SIGTERM, signal.SIGHUP):  # a terminal that closes has to take the server with it
        signal.signal(number, _leave)
    with _server(folder) as url:
        token = person or (folder / TOKEN).read_text().strip()
        known = {**os.environ, "COUNTERSIGN_URL": url, "COUNTERSIGN_TOKEN": token}
        return subprocess.run([*_COUNTERSIGN, "desk", *rest], env=known, check=False).returncode


def _leave(number: int, _frame: object) -> None:
    sys.exit(128 + number)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    if url := _answering(folder):
        yield url
        return
    with (folder / _LOG).open("w") as log:
        up = subprocess.Popen(
            [*_COUNTERSIGN, "up", "--data", str(folder), "--port", "0"],
            env={**os.environ, **servers(folder)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl+C in the desk is the desk's
        )
    try:
        yield _started(folder, up)
    finally:
        up.terminate()
        try:
            up.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            up.kill()
            up.wait()


def _answering(folder: Path) -> str:
    """The address of the server of this folder, or nothing: another one would not know the token."""
    try:
        url, token = ((folder / name).read_text().strip() for name in (ADDRESS, TOKEN))
        httpx.get(f"{url}/api/v1/me", headers={"Authorization": f"Bearer {token}"}, timeout=5.0).raise_for_status()
    except (OSError, httpx.HTTPError, httpx.InvalidURL):
        return ""
    return url


def _started(folder: Path, up: subprocess.Popen[bytes]) -> str:
    """Raises `SetupError` with the last words of a server that ended."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if up.poll() is not None:
            said = (folder / _LOG).read_text(errors="replace").strip().splitlines() or ["it said nothing."]
            why = next((line for line in said if line.startswith("countersign: ")), said[-1])
            raise SetupError(
                f"No server could be started on {folder}: {why.removeprefix('countersign: ')}",
                hint=f"All it said is in {folder / _LOG}.",
            )
        if url := _answering(folder):
            return url
        time.sleep(0.1)
    raise SetupError(f"The server of {folder} did not answer within {_START_S:.0f} s.", hint=f"See {folder / _LOG}.")
