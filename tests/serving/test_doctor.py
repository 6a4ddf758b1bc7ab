"""The doctor says how everything is, and what to do; it hangs for nobody and changes nothing."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydantic import SecretStr

from core.settings import DatabaseSettings, EngineSettings, Settings
from ledger.migrate import migrate, migrate_server
from ledger.server import driver_url
from ledger.tables import SYSTEM, InboxRow, TimerRow
from serving.executor.command import answering
from serving.executor.room import open_executor
from serving.house import open_house
from serving.main import listening
from tests.serving.live import Typed, typed
from tests.support.folders import quick_folder
from tests.support.script import ScriptedModel
from tests.support.servers import NATS, POSTGRES, answers, fresh_database
from tests.support.till import person
from tests.support.till_kind import KIND

Lines = list[dict[str, str]]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own, in which the doctor is called too."""
    with quick_folder() as fresh:
        monkeypatch.chdir(fresh)
        yield fresh / "data"


def looked(folder: Path, *words: str, **env: str) -> tuple[int, Lines]:
    said: Typed = typed("doctor", "--data", folder, "--json", *words, env=env)
    return said.code, said.json["lines"]


def of(lines: Lines, part: str) -> Lines:
    return [line for line in lines if line["part"] == part]


@contextmanager
def served(answer: dict[str, Any], date: datetime | None = None, token: str = "") -> Iterator[str]:
    """A server with one answer, a clock of its own, and perhaps a token that it asks for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = not token or self.headers.get("authorization") == f"Bearer {token}" or self.path == "/ok"
            self.send_response_only(200 if known else 401)
            self.send_header("Date", format_datetime(date or datetime.now(UTC), usegmt=True))
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_before_there_is_anything_all_is_well_and_nothing_is_made(folder: Path) -> None:
    code, lines = looked(folder)
    assert code == 0
    assert {line["state"] for line in lines} == {"ok"}
    assert "made at the first start" in of(lines, "database")[0]["says"]
    assert not folder.exists()
    shown = typed("doctor", "--data", folder)
    assert "All is well." in shown.out


async def test_it_looks_beside_a_running_house(folder: Path) -> None:
    settings = Settings(data=folder, engine=EngineSettings(sweep_s=3600))
    async with open_house(settings, bell="tasks", kinds={"till": KIND}, model=ScriptedModel()) as house:
        case, _ = await house.submit(person("ops"), "till", {"customer": "cus_1", "script": []})
        await house.settled("default", {case.id})
        code, lines = await asyncio.to_thread(looked, folder)
        assert code == 0, lines
        assert {line["state"] for line in lines} == {"ok"}
        (worker,) = of(lines, "workers")
        assert "all" in worker["says"]
        assert "the head holds" in of(lines, "audit")[0]["says"]

        def leave_behind(ledger: Any) -> None:
            long_ago = ledger.now - timedelta(hours=3)
            event = {"source": "x", "type": "case.news", "seq": 99, "received_at": long_ago}
            ledger.session.add(InboxRow(workspace="default", event_id="1", case_id=case.id, **event))
            timer = {
                "id": "t",
                "case_id": case.id,
                "purpose": "case.retry",
                "due_at": ledger.now - timedelta(minutes=2),
            }
            ledger.session.add(TimerRow(workspace="default", **timer))

        await house.database.write(SYSTEM, leave_behind)
        code, lines = await asyncio.to_thread(looked, folder)
    assert code == 1
    (backlog,), (timers,) = of(lines, "backlog"), of(lines, "timers")
    assert (backlog["state"], timers["state"]) == ("fail", "warn")
    assert "1 events" in backlog["says"]
    assert "3 h" in backlog["says"]
    assert backlog["do"]


def test_a_ledger_of_another_version_is_told_and_left_as_it_is(folder: Path) -> None:
    folder.mkdir()
    migrate(folder / "ledger.db", "0002")
    code, lines = looked(folder)
    assert code == 0
    assert next(line["do"] for line in of(lines, "database") if line["state"] == "warn").startswith(
        "countersign migrate"
    )
    with closing(sqlite3.connect(folder / "ledger.db")) as file:
        assert file.execute("SELECT version_num FROM alembic_version").fetchall() == [("0002",)]
        file.execute("UPDATE alembic_version SET version_num = '9999'")
        file.commit()
    code, lines = looked(folder)
    assert code == 1
    assert "newer than this program" in " ".join(line["says"] for line in of(lines, "database"))


def test_a_file_that_is_no_database_and_a_folder_that_is_a_file(folder: Path) -> None:
    folder.mkdir()
    (folder / "ledger.db").write_bytes(b"this is no database at all, whatever its name says" * 50)
    code, lines = looked(folder)
    assert code == 1
    assert of(lines, "database")[0]["state"] == "fail"
    code, lines = looked(folder / "ledger.db")
    assert code == 1
    assert "is no folder" in of(lines, "folder")[0]["says"]


@pytest.mark.skipif(not answers(POSTGRES), reason="no PostgreSQL here")
def test_it_looks_at_a_server_and_hides_its_password(folder: Path) -> None:
    with fresh_database() as url:
        known = url.replace("postgres@", "postgres:geheim@")
        code, lines = looked(folder, COUNTERSIGN_DATABASE__URL=known)
        assert code == 0
        assert "there is no ledger in it yet" in " ".join(line["says"] for line in of(lines, "database"))
        migrate_server(driver_url(url))
        code, lines = looked(folder, COUNTERSIGN_DATABASE__URL=known)
    assert code == 0, lines
    assert "geheim" not in json.dumps(lines)
    assert "PostgreSQL" in of(lines, "database")[0]["says"]
    assert of(lines, "clock")[0]["state"] == "ok"
    assert "nobody is at work" in of(lines, "workers")[0]["says"]
    code, lines = looked(folder, COUNTERSIGN_DATABASE__URL=known)  # it is gone now
    assert code == 1
    assert of(lines, "database")[0]["do"]


@pytest.mark.skipif(not answers(NATS), reason="no NATS here")
def test_it_looks_at_the_bus_without_making_streams_there(folder: Path) -> None:
    env = {"COUNTERSIGN_BUS__URL": NATS, "COUNTERSIGN_BUS__PREFIX": "looked_at"}
    for _ in range(2):
        code, lines = looked(folder, **env)
        assert code == 0
        assert "its streams are made when a server starts" in of(lines, "bus")[0]["says"]
    code, lines = looked(folder, COUNTERSIGN_BUS__URL="nats://127.0.0.1:9")
    assert code == 1
    assert "can't be reached" in of(lines, "bus")[0]["says"]


def test_it_asks_the_model_server_which_models_it_has_and_what_time_it_is(folder: Path) -> None:
    with served({"data": [{"id": "qwen"}]}, datetime.now(UTC) - timedelta(hours=2)) as url:
        env = {"COUNTERSIGN_MODEL__BACKEND": "openai", "COUNTERSIGN_MODEL__BASE_URL": f"{url}/v1"}
        code, lines = looked(folder, COUNTERSIGN_MODEL__NAME="qwen", **env)
        assert of(lines, "model")[0]["state"] == "ok"
        (clock,) = of(lines, "clock")
        assert (code, clock["state"]) == (1, "fail")
        assert "7200" in clock["says"] or "7199" in clock["says"]
        code, lines = looked(folder, COUNTERSIGN_MODEL__NAME="llama", **env)
        assert of(lines, "model")[0]["state"] == "fail"
        assert "it has qwen" in of(lines, "model")[0]["do"]


def test_it_shows_the_shop_its_token(folder: Path) -> None:
    with served({}, token="right") as url:
        code, lines = looked(folder, COUNTERSIGN_SHOP__URL=url, COUNTERSIGN_SHOP__TOKEN="wrong")
        assert code == 1
        assert "does not know our token" in of(lines, "shop")[0]["says"]
        code, lines = looked(folder, COUNTERSIGN_SHOP__URL=url, COUNTERSIGN_SHOP__TOKEN="right")
        assert code == 0
        assert "wrong" not in json.dumps(lines)


@pytest.mark.skipif(not answers(POSTGRES), reason="no PostgreSQL here")
async def test_it_asks_the_executor_and_shows_it_our_token(folder: Path) -> None:
    with fresh_database() as server:
        migrate_server(driver_url(server))
        theirs = Settings(data=folder, database=DatabaseSettings(url=SecretStr(server)))
        env = {"COUNTERSIGN_DATABASE__URL": server, "COUNTERSIGN_EXECUTOR__TOKEN": "right"}
        async with open_executor(theirs, kinds={"till": KIND}) as room:
            with listening("127.0.0.1", 0) as sock:
                async with answering(room, "right", sock) as url:
                    env["COUNTERSIGN_EXECUTOR__URL"] = url
                    code, lines = await asyncio.to_thread(looked, folder, **env)
                    assert (code, of(lines, "executor")[0]["state"]) == (0, "ok")
                    assert of(lines, "shop")[0]["says"] == "by the executor"
                    wrong = {**env, "COUNTERSIGN_EXECUTOR__TOKEN": "wrong"}
                    code, lines = await asyncio.to_thread(looked, folder, **wrong)
                    assert code == 1
                    assert "does not know our token" in of(lines, "executor")[0]["says"]
        code, lines = await asyncio.to_thread(looked, folder, **env)  # it is gone now
        assert (code, of(lines, "executor")[0]["state"]) == (1, "fail")
        with served({}) as other:
            code, lines = await asyncio.to_thread(looked, folder, **{**env, "COUNTERSIGN_EXECUTOR__URL": other})
            assert code == 1
        env["COUNTERSIGN_EXECUTOR__URL"] = "http://executor.internal:8644"
        code, lines = await asyncio.to_thread(looked, folder, **env)
        assert code == 1
        assert "in the clear" in of(lines, "executor")[0]["says"]


def test_whoever_takes_the_call_and_says_nothing_does_not_hold_it_up(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        code, lines = looked(
            folder,
            "--within",
            "0.3",
            COUNTERSIGN_MODEL__BACKEND="openai",
            COUNTERSIGN_MODEL__BASE_URL=f"http://127.0.0.1:{port}/v1",
            COUNTERSIGN_SHOP__URL=f"http://127.0.0.1:{port}",
            COUNTERSIGN_BUS__URL=f"nats://127.0.0.1:{port}",
            COUNTERSIGN_DATABASE__URL=f"postgresql://me@127.0.0.1:{port}/x",
        )
    assert code == 1
    ill = {line["part"] for line in lines if line["state"] == "fail"}
    assert ill == {"model", "shop", "bus", "database"}


def test_a_variable_that_only_looks_like_a_setting_is_told(folder: Path) -> None:
    Path("countersign.toml").write_text("[engine]\nsweep_s = 9\n")
    code, lines = looked(folder, COUNTERSIGN_DATABASE_URL="postgresql://x", COUNTERSIGN_ENGINE__LEASE_S="7")
    assert code == 0
    says = {line["says"]: line["do"] for line in of(lines, "settings")}
    assert says["COUNTERSIGN_DATABASE_URL is in the environment, and no setting"].startswith(
        "Perhaps COUNTERSIGN_DATABASE__URL"
    )
    assert "engine.lease_s = 7.0  (environment)" in says
    assert "engine.sweep_s = 9.0  (countersign.toml)" in says
    assert looked(folder, COUNTERSIGN_ENGINE__LEASE_S="soon")[0] == 1
