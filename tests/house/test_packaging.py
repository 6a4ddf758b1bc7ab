"""The project is plain top-level packages; these are the accidents that such a layout allows."""

from __future__ import annotations

import importlib
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.repository import ROOT, files, floors, project, read

NOT_SHIPPED = {"tests", "benchmarks", "docs", "examples"}


def test_the_packages_that_are_shipped_are_the_folders_on_disk() -> None:
    on_disk = {path.parts[0] for path in files() if path.suffix == ".py" and len(path.parts) > 1}

    assert on_disk - NOT_SHIPPED == set(floors())


@pytest.mark.parametrize("package", floors())
def test_a_package_is_the_one_of_this_repository(package: str) -> None:
    """Another distribution may install a top-level `agents` or `tools`, and would be imported instead."""
    found = importlib.import_module(package).__file__

    assert found is not None, f"{package} has no __init__.py"
    assert Path(found).resolve() == ROOT / package / "__init__.py"


def test_every_list_of_the_floors_is_the_same() -> None:
    makefile = re.search(r"^FLOORS := (.*)$", read("Makefile"), re.MULTILINE)
    tool = project()["tool"]

    assert makefile is not None
    assert makefile.group(1).split() == floors()
    assert tool["importlinter"]["root_packages"] == floors()
    assert tool["mypy"]["files"] == [*floors(), "benchmarks"]


def test_no_package_under_tests_shadows_a_floor() -> None:
    assert [str(path) for path in files() if path.parts[0] == "tests" and path.name == "__init__.py"] == []


def test_the_command_knows_its_version() -> None:
    assert version("countersign-desk") == project()["project"]["version"]


def test_requirements_are_pinned_by_hash_and_name_no_address() -> None:
    for path in files():
        if path.parent == Path("requirements"):
            text = read(path)
            pins = len(re.findall(r"^[a-z0-9][\w.\-\[\],]*==", text, re.MULTILINE))
            assert pins > 0, path
            assert pins == len(re.findall(r"^\S.*\\\n {4}--hash=", text, re.MULTILINE)), path
            assert "://" not in text, path
            assert "--find-links" not in text, path


@pytest.mark.parametrize(
    "trace",
    [r"py[p]i\.org", r"pythonhosted\.[o]rg", r"[f]ile:///", r"(?<![\w.])/(?:[r]oot|[w]ork|[o]pt)/", r"/\.cache/[u]v"],
)
def test_no_file_names_a_registry_or_somebodys_machine(trace: str) -> None:
    found = []
    for path in files():
        try:
            text = read(path)
        except UnicodeDecodeError:
            continue
        found += [f"{path}: {match.group()}" for match in re.finditer(trace, text)]

    assert not found, "\n".join(found)
