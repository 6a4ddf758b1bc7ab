"""Agents can't reach what acts: an import that would let them is refused before anything runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT, floors, read

CONTRACT = "Agents only propose: no tool that runs, no judge, no record"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The floors of the house and this one contract. The linter reads imports, and runs nothing."""
    folder = tmp_path_factory.mktemp("tree")
    for floor in floors():
        shutil.copytree(ROOT / floor, folder / floor, ignore=shutil.ignore_patterns("__pycache__", "*.yaml"))
    parts = read("pyproject.toml").split("[[tool.importlinter.contracts]]")
    general = parts[0][parts[0].index("[tool.importlinter]") :]
    (contract,) = (part for part in parts if CONTRACT in part)
    (folder / "pyproject.toml").write_text(f"{general}[[tool.importlinter.contracts]]{contract}")
    return folder


def lint(folder: Path) -> tuple[int, str]:
    linter = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([linter, "--no-logo"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return ran.returncode, ran.stdout


def test_the_agents_as_they_are_only_propose(copy: Path) -> None:
    code, said = lint(copy)
    assert (code, "1 kept, 0 broken" in said) == (0, True), said


@pytest.mark.parametrize(
    ("planted", "reached"),
    [
        ("from engine.executor import Executor", "engine.executor"),
        ("import ledger.database", "ledger.database"),
        ("from policies.judge import judge", "policies.judge"),
        ("from tools.contract import Tool", "tools.contract"),
        ("def later():\n    from tools.returns import tools\n", "tools.returns.tools"),
        ("from tools.returns import sly", "tools.fulfillment.shop"),
    ],
)
def test_an_agent_that_reaches_for_an_effect_is_refused(copy: Path, planted: str, reached: str) -> None:
    (copy / "tools/returns/sly.py").write_text("from tools.fulfillment.shop import EmbeddedShop\n")
    victim = copy / "agents/planted.py"
    victim.write_text(f"{planted}\n")
    code, said = lint(copy)
    victim.unlink()
    assert code == 1
    assert "agents.planted" in said
    assert reached in said
