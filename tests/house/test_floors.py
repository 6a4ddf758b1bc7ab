"""What import-linter can't say of the house: its words, its kinds, the size of its rooms."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import files, floors, imports, kinds, modules, read, slice_of, tree

# "RETURNS trigger" is SQL.
BUSINESS = re.compile(r"refund|returns(?! trigger)|_return_|store.?credit|parcel", re.IGNORECASE)
LISTS = {Path("core/console.py"), Path("evals/command.py")}
"""Lists of commands and of suites: they name what belongs to a kind, and import it when it is called."""


def _docstrings(module: ast.Module) -> set[int]:
    """Lines on which docstrings and strings that only describe an attribute begin."""
    return {
        node.value.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }


def _words(path: Path) -> Iterator[tuple[int, str]]:
    """Names and strings that run; what a docstring or a help text tells as an example is left out."""
    described = _docstrings(tree(path))
    for token in tokenize.generate_tokens(io.StringIO(read(path)).readline):
        told = token.start[0] in described or "Example: " in token.string
        if token.type == tokenize.NAME or (token.type == tokenize.STRING and not told):
            yield token.start[0], token.string


@pytest.mark.parametrize("floor", ["core", "ledger", "engine", "serving"])
def test_the_house_below_the_kinds_knows_no_business(floor: str) -> None:
    found = [
        f"{path}:{line}: {word}"
        for path in modules(floor)
        if path not in LISTS
        for line, word in _words(path)
        if BUSINESS.search(word)
    ]

    assert not found, "\n".join(found)


def test_a_module_has_one_subject_and_fits_in_350_lines() -> None:
    lines = {path: read(path).count("\n") for path in modules(*floors(), "benchmarks")}
    long = [f"{path}: {count}" for path, count in lines.items() if count > 350]

    assert not long, "\n".join(long)


def test_a_broad_except_says_why() -> None:
    """One that raises again in the end hides nothing; a `noqa` alone is no reason."""
    found = []
    for path in modules(*floors(), "benchmarks"):
        lines = read(path).splitlines()
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _goes_on(node):
                near = " ".join(lines[node.lineno - 2 : node.body[0].lineno])
                if not re.search(r"# (?!noqa)\w|# noqa: [A-Z0-9, ]+ ?\W+ ?\w", near):
                    found.append(f"{path}:{node.lineno}")

    assert not found, "\n".join(found)


def _is_broad(caught: ast.expr | None) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(name is None or (isinstance(name, ast.Name) and name.id.endswith("Exception")) for name in names)


def _goes_on(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_tests_reach_the_house_by_its_door() -> None:
    """Of serving only the house, where it keeps things, and its processes; but for the tests of serving itself."""
    doors = ("serving.house", "serving.storage", "serving.main")
    found = [
        f"{path}: {name}"
        for path in modules("tests")
        if path.parts[1] != "serving"
        for name in imports(path)
        if name.startswith("serving.") and not name.startswith(doors)
    ]

    assert not found, "\n".join(found)


@pytest.mark.parametrize("kind", kinds())
def test_a_kind_has_a_slice_of_its_name_on_every_floor(kind: str) -> None:
    mine = {path for path in files() if slice_of(path) == kind}

    assert Path(f"graphs/{kind}/kind.py") in mine
    assert Path(f"policies/books/{kind}.yaml") in mine
    assert any(path.match(f"agents/{kind}/*.py") for path in mine)


def test_nothing_but_a_kind_itself_imports_its_slices() -> None:
    """So a kind can be deleted, and two kinds never meet. The catalog finds kinds by their folders."""
    slices = {f"{floor}.{kind}": kind for kind in kinds() for floor in (*floors(), "evals.suites")}
    found = []
    for path in modules(*floors()):
        for name in imports(path):
            kind = next((slices[top] for top in slices if name == top or name.startswith(f"{top}.")), None)
            if kind is not None and slice_of(path) != kind and path not in LISTS:
                found.append(f"{path}: {name}")

    assert not found, "\n".join(found)
