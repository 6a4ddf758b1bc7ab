"""The shop's database: look-ups, worlds, and files that it must not touch."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.errors import ProviderRefused, ProviderUnavailable, SetupError
from tools.fulfillment.ports import Dialect, Records
from tools.fulfillment.shop import EmbeddedShop


def _where(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    return {"ids": [thing["thing_id"] for thing in records.where("things", **args)]}


def _put(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    records.put("things", args["id"], args["body"])
    return {}


def _sneak(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    records.put("things", "sneaked", {"thing_id": "sneaked"})
    return {}


def _spoil(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    thing = records.get("things", "a")
    thing["colour"] = "changed, but never put"
    return thing


THINGS = Dialect(
    name="things",
    collections={"things": "thing_id"},
    queries={"things.where": _where, "things.sneak": _sneak, "things.spoil": _spoil},
    operations={"things.put": _put},
    indexes={"things": ("owner", "colour")},
)
A_FEW: list[dict[str, Any]] = [
    {"thing_id": "b", "owner": "ada", "colour": "red", "count": 1, "flag": True},
    {"thing_id": "a", "owner": "ada", "colour": None, "count": 0, "flag": False, "ratio": 0.1},
    {"thing_id": "c", "owner": "bob'; --", "count": True, "flag": 1, "tags": ["x"], "big": 2**70},
    {"thing_id": "d", "owner": "žluť", "count": "1", "flag": None},
]


@pytest.mark.parametrize(
    ("equals", "ids"),
    [
        ({"owner": "ada"}, ["a", "b"]),
        ({"owner": "ada", "colour": "red"}, ["b"]),
        ({"owner": "bob'; --"}, ["c"]),
        ({"owner": "žluť"}, ["d"]),
        ({"owner": "nobody"}, []),
        ({"colour": None}, ["a", "c", "d"]),
        ({"count": 1}, ["b"]),
        ({"count": True}, ["c"]),
        ({"count": "1"}, ["d"]),
        ({"flag": False}, ["a"]),
        ({"tags": ["x"]}, ["c"]),
        ({"ratio": 0.1}, ["a"]),
        ({"big": 2**70}, ["c"]),
        ({"big": 2**70 + 1}, []),
        ({}, ["a", "b", "c", "d"]),
    ],
)
async def test_where_finds_exactly_what_is_equal(equals: dict[str, Any], ids: list[str]) -> None:
    shop = EmbeddedShop(None, [THINGS])
    assert await shop.load({"things": A_FEW}) == 4
    assert (await shop.read("things.where", equals))["ids"] == ids
    await shop.close()


async def test_a_field_name_is_never_sql() -> None:
    shop = EmbeddedShop(None, [THINGS])
    with pytest.raises(ValueError, match="name of a collection or field"):
        await shop.read("things.where", {"owner') OR ('1": "1"})
    await shop.close()


async def test_a_look_up_among_many_reads_only_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    shop = EmbeddedShop(path, [THINGS])
    await shop.load({"things": ({"thing_id": f"t{n:05}", "owner": f"o{n % 5000}"} for n in range(20_000))})
    assert (await shop.read("things.where", {"owner": "o77"}))["ids"] == ["t00077", "t05077", "t10077", "t15077"]
    await shop.close()
    with sqlite3.connect(path) as database:
        plan = database.execute(
            "EXPLAIN QUERY PLAN SELECT body FROM records WHERE collection = 'things' "
            "AND json_extract(body, '$.owner') IS 'o77' ORDER BY id"
        ).fetchall()
    database.close()
    assert [step[-1] for step in plan] == ["SEARCH records USING INDEX things_by_owner (<expr>=?)"]


async def test_a_query_can_change_nothing() -> None:
    shop = EmbeddedShop(None, [THINGS])
    await shop.load({"things": A_FEW})
    before = await shop.dump("things")
    with pytest.raises(TypeError):
        await shop.read("things.sneak", {})
    await shop.read("things.spoil", {})
    assert await shop.dump("things") == before == {thing["thing_id"]: thing for thing in A_FEW}
    await shop.close()


async def test_a_record_cannot_be_put_under_a_name_that_it_does_not_carry() -> None:
    shop = EmbeddedShop(None, [THINGS])
    with pytest.raises(ValueError, match="carries another thing_id"):
        await shop.write("things.put", {"id": "a", "body": {"thing_id": "b"}}, key="k", case_id="c")
    assert await shop.dump("things") == {}
    await shop.close()


async def test_a_world_is_loaded_whole_or_not_at_all() -> None:
    def torn() -> Iterator[dict[str, Any]]:
        yield from A_FEW
        raise ConnectionError("the file ended here")

    shop = EmbeddedShop(None, [THINGS])
    with pytest.raises(ConnectionError):
        await shop.load({"things": torn()})
    with pytest.raises(ValueError, match="no dialect names"):
        await shop.load({"things": A_FEW, "elsewhere": [{}]})
    assert await shop.is_empty()
    await shop.load({"things": A_FEW})
    await shop.load({"things": [A_FEW[0] | {"colour": "blue"}]})
    assert (await shop.dump("things"))["b"]["colour"] == "blue"
    assert await shop.log() == []
    await shop.close()


def test_dialects_that_contradict_each_other_are_refused() -> None:
    other = Dialect(name="other", collections={"things": "another_id"})
    with pytest.raises(ValueError, match="second meaning"):
        EmbeddedShop(None, [THINGS, other])


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    await EmbeddedShop(path, [THINGS]).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(SetupError, match="newer version") as refused:
        EmbeddedShop(path, [THINGS])
    assert "Upgrade" in refused.value.hint


def test_a_file_that_is_not_the_shops_is_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("Dear diary, " * 500)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE cases (id)")
    database.close()
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(SetupError):
            EmbeddedShop(path, [THINGS])
        assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "shop.db", tmp_path, Path("/proc/shop.db")):
        with pytest.raises(SetupError, match="can't be opened"):
            EmbeddedShop(path, [THINGS])


async def test_a_locked_database_is_not_available_and_nothing_happened(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    shop = EmbeddedShop(path, [THINGS], busy_timeout_s=0.05)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    call = {"id": "a", "body": {"thing_id": "a"}}
    with pytest.raises(ProviderUnavailable):
        await shop.write("things.put", call, key="k", case_id="c")
    with pytest.raises(ProviderRefused):  # reading goes on beside a writer
        await shop.read("things.spoil", {})
    blocker.execute("ROLLBACK")
    blocker.close()
    await shop.write("things.put", call, key="k", case_id="c")
    assert len(await shop.log()) == 1
    await shop.close()


async def test_two_processes_on_one_file_share_keys(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    one, two = EmbeddedShop(path, [THINGS]), EmbeddedShop(path, [THINGS])
    call = {"id": "a", "body": {"thing_id": "a"}}
    await one.write("things.put", call, key="k", case_id="c")
    await two.write("things.put", call, key="k", case_id="c")
    assert len(await one.log()) == len(await two.log()) == 1
    await one.close()
    await two.close()


def _open_files() -> list[str]:
    return [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]


async def test_closing_leaves_no_thread_and_no_open_file(tmp_path: Path) -> None:
    before = threading.active_count()
    shop = EmbeddedShop(tmp_path / "shop.db", [THINGS])
    await shop.load({"things": A_FEW})
    await shop.close()
    assert [t.name for t in threading.enumerate() if t.name.startswith("shop")] == []
    assert threading.active_count() <= before + 1  # the loop's own helper for blocking work
    assert not [name for name in _open_files() if name.startswith(str(tmp_path))]
