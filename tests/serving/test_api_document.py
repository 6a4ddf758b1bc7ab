"""docs/api.md: its examples run against a live server, and its table of errors is the tree's."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import errors
from tests.serving.live import Live
from tests.support.repository import ROOT

DOCUMENT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
_INSIDE = (errors.SetupError, errors.PolicyInvalid)
"""They are told to operators and authors, by commands."""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def tree(kind: type[errors.CountersignError]) -> Iterator[type[errors.CountersignError]]:
    yield kind
    for below in kind.__subclasses__():
        if below not in _INSIDE and below.__module__ == errors.__name__:
            yield from tree(below)


def test_the_table_of_errors_is_the_tree() -> None:
    """Each error that a client can meet, once, with its status and its title."""
    written = "\n".join(
        f"| {each.status} | `{each('').code}` | {each.title} |"
        for each in sorted(tree(errors.CountersignError), key=lambda each: each.status)
    )
    assert f"| status | `urn:countersign:` | |\n|---|---|---|\n{written}\n" in DOCUMENT, written


async def run(live: Live, folder: Path, *command: str) -> str:
    known = {"COUNTERSIGN_URL": live.url, "COUNTERSIGN_TOKEN": live.tokens[""]}
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, **known},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, said.decode()
    return said.decode()


@pytest.mark.asyncio(loop_scope="module")
async def test_the_examples_in_python_run_from_top_to_bottom(live: Live, tmp_path: Path) -> None:
    (tmp_path / "return.json").write_text(json.dumps(await live.small()))
    said = await run(live, tmp_path, sys.executable, "-c", "\n".join(blocks("python")))
    assert "closed refunded" in said
    assert "event: case.closed" in said


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
async def test_the_examples_in_curl_run(live: Live, tmp_path: Path) -> None:
    await live.submit(await live.small())
    said = await run(live, tmp_path, "bash", "-eu", "-c", "\n".join(blocks("sh")))
    assert '"permissions"' in said
    assert "id: 1" in said
