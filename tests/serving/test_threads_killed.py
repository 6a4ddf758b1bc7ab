"""Servers that are killed while runs are at work: the runs go on, and nothing is done twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from tests.serving import thread_server
from tests.serving.talk import talking
from tests.support.folders import quick_folder
from tests.support.servers import fresh_database, needs_postgres

Process = subprocess.Popen[bytes]


@contextmanager
def server(
    folder: Path, notes: Path, database: str = "", lease_s: float = 30
) -> Iterator[tuple[SyncLangGraphClient, Process]]:
    folder.mkdir(exist_ok=True)
    address = folder / "address"
    address.unlink(missing_ok=True)
    command = [sys.executable, str(thread_server.__file__), str(folder), database, str(lease_s)]
    own = {"NOTES": str(notes), "COUNTERSIGN_KEYS__FILE": str(notes.parent / "keys.toml")}
    with subprocess.Popen(command, env={**os.environ, **own}, cwd=thread_server.ROOT) as process:
        try:
            until = time.monotonic() + 60
            while not address.exists():
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
            tokens = json.loads((folder / "tokens.json").read_text())
            yield get_sync_client(url=address.read_text(), api_key=tokens["ann"]), process
        finally:
            process.kill()


def told(stream: Any) -> list[tuple[str, Any]]:
    """Steps that began and ended, and whatever else was told."""
    return [
        (part.event, (part.data["name"], "ended" if "result" in part.data else "began"))
        if part.event == "tasks"
        else (part.event, part.data)
        for part in stream
    ]


def whole(run: str) -> list[tuple[str, Any]]:
    return [
        ("metadata", {"run_id": run, "attempt": 1}),
        ("tasks", ("note", "began")),
        ("tasks", ("note", "ended")),
        ("tasks", ("rest", "began")),
        ("metadata", {"run_id": run, "attempt": 2}),
        ("tasks", ("rest", "began")),
        ("tasks", ("rest", "ended")),
        ("end", None),
    ]


def rests(client: SyncLangGraphClient) -> tuple[str, str]:
    """A run that has left its note and is in its second step."""
    thread = client.threads.create()["thread_id"]
    run = client.runs.create(thread, "survives", input={"name": "a"}, stream_mode="tasks", durability="sync")["run_id"]
    for part in client.runs.join_stream(thread, run):
        if part.event == "tasks" and part.data["name"] == "rest":
            return thread, run
    raise AssertionError("it never rested")


def test_a_run_whose_server_was_killed_goes_on_after_its_last_step_at_the_next_start() -> None:
    with quick_folder() as folder:
        notes = folder / "notes"
        with server(folder, notes) as (client, process):
            thread, run = rests(client)
            waiting = client.runs.create(thread, "survives", input={"name": "b"})["run_id"]
            process.kill()
        Path(f"{notes}.go").touch()
        with server(folder, notes) as (client, _):
            assert told(client.runs.join_stream(thread, run)) == whole(run)
            assert client.runs.join(thread, waiting)["log"] == ["noted", "rested", "noted", "rested"]
            assert [each["status"] for each in client.runs.list(thread)] == ["success", "success"]
        assert notes.read_text().split() == ["a", "b"]


@needs_postgres
def test_another_process_goes_on_with_a_killed_ones_run_and_streams_it_all_the_while() -> None:
    with fresh_database() as database, quick_folder() as folder, ThreadPoolExecutor() as pool:
        notes = folder / "notes"
        with (
            server(folder / "one", notes, database, 2.0) as (first, process),
            server(folder / "two", notes, database, 2.0) as (second, _),
        ):
            thread, run = rests(first)
            afar = pool.submit(lambda: told(second.runs.join_stream(thread, run)))
            process.kill()
            Path(f"{notes}.go").touch()
            assert afar.result(60) == whole(run)
            assert notes.read_text().split() == ["a"]


@needs_postgres
def test_a_run_is_called_off_and_its_end_awaited_from_another_process() -> None:
    with fresh_database() as database, quick_folder() as folder:
        notes = folder / "notes"
        with (
            server(folder / "one", notes, database) as (first, _),
            server(folder / "two", notes, database) as (second, _),
        ):
            thread, run = rests(first)
            second.runs.cancel(thread, run, wait=True)
            assert second.runs.get(thread, run)["status"] == "interrupted"
            assert second.threads.get_state(thread)["next"] == ["rest"]


async def test_a_run_with_which_three_servers_died_ends_with_an_error() -> None:
    with quick_folder() as folder:
        async with talking(folder) as talk:
            client = talk.as_()
            thread = (await client.threads.create())["thread_id"]
            run = await client.runs.create(thread, "one_step", input={"name": "k"}, after_seconds=3_600)

            def died(ledger: Any) -> None:
                row = ledger.threads.run(run["run_id"], lock=True)
                row.status, row.attempt, row.not_before = "running", 3, None
                row.lease_until = ledger.threads.lease(-1.0)
                ledger.session.add(row)

            await talk.house.database.write("default", died)
            assert (await client.runs.join(thread, run["run_id"]))["__error__"]["error"] == "RunDied"
            assert (await client.threads.get(thread))["status"] == "error"
