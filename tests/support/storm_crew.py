"""Starts, stops, freezes and kills the processes of a storm: forked ones, or the real commands."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

Role = Literal["all", "api", "worker"]
_COMMAND = {"all": "up", "api": "api", "worker": "worker"}
_START_S = 120.0


@dataclass
class Member:
    """One process. `name` is what the ledger knows a worker by."""

    name: str
    role: Role | Literal["shop"]
    process: Any
    """A `subprocess.Popen` or a `multiprocessing.Process`: both have a pid."""

    @property
    def alive(self) -> bool:
        if isinstance(self.process, subprocess.Popen):
            return self.process.poll() is None
        return bool(self.process.is_alive())

    def send(self, which: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, which)

    def end(self, which: signal.Signals = signal.SIGKILL) -> None:
        self.send(which)
        if isinstance(self.process, subprocess.Popen):
            self.process.wait()
        else:
            self.process.join()


@dataclass
class Crew:
    folder: Path
    env: Mapping[str, str]
    commands: bool = False
    """Whether the processes are the real commands (4 s to start) or forked ones (0.3 s)."""
    members: list[Member] = field(default_factory=list)
    started: int = 0

    def __post_init__(self) -> None:
        self._fork = multiprocessing.get_context("forkserver")
        self._fork.set_forkserver_preload(["tests.support.storm_roles"])

    def shop(self, port: int, command: list[str], accounts: int, late_s: float) -> Member:
        if self.commands:
            return self._join("shop", "shop", self._typed("shop", ["core.console", "shop", *command], {}))
        from tests.support.storm_roles import run_shop

        file = self.folder / "shop.db"
        return self._join("shop", "shop", self._forked(run_shop, self._log("shop"), port, file, accounts, late_s))

    def house(self, role: Role, more: Mapping[str, str] | None = None) -> Member:
        """A process of the house, under a name that no other one had."""
        self.started += 1
        name = f"{role}_{self.started}"
        env = {"COUNTERSIGN_ENGINE__WORKER": name, **(more or {})}
        if self.commands:
            process: Any = self._typed(name, ["core.console", _COMMAND[role]], env)
        elif "LD_PRELOAD" in env:
            process = self._typed(name, ["tests.support.storm_roles", role], env)
        else:
            from tests.support.storm_roles import run_house

            process = self._forked(run_house, self._log(name), role, env=env)
        return self._join(name, role, process)

    def of(self, *roles: str) -> list[Member]:
        return [each for each in self.members if each.role in roles and each.alive]

    def dismiss(self, *roles: str) -> None:
        """They end as operators end them; who does not end within ten seconds is killed."""
        leaving = [each for each in self.members if not roles or each.role in roles]
        for each in leaving:
            each.send(signal.SIGCONT)
            each.send(signal.SIGTERM)
        until = time.monotonic() + 10
        while any(each.alive for each in leaving) and time.monotonic() < until:
            time.sleep(0.05)
        for each in leaving:
            each.end()
            self.members.remove(each)

    def said(self) -> dict[str, str]:
        return {log.stem: log.read_text() for log in self.folder.glob("*.log")}

    def _join(self, name: str, role: Any, process: Any) -> Member:
        self.members.append(Member(name, role, process))
        return self.members[-1]

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _forked(self, main: Callable[..., None], log: Path, *args: Any, env: Mapping[str, str] | None = None) -> Any:
        process = self._fork.Process(target=main, args=({**self.env, **(env or {})}, log, *args), daemon=True)
        process.start()
        return process

    def _typed(self, name: str, command: list[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with open(self._log(name), "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**os.environ, **self.env, **env},
                stdout=log,
                stderr=log,
            )


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for(url: str, member: Member) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        try:
            httpx.get(url, timeout=5)
            return
        except httpx.TransportError:
            if not member.alive:
                raise RuntimeError(f"{member.name} ended before it answered at {url}") from None
            time.sleep(0.05)
    raise TimeoutError(f"nobody answers at {url}")
