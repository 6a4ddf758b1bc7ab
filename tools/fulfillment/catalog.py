"""What the installed kinds bring for a shop: their dialects, and the world that a file describes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import tools
from core.errors import SetupError
from tools.fulfillment.ports import Dialect

World = Mapping[str, Collection[Mapping[str, Any]]]


def dialects() -> dict[str, Dialect]:
    """Every `DIALECT` of a `tools/<kind>/shop.py`, by its name."""
    found: dict[str, Dialect] = {}
    for package in iter_modules(tools.__path__):
        if package.ispkg and find_spec(f"tools.{package.name}.shop"):
            dialect = getattr(import_module(f"tools.{package.name}.shop"), "DIALECT", None)
            if isinstance(dialect, Dialect):
                found[dialect.name] = dialect
    return found


def choose(names: Iterable[str]) -> list[Dialect]:
    """The dialects of these names, or all of them. Raises `SetupError`."""
    found = dialects()
    if not found:
        raise SetupError("No kind brings a shop's dialect.", hint="Put one into tools/<kind>/shop.py.")
    unknown = [name for name in names if name not in found]
    if unknown:
        raise SetupError(f"There is no dialect '{unknown[0]}'.", hint=f"There are: {', '.join(sorted(found))}.")
    return [found[name] for name in names] or list(found.values())


def read_world(path: Path, chosen: Iterable[Dialect]) -> World:
    """The records of a JSON file: collection to a list of records, or to records by their id.

    Parts of the file that no dialect names, such as a generator's letters, are left out.
    """
    id_fields = {name: id_field for dialect in chosen for name, id_field in dialect.collections.items()}
    try:
        content = json.loads(path.read_bytes(), parse_constant=_no_number)
    except OSError as error:
        raise SetupError(f"The world {path} can't be read: {error.strerror}.", hint="Correct --world.") from error
    except (ValueError, RecursionError) as error:
        raise SetupError(f"The world {path} is no valid JSON: {error}.", hint="Generate it again.") from error
    world: dict[str, list[dict[str, Any]]] = {}
    for name in content.keys() & id_fields.keys() if isinstance(content, dict) else ():
        records = content[name]
        world[name] = list(records.values()) if isinstance(records, dict) else records
        if not isinstance(world[name], list) or not all(
            isinstance(record, dict) and isinstance(record.get(id_fields[name]), str) for record in world[name]
        ):
            raise SetupError(
                f"The world {path} has a record in '{name}' without a text in '{id_fields[name]}'.",
                hint="Generate it again.",
            )
    if not world:
        raise SetupError(
            f"The world {path} has no collection that the shop knows.",
            hint=f"It knows: {', '.join(sorted(id_fields))}.",
        )
    return world


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON")
