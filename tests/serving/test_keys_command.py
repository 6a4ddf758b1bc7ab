"""Master keys come and go beside a house that has data, and a house without its keys does not start."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from core import key_file
from core.errors import KeyMissing, SetupError
from core.key_settings import KeySettings
from core.people import HOME
from core.sealing import DataKey, MasterRing
from core.settings import Settings
from ledger.database import Ledger, sqlite_database
from ledger.key_rotation import rewrap
from ledger.key_tables import DataKeyRow
from serving.storage import open_storage
from tests.serving.live import typed

LETTER = {"letter": "Dear shop, I am Rosa Lindqvist."}


def settings(folder: Path, keys: KeySettings | None = None) -> Settings:
    return Settings(data=folder, keys=keys or KeySettings())


def opened_case(folder: Path) -> str:
    with open_storage(settings(folder)) as storage:
        return storage.database.transact(HOME, _open)


def _open(ledger: Ledger) -> str:
    case, _ = ledger.cases.open(kind="returns", payload=LETTER, subject="cus_1", opened_by="ann", request_key=None)
    return case.id


def payload(folder: Path, case: str, keys: KeySettings | None = None) -> object:
    with open_storage(settings(folder, keys)) as storage:
        return storage.database.transact(HOME, lambda ledger: ledger.cases.get(case).payload, writes=False)


def ring(folder: Path) -> MasterRing:
    found = key_file.read(key_file.beside(folder))
    assert found is not None
    return found


def test_a_new_key_opens_what_is_there_and_the_old_one_can_go(tmp_path: Path) -> None:
    case = opened_case(tmp_path)
    (old,) = ring(tmp_path).keys
    said = typed("keys", "rotate", "--data", tmp_path)
    assert said.code == 0, said.err
    assert f"countersign keys retire {old.id}" in said.err
    assert ring(tmp_path).keys[0].id == old.id
    assert payload(tmp_path, case) == LETTER
    listed = typed("keys", "list", "--data", tmp_path, "--json").json["keys"]
    assert [(row["in_force"], row["data_keys"]) for row in listed] == [(False, 0), (True, 3)]
    assert typed("keys", "retire", old.id, "--data", tmp_path).code == 0
    assert len(ring(tmp_path).keys) == 1
    assert payload(tmp_path, case) == LETTER
    assert typed("audit", "verify", "--data", tmp_path).code == 0


def test_a_running_house_learns_of_a_new_key(tmp_path: Path) -> None:
    case = opened_case(tmp_path)
    database = sqlite_database(tmp_path / "ledger.db")
    assert typed("keys", "rotate", "--data", tmp_path).code == 0
    try:
        assert database.transact(HOME, lambda ledger: ledger.cases.get(case).payload, writes=False) == LETTER
    finally:
        database.close()


def test_a_key_that_is_added_waits_until_every_machine_has_it(tmp_path: Path) -> None:
    opened_case(tmp_path)
    (old,) = ring(tmp_path).keys
    assert "opens only" in typed("keys", "add", "--data", tmp_path).out
    added = ring(tmp_path).keys[0]
    assert ring(tmp_path).current == old
    assert typed("keys", "rotate", "--data", tmp_path).code == 0
    assert [key.id for key in ring(tmp_path).keys] == [old.id, added.id]


def test_a_key_in_use_is_not_taken_away(tmp_path: Path) -> None:
    opened_case(tmp_path)
    (only,) = ring(tmp_path).keys
    assert "is in force" in typed("keys", "retire", only.id, "--data", tmp_path).err
    typed("keys", "rotate", "--data", tmp_path)
    master, wrapped = MasterRing([only], "a process that has not heard of it").wrap(DataKey.new("case_1"))
    with open_storage(settings(tmp_path)) as storage:
        row = DataKeyRow(id="case_1", master=master, wrapped=wrapped, created_at=storage.database.clock.now())
        storage.database.transact(HOME, lambda ledger: ledger.session.add(row))
    refused = typed("keys", "retire", only.id, "--data", tmp_path)
    assert "still wraps 1 data keys" in refused.err
    assert typed("keys", "rotate", "--data", tmp_path).code == 0


@pytest.mark.parametrize("how", ["lost", "another", "off"])
def test_a_house_without_its_keys_does_not_start(tmp_path: Path, how: str) -> None:
    case = opened_case(tmp_path)
    key = ring(tmp_path).current
    path = key_file.beside(tmp_path)
    path.rename(tmp_path / "kept")
    if how == "another":
        key_file.make(path)
    with pytest.raises(KeyMissing, match=key.id) as refused:
        payload(tmp_path, case, KeySettings(encrypt=how != "off"))
    assert "COUNTERSIGN_KEYS__FILE" in refused.value.hint
    assert path.exists() is (how == "another")  # none was made over it
    env = {"COUNTERSIGN_DATA": str(tmp_path)}
    said = next(line for line in typed("doctor", "--json", env=env).json["lines"] if line["part"] == "keys")
    assert (said["state"], key.id in said["says"]) == ("fail", True)
    listed = typed("keys", "list", "--data", tmp_path)
    assert (listed.code, "MISSING" in listed.out) == (1, True)
    assert payload(tmp_path, case, KeySettings(file=tmp_path / "kept")) == LETTER
    assert payload(tmp_path, case, KeySettings.model_validate({"ring": key.text})) == LETTER


def test_a_running_house_goes_on_when_the_old_key_is_gone(tmp_path: Path) -> None:
    """It reads nothing in between that would tell it of the new key."""
    opened_case(tmp_path)
    (old,) = ring(tmp_path).keys
    database = sqlite_database(tmp_path / "ledger.db")
    try:
        before = database.transact(HOME, _open)
        assert typed("keys", "rotate", "--data", tmp_path).code == 0
        assert typed("keys", "retire", old.id, "--data", tmp_path).code == 0
        after = database.transact(HOME, _open)
    finally:
        database.close()
    assert payload(tmp_path, before) == payload(tmp_path, after) == LETTER


def test_a_key_that_was_in_force_never_is_again(tmp_path: Path) -> None:
    opened_case(tmp_path)
    in_force = [ring(tmp_path).current.id]
    for _ in range(3):
        assert typed("keys", "rotate", "--data", tmp_path).code == 0
        in_force.append(ring(tmp_path).current.id)
    assert len(set(in_force)) == 4
    assert [key.id for key in ring(tmp_path).keys] == in_force


def test_keys_are_rotated_while_others_write(tmp_path: Path) -> None:
    opened_case(tmp_path)
    database = sqlite_database(tmp_path / "ledger.db")
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.4, other.execute, ["COMMIT"])
    done.start()
    try:
        assert rewrap(database, key_file.turned(key_file.beside(tmp_path), ring(tmp_path)), lambda _: None) == 2
    finally:
        done.join()
        other.close()
        database.close()


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    opened_case(tmp_path)
    path = key_file.beside(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(SetupError, match="640"):
        opened_case(tmp_path)


@pytest.mark.parametrize(
    ("line", "says"),
    [("m0 2026-11-23", "is not 'id day key'"), ("m0000000000 2026-11-23 {key}", "is called"), ("x x ???", "no base64")],
)
def test_a_key_file_that_was_changed_is_told(tmp_path: Path, line: str, says: str) -> None:
    opened_case(tmp_path)
    path = key_file.beside(tmp_path)
    path.write_text(line.format(key=ring(tmp_path).current.text) + "\n")
    with pytest.raises(SetupError, match=says):
        opened_case(tmp_path)


def test_a_house_that_gets_keys_seals_what_it_has(tmp_path: Path) -> None:
    with open_storage(settings(tmp_path, KeySettings(encrypt=False))) as storage:
        case = storage.database.transact(HOME, _open)
    assert b"Rosa Lindqvist" in on_disk(tmp_path)
    assert payload(tmp_path, case) == LETTER
    assert b"Rosa Lindqvist" not in on_disk(tmp_path)
    assert "0 rows were sealed" in typed("keys", "seal", "--data", tmp_path).out


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())
