"""What the demo's folder says about its customers to whoever copies it: nothing. Nor do the log lines of its run."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.key_settings import KeySettings
from core.personal import texts
from core.settings import Settings
from graphs.kind import Rehearsal
from serving.demo.folder import Playbill, prepare
from serving.demo.run import play, playable, rehearsal

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def personal(stage: Rehearsal) -> set[str]:
    """Names, e-mail and street addresses of the world's customers, and every line of the letters that come in."""
    found: set[str] = set()
    for customer in stage.records["customers"]:
        found |= {str(customer[field]) for field in ("name", "email", "address")}
    for _, payload in stage.requests:
        found |= {line.strip() for text in texts(payload) for line in text.splitlines() if len(line.split()) > 2}
    return {each for each in found if len(each) > 6}


def on_disk(folder: Path, words: set[str]) -> Iterator[tuple[str, str]]:
    """Which file says which of them: as it is, or as JSON would have it."""
    forms = {form: word for word in words for form in (word.encode(), json.dumps(word)[1:-1].encode())}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        yield from ((file.name, word) for form, word in forms.items() if form in content)


async def played(folder: Path, cases: int, keys: KeySettings) -> set[str]:
    kind = playable()
    bill = prepare(folder, Playbill(kind=kind.name, cases=cases, seed=7, now=NOW), fresh=True)
    stage = rehearsal(kind, bill)
    words = personal(stage)
    done = await play(Settings(data=folder, keys=keys), kind, bill, rehearsal(kind, bill), lambda *_: None)
    assert done.wrong() == []
    return words


async def test_the_folder_of_the_demo_names_no_customer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        words = await played(tmp_path / "demo", 5, KeySettings())
    assert len(words) > 500
    assert sorted(set(on_disk(tmp_path, words))) == []
    assert [word for word in words if word in caplog.text] == []


async def test_the_scan_finds_what_lies_in_the_clear(tmp_path: Path) -> None:
    words = await played(tmp_path / "demo", 1, KeySettings(encrypt=False))
    files = {file.removesuffix("-wal") for file, _ in on_disk(tmp_path, words)}
    assert {"ledger.db", "checkpoints.db", "shop.db"} <= files
