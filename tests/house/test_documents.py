"""Documents are held to their word: commands exist, links lead somewhere, and what can run here runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from core.console import countersign
from tests.support.repository import ROOT, files, read

DOCUMENTS = [path for path in files() if path.suffix == ".md" and path.parts[0] != "tests"]
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`((?:countersign|make) [^`]+)`(?!`)")
OFFLINE = ("policy lint", "policy test", "world generate")
"""Commands that need no server and no earlier run: they are run as they stand."""


def _typed(path: Path) -> Iterator[str]:
    """What stands to be typed, whole."""
    for block in FENCE.finditer(read(path)):
        if block["info"] == "console":
            yield from (line[2:] for line in block["body"].splitlines() if line.startswith("$ "))


def _mentioned(path: Path) -> Iterator[str]:
    yield from _typed(path)
    yield from INLINE.findall(FENCE.sub("", read(path)))


def _found(program: str, among: Callable[[Path], Iterator[str]] = _mentioned) -> list[str]:
    return sorted({command for path in DOCUMENTS for command in among(path) if f"{command} ".startswith(program)})


@pytest.mark.parametrize("command", _found("countersign "))
def test_a_command_in_a_document_exists_with_its_options(command: str) -> None:
    words = shlex.split(command)[1:]
    found: click.Command = countersign
    context = click.Context(found, info_name="countersign")
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        inner = found.get_command(context, words[0])
        assert inner is not None, f"there is no '{words[0]}' in {context.command_path}"
        context = click.Context(inner, info_name=words.pop(0), parent=context)
        found = inner
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.partition("=")[0] for word in words if word.startswith("-")}

    assert used <= known | {"--help", "-h"}


def _leaves(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """The commands that do something: those without commands of their own, and groups that need none."""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _leaves(inner, click.Context(inner, info_name=name, parent=context))
        if not command.invoke_without_command:
            return
    yield context


def test_the_help_of_each_command_has_an_example() -> None:
    leaves = list(_leaves(countersign, click.Context(countersign, info_name="countersign")))
    bare = [
        each.command_path
        for each in leaves
        if not re.search(rf"Examples?:.*{each.command_path}", each.command.get_help(each), re.DOTALL)
    ]

    assert len(leaves) > 20
    assert not bare, f"without an example in --help: {', '.join(bare)}"


@pytest.mark.parametrize("command", _found("make "))
def test_a_make_target_in_a_document_exists(command: str) -> None:
    run = subprocess.run(
        [*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("command", [each for each in _found("countersign ", _typed) if each[12:].startswith(OFFLINE)])
def test_a_command_that_needs_no_server_runs(command: str, tmp_path: Path) -> None:
    (tmp_path / "policies").symlink_to(ROOT / "policies")  # what it writes must not land in the repository
    run = subprocess.run(
        [sys.executable, "-m", "core.console", *shlex.split(command)[1:]],
        cwd=tmp_path,
        env={**os.environ, "COUNTERSIGN_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert run.returncode == 0, run.stderr


def test_links_lead_to_files() -> None:
    broken = []
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#\s]+)", FENCE.sub("", read(path))):
            if "://" not in target and not (ROOT / path.parent / target).exists():
                broken.append(f"{path}: {target}")

    assert not broken, "\n".join(broken)


def test_settings_in_documents_exist() -> None:
    """Every COUNTERSIGN_… that a document names is a setting, or a variable that the code reads."""
    from core.settings import Settings

    code = "".join(read(path) for path in files() if path.suffix == ".py" and path.parts[0] != "tests")
    for path in DOCUMENTS:
        for name in re.findall(r"\bCOUNTERSIGN_([A-Z_]+[A-Z])\b", read(path)):
            part, _, rest = name.lower().partition("__")
            known = part in Settings.model_fields
            if known and rest:
                default = Settings.model_fields[part].default
                known = rest in type(default).model_fields
            assert known or f"COUNTERSIGN_{name}" in code, f"{path}: COUNTERSIGN_{name}"
