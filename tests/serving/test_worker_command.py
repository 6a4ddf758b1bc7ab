"""`countersign worker`, `api`, `workers` and `releases`, as processes and as their users type them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from core.states import CaseStatus
from ledger.database import Ledger, sqlite_database
from ledger.migrate import migrate
from ledger.tables import SYSTEM, CaseRow
from tests.serving.live import typed
from tests.support.servers import fresh_database


@contextmanager
def process(*command: str, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "core.console", *command],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def said(started: subprocess.Popen[str], beginning: str) -> str:
    assert started.stdout is not None
    lines = []
    for line in started.stdout:
        lines.append(line)
        if line.startswith(beginning):
            return line
    raise AssertionError("".join(lines))


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    with fresh_database() as url:
        yield {
            "COUNTERSIGN_DATA": str(tmp_path),
            "COUNTERSIGN_DATABASE__URL": url,
            "COUNTERSIGN_SHOP__URL": "http://127.0.0.1:9",
            "COUNTERSIGN_SHOP__TOKEN": "none",
            "COUNTERSIGN_ENGINE__LEASE_S": "5",
        }


def test_workers_come_and_go(env: dict[str, str]) -> None:
    typed("migrate", env=env)
    with (
        process("worker", "--name", "w1", env=env) as first,
        process("api", "--port", "0", env=env) as api,
    ):
        said(first, "Worker w1 is ready")
        said(api, "The API is up at http://127.0.0.1:")
        (listed,) = typed("workers", "--json", env=env).json
        assert (listed["worker"], listed["state"], listed["cases"], listed["pid"]) == ("w1", "alive", 0, first.pid)

        for each in (first, api):
            each.send_signal(signal.SIGTERM)
        said(first, "Worker w1 has stopped")
        assert (first.wait(10), api.wait(10)) == (0, 0)
    told = typed("workers", env=env)
    assert "stopped" in told.out
    assert told.code == 1  # nobody is alive


@pytest.mark.parametrize("command", ["worker", "api"])
def test_one_of_many_needs_a_server(tmp_path: Path, command: str) -> None:
    told = typed(command, env={"COUNTERSIGN_DATA": str(tmp_path), "COUNTERSIGN_DATABASE__URL": ""})
    assert told.code == 2
    assert "COUNTERSIGN_DATABASE__URL" in told.err


def test_what_a_deployment_alters_is_listed_and_decided(tmp_path: Path) -> None:
    migrate(tmp_path / "ledger.db")
    database = sqlite_database(tmp_path / "ledger.db")
    old = {"graph": "0" * 64, "prompt": "1" * 64, "model": "2" * 64, "policy": "3" * 64}

    def fill(ledger: Ledger) -> list[str]:
        names = []
        for number in range(2):
            case, _ = ledger.cases.open(
                kind="returns", payload={}, subject=f"cus_{number}", opened_by="ops", request_key=None
            )
            case.epoch, case.status = 1, CaseStatus.WAITING
            case.made_with = {**old, "release": "1.0", "at": (ledger.now - timedelta(days=1)).isoformat()}
            names.append(case.id)
        return names

    names = database.transact("default", fill)

    def row(name: str) -> CaseRow:
        return database.transact(SYSTEM, lambda ledger: ledger.cases.get(name), writes=False)

    data = ("--data", str(tmp_path))
    listed = typed("releases", "changes", "--json", *data)
    assert listed.code == 1
    assert [each["case_id"] for each in listed.json] == names
    assert set(listed.json[0]["changed"]) == {"graph", "prompt", "model", "policy"}
    assert "not at work yet" in typed("releases", "changes", *data).out

    assert "2 cases held" in typed("releases", "hold", "--altered", "--why", "wait for Ada", *data).out
    assert row(names[0]).held == "wait for Ada"
    assert "held: wait for Ada" in typed("releases", "changes", *data).out
    assert "1 case let go" in typed("releases", "migrate", names[0], *data).out
    assert row(names[0]).held == ""

    bound = typed("releases", "finish-old", names[1], *data)
    assert (bound.code, row(names[1]).release) == (1, "1.0")
    assert "No worker of release 1.0 is alive" in bound.err
    assert "Cases wait for release 1.0" in typed("releases", "changes", *data).err

    assert typed("releases", "hold", *data).code == 2
    assert typed("releases", "hold", "case_nobody", *data).code == 1
    database.close()
