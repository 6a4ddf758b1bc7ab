"""The demo: clean, honest about what came of it, and ready for the desk."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.money import Money
from core.settings import ModelSettings, Settings
from ledger.kpis import Spread, figures
from serving.demo.folder import MARK, Playbill, playbill, prepare
from serving.demo.run import play, playable, rehearsal
from tests.serving.live import Typed, living, typed
from tests.support.folders import quick_folder
from tests.support.model_server import nobody
from tests.support.returns_desk import NOW

CASES = 12


@dataclass(frozen=True)
class Demo:
    folder: Path
    said: Typed


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with quick_folder() as parent:
        folder = parent / "demo"
        yield Demo(folder, typed("demo", "--cases", str(CASES), "--seed", "3", "--data", folder))


def test_it_says_what_came_of_every_case(demo: Demo) -> None:
    said = demo.said
    assert said.code == 0
    assert f"Retail return: {CASES} cases of seed 3" in said.out
    (closed,) = re.findall(r"Closed without a person +(\d+)", said.out)
    (waiting,) = re.findall(r"Waiting for people +(\d+)", said.out)
    assert int(closed) + int(waiting) == CASES
    assert int(closed) > 0
    assert int(waiting) > 0
    assert re.search(r"Failed +0 ", said.out)
    assert re.search(r"by desk +\d+", said.out)
    assert re.search(r"\d+  [A-Z]{2}-\d\d  \w", said.out)
    assert re.search(r"platform +0\.0400 USD", said.out)
    assert "p95" in said.out
    assert "nothing lost, nothing twice, nothing without its approval" in said.out
    assert re.search(rf"countersign demo desk --data {re.escape(str(demo.folder))}  +decide what waits", said.out)


def test_in_a_pipe_it_prints_plain_lines(demo: Demo) -> None:
    assert "\x1b" not in demo.said.out
    assert "\r" not in demo.said.out
    assert f"{CASES} of {CASES} cases: " in demo.said.out
    assert all(len(line) < 140 for line in demo.said.out.splitlines())


def test_its_report_is_one_file_that_loads_nothing(demo: Demo) -> None:
    page = (demo.folder / "report.html").read_text()
    assert f"Retail return: {CASES} cases" in page
    assert page.count("<svg") == 2
    assert "</html>" in page
    assert not re.search(r"<script|https?:|src=|@import|<link", page)


def test_each_of_its_people_has_a_token_that_nobody_else_can_read(demo: Demo) -> None:
    tokens = {path.stem: path for path in (demo.folder / "people").iterdir()}
    assert set(tokens) == {"rita", "sam", "fin1", "fin2", "ops"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tokens.values()} == {0o600}
    roles = {person["id"]: person["roles"] for person in typed("people", "list", "--data", demo.folder, "--json").json}
    assert roles["rita"] == ["returns_reviewer"]
    assert roles["fin1"] == roles["fin2"] == ["finance_controller"]
    (local,) = (found for name, found in roles.items() if name not in tokens)
    assert {"admin", "operator", "returns_reviewer", "finance_controller"} <= set(local)


def test_its_books_can_be_checked_afterwards(demo: Demo) -> None:
    assert typed("audit", "verify", "--data", demo.folder).code == 0
    checked = typed("audit", "check", "--data", demo.folder, "--json")
    assert checked.code == 0
    assert checked.json["cases"] == CASES
    assert checked.json["runs"] >= checked.json["provider_calls"] > CASES


def test_the_desk_opens_on_its_queue_and_its_server_is_gone_afterwards(demo: Demo) -> None:
    words = [sys.executable, "-m", "core.console", "demo", "desk", "--data", str(demo.folder), "--as", "rita"]
    desk = subprocess.run([*words, "list", "--json"], capture_output=True, text=True, timeout=120, check=False)
    assert desk.returncode == 0, desk.stderr
    (waiting,) = re.findall(r"Waiting for people +(\d+)", demo.said.out)
    assert json.loads(desk.stdout)["total"] == int(waiting)
    assert not (demo.folder / "local-address").exists()
    nobody_there = typed("demo", "desk", "--data", demo.folder, "--as", "mallory")
    assert nobody_there.code == 2
    assert "rita" in nobody_there.err


def test_it_goes_on_with_what_an_earlier_run_left(demo: Demo) -> None:
    on = typed("demo", "--cases", "9", "--seed", "1", "--no-fresh", "--data", demo.folder)
    assert on.code == 0
    assert f"{CASES} cases of seed 3, begun by an earlier run" in on.out


def test_otherwise_it_starts_clean(tmp_path: Path) -> None:
    first = Playbill(kind="returns", cases=2, seed=7, now=NOW)
    second = first.model_copy(update={"seed": 8})
    assert prepare(tmp_path, first, fresh=True) == first
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "rita.token").write_text("secret")
    (tmp_path / "elsewhere").symlink_to(tmp_path.parent)
    assert prepare(tmp_path, second, fresh=False) == first
    assert (tmp_path / "people").exists()
    assert prepare(tmp_path, second, fresh=True) == playbill(tmp_path) == second
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARK, "lock"]
    assert tmp_path.parent.exists()


def test_it_deletes_nothing_but_a_demo(tmp_path: Path) -> None:
    precious = tmp_path / "photos"
    precious.mkdir()
    (precious / "wedding.jpg").write_bytes(b"x")
    (precious / MARK).write_text('{"format": "something else"}')
    for words in ((), ("--no-fresh",)):
        said = typed("demo", *words, "--data", precious)
        assert said.code == 2
        assert "is no demo" in said.err
    assert sorted(path.name for path in precious.iterdir()) == [MARK, "wedding.jpg"]
    assert typed("demo", "desk", "--data", precious).code == 1


async def test_it_leaves_a_demo_alone_that_a_server_holds(tmp_path: Path) -> None:
    with quick_folder() as folder:
        (folder / MARK).write_text(
            '{"format": "countersign-demo", "kind": "returns", "cases": 2, "seed": 7, "now": "2026-11-02T00:00:00Z"}'
        )
        assert playbill(folder) is not None
        async with living(Settings(data=folder)) as live:
            said = typed("demo", "--data", folder)
            assert said.code == 2
            assert f"in use by process {os.getpid()}" in said.err
            await live.submit(await live.small())


async def test_a_model_that_is_down_is_no_good_run() -> None:
    with quick_folder() as folder:
        model = ModelSettings(backend="openai", base_url=nobody(), retries=0)
        kind, bill = playable(), Playbill(kind="returns", cases=2, seed=7, now=NOW)
        settings = Settings(data=folder, model=model)
        played = await play(settings, kind, bill, rehearsal(kind, bill), lambda *_: None, bell="tasks")
    assert played.wrong() == ["2 cases have not settled."]
    assert played.figures.by_status == {"paused": 2}


async def test_figures_tell_who_decided_and_what_it_cost() -> None:
    with quick_folder() as folder:
        async with living(Settings(data=folder)) as live:
            await live.submit(await live.small())
            case, approval = await live.waiting(await live.dear())
            await live.waiting(await live.dear())
            async with live.as_("rita") as rita:
                vote = {"choice": "approve", "seen": approval["seen"], "dwell_s": 90}
                await rita.post(f"/approvals/{approval['approval']['id']}/decide", json=vote)
            await live.house.settled("default", {case["case"]["id"]})
            found = await live.house.database.read("default", lambda ledger: figures(ledger.session))
    assert (found.cases, found.closed, found.alone, found.parked) == (3, 2, 1, 1)
    assert found.outcomes == {"refunded": 2}
    assert found.unattended == {"refunded": 1}
    (waiting,) = found.waiting
    assert waiting.groups == "desk"
    assert waiting.why[0].rule.startswith("RF-")
    costs = {line.component: (line.closed, line.unfinished) for line in found.costs}
    nothing = Money.zero("USD")
    assert costs["reviewer"] == (Money.parse("0.90 USD"), nothing)
    assert costs["platform"] == (Money.parse("0.08 USD"), nothing)


def test_percentiles_are_figures_that_were_measured() -> None:
    assert Spread.of([]) == Spread()
    assert Spread.of([3.0]) == Spread(p50=3.0, p95=3.0, most=3.0)
    hundred = [float(number) for number in range(100, 0, -1)]
    assert Spread.of(hundred) == Spread(p50=50.0, p95=95.0, most=100.0)
