"""A PostgreSQL server of a test's own, which it may shoot down; the machine's shared one is left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.storm_crew import free_port

_OWNER = "postgres"
_SETTINGS = "-c shared_buffers=32MB -c max_connections=60 -c listen_addresses=127.0.0.1 -c track_commit_timestamp=on"


def _programs() -> Path:
    """Where `initdb` is: Debian does not put it on the path. Raises `RuntimeError`."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path))
    if not found:
        raise RuntimeError("There is no initdb here: install the package postgresql.")
    return max(found).parent


@dataclass(frozen=True)
class PrivateServer:
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://{_OWNER}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"{_SETTINGS} -p {self.port} -k {self.folder}"
        self._do(
            "pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log"), "-o", options, "start"
        )

    def stop(self) -> None:
        """As if its power was cut: what was not committed is gone, and every connection with it."""
        self._do("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop")

    def restart(self, away_s: float = 0.0) -> None:
        self.stop()
        time.sleep(away_s)
        self.start()

    def make(self) -> None:
        self._do("initdb", "-D", str(self.folder / "data"), "-A", "trust", "-U", _OWNER, "--no-sync", "-E", "UTF8")

    def _do(self, program: str, *args: str) -> None:
        """The server refuses to run as root: then it is the user postgres who runs it."""
        root = os.geteuid() == 0
        done = subprocess.run(
            [str(_programs() / program), *args],
            user=_OWNER if root else None,
            group=_OWNER if root else None,
            extra_groups=[] if root else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the server would hold a pipe open
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed with {done.returncode}: look into {self.folder}")


@contextmanager
def private_server() -> Iterator[PrivateServer]:
    folder = Path(tempfile.mkdtemp(prefix="storm-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, _OWNER, _OWNER)
    server = PrivateServer(folder, free_port())
    try:
        server.make()
        server.start()
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder)
