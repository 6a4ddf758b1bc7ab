"""Whole processes on the clock, with bytecode of their own that is compiled before, as `make setup` does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Cost

_WAIT_S = 60.0
ROOT = Path(__file__).parent.parent


class Processes:
    """`folder` takes their bytecode, so that nothing is written beside the code."""

    def __init__(self, folder: Path) -> None:
        self._env = {key: value for key, value in os.environ.items() if not key.startswith(("COUNTERSIGN_", "PYTHON"))}
        self._env |= {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}

    def whole(self, arguments: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Cost:
        """From its start to its end. Raises `CalledProcessError` with what it said."""
        command = [sys.executable, *arguments]
        begun = time.perf_counter()
        process = self._start(command, env, cwd)
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command, said)
        return Cost(wall, used.ru_utime + used.ru_stime)

    def until_ok(self, arguments: Sequence[str], url: str, env: Mapping[str, str], cwd: Path = ROOT) -> Cost:
        """From its start until it answers. Raises `RuntimeError` with what it said if it never does."""
        begun = time.perf_counter()
        process = self._start([sys.executable, *arguments], env, cwd)
        try:
            while not _answers(url):
                if process.poll() is not None or time.perf_counter() - begun > _WAIT_S:
                    process.kill()
                    raise RuntimeError(f"{' '.join(arguments)} did not come up: {process.communicate()[0]}")
                time.sleep(0.005)
            return Cost(time.perf_counter() - begun, _used(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=_WAIT_S)

    def _start(self, command: Sequence[str], env: Mapping[str, str] | None, cwd: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            env=self._env | dict(env or {}),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _used(pid: int) -> float:
    """Processor seconds of a process that still runs, to a hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
