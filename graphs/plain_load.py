"""Finds a plain graph by the path in the settings: a module or a file, and an attribute of it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from core.errors import SetupError

Compiled = Pregel[Any, Any, Any, Any]


def load_graph(name: str, path: str, saver: Any) -> Compiled:
    """A graph that keeps its steps in `saver`, whatever it was compiled with. Raises `SetupError`."""
    where, colon, attribute = path.rpartition(":")
    if not colon or not where or not attribute:
        raise _wrong(name, path, "it has no ':attribute' at its end")
    try:
        module = _module(name, where)
    except Exception as error:  # whatever the file does when it is imported
        raise _wrong(name, path, f"{type(error).__name__}: {error}") from error
    found = getattr(module, attribute, None)
    if found is None:
        raise _wrong(name, path, f"{where} has no '{attribute}'")
    try:
        return _compiled(name, path, found, saver)
    except SetupError:
        raise
    except Exception as error:  # whatever a function that makes a graph does
        raise _wrong(name, path, f"{type(error).__name__}: {error}") from error


def _compiled(name: str, path: str, found: Any, saver: Any) -> Compiled:
    if inspect.isfunction(found):
        if inspect.signature(found).parameters:
            raise _wrong(name, path, "the function takes arguments")
        found = found()
    if isinstance(found, StateGraph):
        return found.compile(checkpointer=saver, name=name)
    if isinstance(found, Pregel):
        return found.copy({"checkpointer": saver, "name": name})
    raise _wrong(name, path, f"it is a {type(found).__name__}, and neither a graph nor its builder")


def _module(name: str, where: str) -> ModuleType:
    if not (where.endswith(".py") or "/" in where):
        return importlib.import_module(where)
    file = Path(where)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file.resolve()}")
    known = f"countersign_graph_{name}"
    spec = importlib.util.spec_from_file_location(known, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module  # state classes are looked up there by their annotations
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[known]
        raise
    return module


def _wrong(name: str, path: str, why: str) -> SetupError:
    return SetupError(
        f"The graph '{name}' can't be loaded from '{path}': {why}.",
        hint=f'Correct path under [graphs.{name}] in the settings, such as path = "shop/graph.py:graph".',
    )
