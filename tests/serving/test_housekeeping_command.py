"""`countersign housekeeping`: what takes the room is told, and a trial changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.live import typed
from tests.support.folders import quick_folder
from tests.support.servers import POSTGRES, answers, fresh_database
from tests.support.till import RING, open_till, pay, write

OLD = {
    "COUNTERSIGN_ENGINE__KEEP_CHECKPOINTS_DAYS": "0",
    "COUNTERSIGN_RETENTION__CLOSED_DAYS": "0",
    "COUNTERSIGN_RETENTION__SPENT_DAYS": "0",
}


async def _lived(folder: Path, server: str = "") -> None:
    async with open_till(folder, server=server) as till:
        await till.run([write()], [write(text="bye")])
        await till.run([pay("60.00")])


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as fresh:
        asyncio.run(_lived(fresh / "data"))
        yield fresh / "data"


def test_a_trial_says_what_would_go_and_changes_nothing(folder: Path) -> None:
    before = typed("housekeeping", "sizes", "--data", folder, "--json").json
    said = typed("housekeeping", "run", "--dry-run", "--data", folder, "--json", env=OLD).json
    assert said["dry_run"]
    assert said["done"]["cases erased"] == 1
    assert typed("housekeeping", "sizes", "--data", folder, "--json").json == before

    done = typed("housekeeping", "run", "--data", folder, "--json", env=OLD).json["done"]
    assert done["cases erased"] == 1
    assert done["cases cut to their last step"] == 1
    assert typed("audit", "verify", "--data", folder).code == 0
    assert typed("housekeeping", "run", "--data", folder, env=OLD).out == "There is nothing to do.\n"


def test_by_default_no_case_is_erased(folder: Path) -> None:
    assert "erased" not in typed("housekeeping", "run", "--data", folder).out


def test_sizes_are_told_by_table_for_each_case_and_a_day(folder: Path) -> None:
    found = typed("housekeeping", "sizes", "--data", folder, "--json").json
    tables = {table["table"]: table for table in found["tables"]}
    assert tables["ledger.case"]["rows"] == 2
    assert tables["checkpoints.checkpoints"]["bytes"] > 0
    assert (found["cases"], found["unfinished"]) == (2, 1)
    assert found["bytes_a_case"] > 1_000
    files = ("ledger.db", "checkpoints.db", "shop.db")
    assert found["bytes"] <= sum((folder / name).stat().st_size for name in files)
    shown = typed("housekeeping", "sizes", "--data", folder).out
    assert "█" in shown
    assert "2 cases, 1 unfinished" in shown


def test_files_are_rewritten_without_their_gaps_while_no_server_runs(folder: Path) -> None:
    said = typed("housekeeping", "run", "--compact", "--data", folder, "--json", env=OLD)
    assert said.code == 0
    assert said.json["freed_bytes"] >= 0
    assert typed("housekeeping", "sizes", "--data", folder, "--json").json["free_bytes"] == 0


async def test_beside_a_running_house_files_are_not_rewritten(folder: Path) -> None:
    async with open_till(folder) as till:
        said = await asyncio.to_thread(typed, "housekeeping", "run", "--compact", "--data", folder, env=OLD)
        assert said.code == 2
        assert "is in use by process" in said.err
        waits = await till.run([pay("60.00")], customer="cus_2")
        await till.approve("ann", waits)


def test_a_folder_without_data_is_told(tmp_path: Path) -> None:
    said = typed("housekeeping", "sizes", "--data", tmp_path)
    assert said.code == 2
    assert "There is no data" in said.err


@pytest.mark.skipif(not answers(POSTGRES), reason="no PostgreSQL here")
def test_on_a_server_too(tmp_path: Path) -> None:
    with fresh_database() as url:
        asyncio.run(_lived(tmp_path, url))
        env = {**OLD, "COUNTERSIGN_DATABASE__URL": url, "COUNTERSIGN_DATA": str(tmp_path)}
        env["COUNTERSIGN_KEYS__RING"] = RING
        found = typed("housekeeping", "sizes", "--json", env=env).json
        assert (found["cases"], found["where"]) == (2, "the server")
        assert "public.case" in {table["table"] for table in found["tables"]}
        assert typed("housekeeping", "run", "--json", env=env).json["done"]["cases erased"] == 1
