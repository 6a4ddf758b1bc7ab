"""The benchmarks run, and put every figure beside its floor. How fast anything is, no test can tell."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks.__main__ import bench


def test_figures_stand_beside_their_floors_in_one_table(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    ran = CliRunner().invoke(
        bench, ["cases", "policy", "effect", "--quick", "--json", str(file)], catch_exceptions=False
    )

    assert ran.exit_code == 0
    assert "ratio" in ran.stdout
    assert " x " in ran.stdout
    written = json.loads(file.read_text())
    assert {"cores", "python", "load"} <= set(written["machine"])
    assert len(written["figures"]) == 5
    for figure in written["figures"]:
        assert figure["ratio_wall"] > 0
        assert figure["name"].split(":")[0].split(",")[0] in ran.stdout
    assert "An average case" in ran.stdout


def test_an_unknown_figure_is_told() -> None:
    ran = CliRunner().invoke(bench, ["speed"])

    assert ran.exit_code == 2
    assert "cases" in ran.stderr
