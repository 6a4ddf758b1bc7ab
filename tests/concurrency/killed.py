"""A running run, its process killed, and another one started over the same folder: `countersign up` and a client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from tests.concurrency.bench import Bench
from tests.concurrency.table import Row
from tests.support.folders import quick_folder

_PATIENCE_S = 60.0
ADDRESS, TOKEN = "local-address", "local-token"
"""Files of the data folder, by which people on this machine find the server."""


async def _elsewhere(_bench: Bench) -> str:
    return killed()


KILLED = Row(
    "a running run after kill -9 and restart",
    "back to pending",
    'still "running" after 25 s',
    "resumes, nothing run twice",
    _elsewhere,
)


def killed() -> str:
    """Empty if the run went on after the restart, and did again nothing that it had done."""
    with quick_folder() as folder:
        notes = folder / "notes"
        with _up(folder, notes) as (client, server):
            thread = client.threads.create()["thread_id"]
            run = client.runs.create(thread, "survives", input={"name": "once"})["run_id"]
            _until(lambda: client.threads.get_state(thread)["next"] == ["rest"])
            server.send_signal(signal.SIGKILL)
            server.wait()
        with _up(folder, notes) as (client, _):
            Path(f"{notes}.go").touch()
            values = client.runs.join(thread, run)
            status = client.runs.get(thread, run)["status"]
        noted = notes.read_text().splitlines()
    right = status == "success" and dict(values)["log"] == ["noted", "rested"] and noted == ["once"]
    return "" if right else f"{status}: {values}, noted {noted}"


def _until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > until:
            raise TimeoutError("it never came to that")
        time.sleep(0.02)


@contextmanager
def _up(folder: Path, notes: Path) -> Iterator[tuple[SyncLangGraphClient, subprocess.Popen[bytes]]]:
    data = folder / "data"
    (data / ADDRESS).unlink(missing_ok=True)
    env = {
        **os.environ,
        "NOTES": str(notes),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "COUNTERSIGN_GRAPHS": '{"survives": {"path": "tests.support.plain_graphs:survives"}}',
    }
    command = [sys.executable, "-m", "core.console", "up", "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as server:
        try:
            _until((data / ADDRESS).exists)
            url = (data / ADDRESS).read_text()
            token = (data / TOKEN).read_text().strip()
            with get_sync_client(url=url, api_key=None, headers={"Authorization": f"Bearer {token}"}) as client:
                _until(lambda: httpx.get(f"{url}/ok").status_code == 200)
                yield client, server
        finally:
            server.kill()
