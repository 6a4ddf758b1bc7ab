"""The demo on servers: the same verdicts as in a folder, whoever of its workers lives to see the end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from core.clock import SystemClock
from core.key_settings import KeySettings
from core.people import HOME
from core.settings import Settings
from ledger.database import Database, Ledger, sqlite_database
from ledger.server import server_database
from serving.demo.folder import last_midnight, prepare
from serving.demo.run import Playbill, play, playable, rehearsal
from tests.support.folders import quick_folder
from tests.support.servers import NATS, fresh_database, needs_nats, needs_postgres

CASES, SEED = 16, 7
Verdicts = dict[str, tuple[str, str, tuple[tuple[str, str, str], ...]]]


def verdicts(database: Database, data: Path) -> Verdicts:
    """By the content of each request: how its case stands, and what the gate said of each step. The keys to what is
    sealed lie under `data`."""

    def look(ledger: Ledger) -> Verdicts:
        found: Verdicts = {}
        for case in ledger.cases.find(limit=10 * CASES):
            steps = sorted(
                (action.step_key, action.tool, ledger.effects.decisions(action.id)[0].verdict)
                for action in ledger.effects.actions(case.id)
            )
            found[case.payload_digest] = (case.status, case.outcome, tuple(steps))
        return found

    (file,) = data.rglob("master.keys")
    keys = KeySettings(file=file)
    try:
        if (masters := keys.masters(data)) is not None:
            database.use(masters, keys.cache_s, lambda: keys.masters(data))
        return database.transact(HOME, look, writes=False)
    finally:
        database.close()


async def in_a_folder(folder: Path) -> Verdicts:
    kind = playable()
    bill = prepare(folder, Playbill(kind=kind.name, cases=CASES, seed=SEED, now=midnight()), fresh=True)
    await play(Settings(data=folder), kind, bill, rehearsal(kind, bill), lambda *_: None, bell="tasks")
    return verdicts(sqlite_database(folder / "ledger.db"), folder)


def midnight() -> datetime:
    return last_midnight(SystemClock().now())


@needs_postgres
@needs_nats
@pytest.mark.timeout(180)
def test_two_workers_share_it_and_one_is_killed_for_good() -> None:
    with quick_folder() as folder, fresh_database() as url:
        typed = ["demo", "--cases", str(CASES), "--seed", str(SEED), "--data", str(folder / "demo")]
        typed += ["--database", url, "--bus", NATS, "--workers", "2"]
        demo = subprocess.Popen(
            [sys.executable, "-m", "core.console", *typed],
            env={**os.environ, "COUNTERSIGN_ENGINE__LEASE_S": "3"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        killed = one_that_works(url, demo)
        os.kill(killed, signal.SIGKILL)
        said, _ = demo.communicate(timeout=150)

        assert demo.returncode == 0, said
        assert "nothing lost, nothing twice, nothing without its approval" in said
        assert verdicts(server_database(url), folder / "demo") == asyncio.run(in_a_folder(folder / "alone"))


def one_that_works(url: str, demo: subprocess.Popen[str]) -> int:
    """The process that has a case in hand, once a few are done."""
    while demo.poll() is None:
        try:
            with psycopg.connect(url) as connection:
                row = connection.execute(
                    "SELECT w.pid FROM worker w JOIN \"case\" c ON c.worker = w.id WHERE c.status = 'running'"
                    " AND (SELECT count(*) FROM run WHERE status = 'done') > 3 LIMIT 1"
                ).fetchone()
        except psycopg.Error:  # its tables are being made
            row = None
        if row:
            return int(row[0])
        time.sleep(0.02)
    raise AssertionError(demo.communicate()[0])
