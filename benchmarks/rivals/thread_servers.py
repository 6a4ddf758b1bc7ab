"""Servers of graphs on threads, each a process of its own: ours, `langgraph dev`, and a bare one as the floor."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT, free_port

GRAPHS = Path(__file__).parent / "thread_graphs.py"
RIVAL = ROOT / ".venvs" / "langgraph-dev"
_TICKS = os.sysconf("SC_CLK_TCK")
_UP_S = 90.0


@dataclass(frozen=True)
class Server:
    name: str
    url: str
    pid: int
    token: str = "none"

    def cpu(self) -> float:
        """Seconds of the processor so far, of the process and all below it."""
        return sum(_cpu(pid) for pid in _family(self.pid))

    def memory_mb(self) -> float:
        """What it and all below it hold in memory, in MB."""
        return sum(_rss(pid) for pid in _family(self.pid))


@contextmanager
def ours(folder: Path) -> Iterator[Server]:
    """`countersign up` over a new folder, with nothing set but the graphs and no limit of requests."""
    folder.mkdir()
    port, data = free_port(), folder / "data"
    parts = [f'[graphs.{name}]\npath = "{GRAPHS}:{name}"\nanswered_by = "opener"\n' for name in ("trivial", "asks")]
    (folder / "countersign.toml").write_text("\n".join(["[auth]\nrequests_per_s = 0\n", *parts]))
    command = [sys.executable, "-m", "core.console", "up", "--port", str(port)]
    with _running("ours", command, port, folder, {"COUNTERSIGN_DATA": str(data)}) as server:
        token = (data / "local-token").read_text().strip()
        yield Server(server.name, server.url, server.pid, token)


@contextmanager
def floor(folder: Path) -> Iterator[Server]:
    folder.mkdir()
    port = free_port()
    with _running("bare", [sys.executable, "-m", "benchmarks.rivals.thread_floor", str(port)], port, folder) as server:
        yield server


@contextmanager
def rival(folder: Path) -> Iterator[Server]:
    """`langgraph dev` in its own environment, which is made once. Raises `RuntimeError` where that can't be."""
    python = _environment()
    folder.mkdir()
    shutil.copy(GRAPHS, folder / "graphs.py")
    graphs = {name: f"./graphs.py:{name}" for name in ("trivial", "asks")}
    (folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    port = free_port()
    options = ["--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port), "--n-jobs-per-worker", "32"]
    command = [str(python.parent / "langgraph"), "dev", *options]
    with _running("langgraph dev", command, port, folder, {"LANGSMITH_TRACING": "false"}) as server:
        yield server


def _environment() -> Path:
    python = RIVAL / "bin" / "python"
    if (RIVAL / "bin" / "langgraph").exists():
        return python
    uv = Path(sys.executable).parent / "uv"
    for command in (
        [str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(RIVAL)],
        [str(uv), "pip", "install", "--quiet", "--python", str(python), "langgraph-cli[inmem]"],
    ):
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise RuntimeError(f"the rival's environment could not be made: {made.stderr[-500:]}")
    return python


@contextmanager
def _running(
    name: str, command: Sequence[str], port: int, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("COUNTERSIGN_", "PYTHON", "LANG"))}
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(
            command,
            env={**kept, "PYTHONPATH": str(ROOT) if name != "langgraph dev" else "", **(env or {})},
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            until = time.monotonic() + _UP_S
            while not _answers(f"{url}/ok"):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{name} did not come up: {(folder / 'said.txt').read_text()[-500:]}")
                time.sleep(0.05)
            yield Server(name, url, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _family(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        try:
            below = Path(f"/proc/{each}/task/{each}/children").read_text().split()
        except OSError:
            continue
        found += [int(child) for child in below]
    return found


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _rss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
