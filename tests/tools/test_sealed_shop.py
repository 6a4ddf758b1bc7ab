"""The shop's file tells nothing about its customers, and finds them all the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from core.actions import JSON
from core.clock import FakeClock
from core.errors import KeyMissing
from core.sealing import MasterRing, new_master_key
from tools.fulfillment.ports import Dialect, Records
from tools.fulfillment.shop import EmbeddedShop

ROSA = {"id": "cus_000001", "name": "Rosa Müller", "email": "rosa.mueller@example.com", "orders": 3}


def by_email(records: Records, args: Mapping[str, JSON]) -> dict[str, JSON]:
    return {"found": [body["id"] for body in records.where("people", email=args["email"], orders=3)]}


def greet(records: Records, args: Mapping[str, JSON]) -> dict[str, JSON]:
    who = records.get("people", str(args["id"]))
    records.put("people", who["id"], {**who, "greeted": "with a long letter to Rosa"})
    return {"said": f"Dear {who['name']}", "times": 1}


GUESTS = Dialect(
    name="guests",
    collections={"people": "id"},
    queries={"people.by_email": by_email},
    operations={"people.greet": greet},
    indexes={"people": ("email",)},
)
KEYS = MasterRing([new_master_key()], "this test")


def shop(folder: Path, masters: MasterRing | None = KEYS) -> EmbeddedShop:
    return EmbeddedShop(folder / "shop.db", [GUESTS], FakeClock(), masters=masters)


async def test_people_are_found_by_what_lies_sealed(tmp_path: Path) -> None:
    first = shop(tmp_path)
    await first.load({"people": [ROSA]})
    assert await first.write("people.greet", {"id": "cus_000001"}, key="k", case_id="c") == {
        "said": "Dear Rosa Müller",
        "times": 1,
    }
    await first.close()
    again = shop(tmp_path)
    assert await again.read("people.by_email", {"email": "rosa.mueller@example.com"}) == {"found": ["cus_000001"]}
    assert await again.read("people.by_email", {"email": "ross.mueller@example.com"}) == {"found": []}
    assert (await again.log())[0].result["said"] == "Dear Rosa Müller"
    assert (await again.dump("people"))["cus_000001"]["greeted"] == "with a long letter to Rosa"
    await again.close()
    assert not {name for name in ("Rosa", "ller", "rosa", "example.com", "letter") if on_disk(tmp_path, name)}


async def test_in_the_clear_it_would_be_found(tmp_path: Path) -> None:
    open_shop = shop(tmp_path, None)
    await open_shop.load({"people": [ROSA]})
    await open_shop.close()
    assert on_disk(tmp_path, "rosa.mueller@example.com")


async def test_what_was_there_before_is_read_when_keys_come(tmp_path: Path) -> None:
    before = shop(tmp_path, None)
    await before.load({"people": [ROSA]})
    await before.close()
    after = shop(tmp_path)
    assert (await after.dump("people"))["cus_000001"] == ROSA
    await after.close()


async def test_without_its_key_it_is_not_opened(tmp_path: Path) -> None:
    first = shop(tmp_path)
    await first.close()
    for other in (None, MasterRing([new_master_key()], "another house")):
        with pytest.raises(KeyMissing, match=KEYS.current.id):
            shop(tmp_path, other)


async def test_a_new_master_key_wraps_its_key_at_the_next_start(tmp_path: Path) -> None:
    first = shop(tmp_path)
    await first.load({"people": [ROSA]})
    await first.close()
    newer = MasterRing([*KEYS.keys, new_master_key()], "this test")
    second = shop(tmp_path, newer)
    await second.close()
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        assert db.execute("SELECT master FROM sealed_key").fetchall() == [(newer.current.id,)]
    third = shop(tmp_path, MasterRing(newer.keys[1:], "without the old one"))
    assert (await third.dump("people"))["cus_000001"] == ROSA
    await third.close()


def on_disk(folder: Path, word: str) -> bool:
    return any(word.encode() in file.read_bytes() for file in folder.iterdir() if file.is_file())
