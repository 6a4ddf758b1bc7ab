"""Commands that open a ledger do so on a PostgreSQL server too, beside whatever runs there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from core.console import countersign
from core.errors import Conflict, CountersignError, SetupError
from ledger.database import Ledger
from ledger.migrate import EMPTY, HEAD, migrate_server
from ledger.server import driver_url, server_database
from ledger.tables import SYSTEM
from tests.support.servers import POSTGRES, answers, fresh_database
from tests.support.till import RING

pytestmark = pytest.mark.skipif(not answers(POSTGRES), reason="no PostgreSQL server answers")

MANY = int(os.environ.get("COUNTERSIGN_TEST_PROCESSES", "3"))


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    with fresh_database() as url:
        monkeypatch.setenv("COUNTERSIGN_DATABASE__URL", url)
        monkeypatch.setenv("COUNTERSIGN_DATA", str(tmp_path / "data"))
        monkeypatch.setenv("COUNTERSIGN_KEYS__RING", RING)
        yield url


def typed(*words: str) -> Result:
    found = CliRunner().invoke(countersign, list(words))
    if isinstance(found.exception, CountersignError):
        raise found.exception
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def test_people_keys_history_and_the_chain(url: str) -> None:
    assert typed("people", "add", "anna", "--role", "operator").stdout.startswith("cs_")
    assert "anna  operator" in typed("people", "list").stdout
    assert typed("people", "token", "anna").stdout.startswith("cs_")
    assert "2 tokens" in typed("people", "revoke", "anna").stdout
    verified = typed("audit", "verify", "--json")
    assert (verified.exit_code, json.loads(verified.stdout)["entries"]) == (0, {"default": 3})
    assert typed("policy", "trust", "list").exit_code == 0


def test_a_chain_that_somebody_changed_is_told(url: str) -> None:
    typed("people", "add", "anna", "--role", "operator")
    database = server_database(url)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER ALL")
        connection.exec_driver_sql("UPDATE audit SET body = replace(body, 'anna', 'hans')")
    database.close()
    found = typed("audit", "verify")
    assert found.exit_code == 1
    assert "broken at entry 1: its content does not match its hash" in found.stdout


def test_a_folder_that_is_named_goes_before_the_server(url: str, tmp_path: Path) -> None:
    typed("people", "add", "otto", "--role", "operator", "--data", str(tmp_path / "own"))
    assert "otto" in typed("people", "list", "--data", str(tmp_path / "own")).stdout
    assert "otto" not in typed("people", "list").stdout


def test_it_migrates_down_and_up_and_asks_before_it_gives_anything_up(url: str) -> None:
    assert typed("migrate").stdout.endswith(f"is of version {HEAD}.\n")
    database = server_database(url)

    def hold(ledger: Ledger) -> None:
        row, _ = ledger.cases.open(kind="k", payload={}, subject="", opened_by="ann", request_key=None)
        row.held = "the prompt changed"
        ledger.session.add(row)

    database.transact("default", hold)
    with pytest.raises(Conflict, match="1 cases held") as told:
        typed("migrate", "--to", "0003")
    assert "--yes" in told.value.hint
    assert typed("migrate").exit_code == 0
    assert "version 0003" in typed("migrate", "--to", "0003", "--yes").stdout
    with pytest.raises(SetupError, match=f"is of version 0003, and this program's is {HEAD}") as older:
        typed("people", "list")
    assert "countersign migrate" in older.value.hint
    assert typed("migrate").exit_code == 0
    row = database.transact("default", lambda ledger: ledger.cases.find()[0], writes=False)
    assert (row.opened_by, row.held) == ("ann", "")
    database.close()
    with pytest.raises(Conflict, match="1 cases"):
        typed("migrate", "--to", EMPTY)
    assert f"version {EMPTY}" in typed("migrate", "--to", EMPTY, "--yes").stdout


def test_several_processes_open_an_empty_database_at_once(url: str, tmp_path: Path) -> None:
    """The saver's tables, the queue's and ours: each is made once, and nobody trips over another."""
    program = (
        "import asyncio, sys; from pathlib import Path; from core.settings import load_settings\n"
        "from serving.house import open_house; from tools.fulfillment.absent import AbsentShop\n"
        "async def main():\n"
        "    settings = load_settings(data=Path(sys.argv[1]))\n"
        "    async with open_house(settings, role=sys.argv[2], shop=AbsentShop()) as house:\n"
        "        print(house.workers is not None)\n"
        "asyncio.run(main())"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / str(number)), "api" if number % 2 else "worker"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(MANY)
    ]
    said = [each.communicate(timeout=120) for each in running]
    assert [(each.returncode, out) for each, (out, _) in zip(running, said, strict=True)] == [(0, "True\n")] * MANY, (
        said
    )
    database = server_database(url)
    assert database.transact(SYSTEM, lambda ledger: ledger.cases.backlog()) == 0
    database.close()
    assert migrate_server(driver_url(url)) == HEAD
