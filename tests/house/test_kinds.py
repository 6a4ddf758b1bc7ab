"""Deleting a kind's folders removes the kind, and leaves the house."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT, files, floors, kinds, slice_of

WHAT_IS_LEFT = """
import agents, graphs, tools
import serving.house
from graphs.catalog import kinds
print(*kinds())
print(graphs.__file__)
"""


@pytest.mark.parametrize("kind", kinds())
def test_a_kind_goes_with_its_folders(kind: str, tmp_path: Path) -> None:
    for path in files():
        if path.parts[0] in floors() and slice_of(path) != kind:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, tmp_path / path)

    run = subprocess.run(
        [sys.executable, "-c", WHAT_IS_LEFT], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )

    assert run.returncode == 0, run.stderr
    left, where = run.stdout.splitlines()
    assert left.split() == [each for each in kinds() if each != kind]
    assert Path(where).is_relative_to(tmp_path)
