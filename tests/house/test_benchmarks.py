"""The benchmarks run, and put every figure beside its floor. How fast anything is, no test can tell."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks.__main__ import bench
from benchmarks.cases import Course


def test_figures_stand_beside_their_floors_in_one_table(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    ran = CliRunner().invoke(bench, ["policy", "effect", "--quick", "--json", str(file)], catch_exceptions=False)

    assert ran.exit_code == 0
    assert "ratio" in ran.stdout
    written = json.loads(file.read_text())
    assert {"cores", "python", "load"} <= set(written["machine"])
    assert [figure["name"].split(":")[0] for figure in written["figures"]] == [
        "a decision",
        "a decision",
        "an effect, through the executor",
    ]
    for figure in written["figures"]:
        assert figure["ratio_wall"] > 0
        assert figure["beside"].split(",")[0] in ran.stdout


async def test_the_bare_graph_goes_the_way_of_the_house(tmp_path: Path) -> None:
    course = Course(tmp_path, 3)

    await course.house("tasks")
    await course.bare()

    assert course.tally.counts["supersteps"] == course.bare_tally.counts["supersteps"] > 10
    assert course.tally.counts["effect.done"] > 0


def test_an_unknown_figure_is_told() -> None:
    ran = CliRunner().invoke(bench, ["speed"])

    assert ran.exit_code == 2
    assert "cases" in ran.stderr
