"""The history of a policy: how each version came, and which one is in force now."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.people import HOME
from graphs.catalog import book_of
from ledger.database import Ledger
from ledger.policy_tables import PolicyRow
from serving.commands.ledger_access import opened
from tests.serving.live import typed
from tests.support.folders import quick_folder

KIND = "tau2_retail"


def version(number: str, source: str, key: str, *, since: str = "2000-01-01") -> PolicyRow:
    text = re.sub(r"^version: .*$", f"version: {number}", book_of(KIND).read_text(), flags=re.M)
    text = re.sub(r"^in_force: .*$", f"in_force: {{from: {since}}}", text, flags=re.M)
    digest = hashlib.sha256(text.encode()).hexdigest()
    row = PolicyRow(kind=KIND, name=KIND, version=number, digest=digest, text=text, source=source, key=key)
    row.case_id = "" if source == "installed" else f"case_{key}"
    row.signatures = [{"name": "lead", "value": ""}] if source == "published" else []
    return row


@pytest.fixture
def folder() -> Iterator[Path]:
    def fill(ledger: Ledger) -> None:
        ledger.policies.publish(version("1", "installed", "a"))
        ledger.policies.publish(version("2", "published", "b"))
        ledger.policies.publish(version("1", "rolled_back", "c"))
        ledger.policies.publish(version("3", "published", "d", since="2199-01-01"))

    with quick_folder() as path:
        with opened(path, create=True) as database:
            database.transact(HOME, fill)
        yield path


def test_what_is_in_force_is_marked_and_what_came_back_says_so(folder: Path) -> None:
    lines = typed("policy", "history", KIND, "--data", folder).out.splitlines()
    assert [(line[0], line.split()[4]) for line in lines if line.startswith("*")] == [("*", "1")]
    assert [line.split("  ")[-1] for line in lines] == [
        "signed by lead, case_d",
        "brought back, case_c",
        "signed by lead, case_b",
        "installed",
    ]
    assert [line.startswith("*") for line in lines] == [False, True, False, False]


def test_scripts_are_told_it_too(folder: Path) -> None:
    rows = typed("policy", "history", "--data", folder, "--json").json
    assert [(row["version"], row["source"]) for row in rows if row["in_force"]] == [("1", "rolled_back")]
