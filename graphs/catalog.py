"""Finds the kinds: every `graphs/<kind>/kind.py` with a `KIND`; `graphs/kind.py` names what is found elsewhere."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import graphs
import policies
from core.actions import JSON
from core.clock import SystemClock
from core.errors import NotFound
from core.ports import LoggedCall
from core.settings import load_settings
from graphs.kind import Outside, TaskKind
from policies.vocabulary import Vocabulary
from tools.contract import Toolbelt
from tools.fulfillment.ports import FoundCall
from tools.mcp.accepted import accepted_tools
from tools.vision.ports import NoScorer


def book_of(kind: str) -> Path:
    """The policy book that ships with a kind."""
    return Path(str(policies.__file__)).parent / "books" / f"{kind}.yaml"


def names() -> list[str]:
    packages = [module.name for module in pkgutil.iter_modules(graphs.__path__) if module.ispkg]
    return sorted(name for name in packages if (Path(graphs.__path__[0]) / name / "kind.py").is_file())


def kinds() -> dict[str, TaskKind]:
    return {name: find(name) for name in names()}


def find(name: str) -> TaskKind:
    """Raises `NotFound`, naming the kinds that there are."""
    if name not in names():
        raise NotFound(f"There is no kind '{name[:60]}'.", hint=f"There are: {', '.join(names())}.")
    kind: TaskKind = importlib.import_module(f"graphs.{name}.kind").KIND
    return kind


def vocabulary(name: str) -> Vocabulary:
    """What a policy of this kind may speak of."""
    kind = find(name)
    settings = load_settings()  # tools of accepted MCP servers are a kind's tools like its own
    foreign, _ = accepted_tools(settings.mcp, settings.data, names(), acts=not settings.executor.url)
    own = kind.tools(Outside(_Nowhere(), NoScorer(), SystemClock(), Path()))
    belt = Toolbelt([*own, *foreign.get(name, ())])
    return Vocabulary.of(name, belt.specs(), kind.fact_specs)


class _Nowhere:
    """Stands for a shop where only the tools' specifications are asked for."""

    async def read(self, query: str, args: Mapping[str, JSON]) -> dict[str, JSON]:
        self._no()

    async def write(self, operation: str, args: Mapping[str, JSON], *, key: str, case_id: str) -> dict[str, JSON]:
        self._no()

    async def find(self, key: str) -> FoundCall | None:
        self._no()

    async def log(self, after: int = 0, limit: int = 1000) -> list[LoggedCall]:
        self._no()

    def _no(self) -> NoReturn:
        raise AssertionError("no tool runs here")
