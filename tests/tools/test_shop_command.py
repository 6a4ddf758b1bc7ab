"""`countersign shop` as a process, with a kind's dialect that is found and not registered."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import tools
from core.errors import SetupError
from tools.fulfillment.catalog import choose, dialects, read_world
from tools.fulfillment.command import shop as command
from tools.fulfillment.http import HttpShop

ROOT = Path(__file__).parents[2]
DIALECT = """
from tools.fulfillment.ports import Dialect

def add(records, args):
    records.put("beads", args["bead_id"], args)
    return args

DIALECT = Dialect(
    "abacus_for_tests",
    {"beads": "bead_id"},
    {"beads.get": lambda records, args: records.get("beads", args["bead_id"])},
    {"beads.add": add},
)
"""
MAIN = """
import sys, tools
tools.__path__.append(sys.argv.pop(1))
from tools.fulfillment.command import shop
shop(prog_name="countersign shop")
"""


@pytest.fixture
def kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one kind's tools, installed beside the others."""
    package = tmp_path / "kinds" / "abacus_for_tests"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "shop.py").write_text(DIALECT)
    monkeypatch.setattr(tools, "__path__", [*tools.__path__, str(package.parent)])
    return package.parent


@contextmanager
def running(kinds: Path, *options: str) -> Iterator[tuple[str, list[str]]]:
    """The command in a process of its own, and what it said before it was ready."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COUNTERSIGN_SHOP__TOKEN": "t"}
    arguments = [sys.executable, "-c", MAIN, str(kinds), "--port", "0", "--dialect", "abacus_for_tests", *options]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        said: list[str] = []
        try:
            while not said or " answers at " not in said[-1]:
                line = process.stderr.readline()
                assert line, f"it ended: {said}"
                said.append(line.strip())
            yield said[-1].split(" answers at ")[1], said
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
    assert (process.returncode, rest) == (0, "")


def _do(url: str, *calls: tuple[str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    async def do() -> list[dict[str, Any]]:
        shop = HttpShop(url, "t")
        results = [
            await shop.write(name, args, key="k", case_id="c") if how == "write" else await shop.read(name, args)
            for how, name, args in calls
        ]
        await shop.close()
        return results

    return asyncio.run(do())


def test_it_serves_a_world_and_keeps_what_was_written(kinds: Path, tmp_path: Path) -> None:
    world = tmp_path / "world.json"
    world.write_text(json.dumps({"beads": [{"bead_id": "red"}], "letters": ["left out"]}))
    options = ("--data", str(tmp_path / "new" / "shop.db"), "--world", str(world))
    with running(kinds, *options) as (url, said):
        assert said[0] == f"1 records from {world}"
        assert _do(url, ("read", "beads.get", {"bead_id": "red"})) == [{"bead_id": "red"}]
        _do(url, ("write", "beads.add", {"bead_id": "blue"}))
    world.write_text(json.dumps({"beads": []}))
    with running(kinds, *options) as (url, said):
        assert "was not loaded" in said[0]
        assert _do(url, ("read", "beads.get", {"bead_id": "blue"})) == [{"bead_id": "blue"}]


def test_set_up_mistakes_are_told_before_anything_is_served(
    kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(*options: str) -> str:
        error = CliRunner().invoke(command, ["--dialect", "abacus_for_tests", *options]).exception
        assert isinstance(error, SetupError)
        assert error.hint
        return error.detail

    data = str(tmp_path / "shop.db")
    monkeypatch.delenv("COUNTERSIGN_SHOP__TOKEN", raising=False)
    assert "COUNTERSIGN_SHOP__TOKEN is not set" in refusal("--data", data)
    monkeypatch.setenv("COUNTERSIGN_SHOP__TOKEN", "t")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "in use" in refusal("--data", data, "--port", str(taken.getsockname()[1]))
    assert "can't listen" in refusal("--data", data, "--host", "no-such-host.invalid")
    assert "/proc/keys is no folder" in refusal("--data", "/proc/shop.db", "--port", "0")
    (tmp_path / "taken" / "shop.db").mkdir(parents=True)
    assert "can't be opened" in refusal("--data", str(tmp_path / "taken" / "shop.db"), "--port", "0")
    assert "no dialect 'sundial'" in refusal("--data", data, "--dialect", "sundial")
    assert "no http URL" in refusal("--data", data, "--callback-url", "house.example")
    missing = str(tmp_path / "none.json")
    assert "can't be read" in refusal("--data", data, "--port", "0", "--world", missing)


def test_help_has_an_example() -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output


@pytest.mark.usefixtures("kinds")
def test_a_kinds_dialect_is_found_by_where_it_lies() -> None:
    assert "abacus_for_tests" in dialects()
    assert [dialect.name for dialect in choose(["abacus_for_tests"])] == ["abacus_for_tests"]


@pytest.mark.usefixtures("kinds")
def test_a_world_may_be_lists_or_records_by_id(tmp_path: Path) -> None:
    chosen, path = choose(["abacus_for_tests"]), tmp_path / "world.json"
    for beads in ([{"bead_id": "red"}], {"red": {"bead_id": "red"}}):
        path.write_text(json.dumps({"beads": beads}))
        assert read_world(path, chosen) == {"beads": [{"bead_id": "red"}]}


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"moons": []}',
        '{"beads": 3}',
        '{"beads": [3]}',
        '{"beads": [{}]}',
        '{"beads": [{"bead_id": 1}]}',
        '{"beads": [{"bead_id": "red", "weight": NaN}]}',
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_a_world_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "world.json"
    path.write_text(content)
    with pytest.raises(SetupError):
        read_world(path, choose(["abacus_for_tests"]))
