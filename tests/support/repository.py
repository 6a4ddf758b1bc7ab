"""The repository as tests of its shape see it: its files, its floors, what its modules import."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@cache
def files() -> tuple[Path, ...]:
    """Every file that is committed or would be, by its path in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = {Path(name) for name in listed.split("\0") if name}
    return tuple(sorted(path for path in found if (ROOT / path).is_file()))


def read(path: Path | str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def project() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))


def floors() -> list[str]:
    """The packages that are shipped, as pyproject names them."""
    packages: list[str] = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return packages


def modules(*tops: str) -> list[Path]:
    return [path for path in files() if path.suffix == ".py" and path.parts[0] in tops]


def kinds() -> list[str]:
    """Kinds of task, found as the catalog finds them."""
    return sorted(path.parent.name for path in files() if path.match("graphs/*/kind.py"))


def slice_of(path: Path) -> str | None:
    """The kind that a file belongs to, by the folder that it lies in or the book that it is."""
    for kind in kinds():
        if kind in path.parts[1:-1] or path == Path(f"policies/books/{kind}.yaml"):
            return kind
    return None


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(read(path))


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a module imports anywhere, inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
