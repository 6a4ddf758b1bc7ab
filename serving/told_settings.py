"""Which settings somebody set, where, and what looks like one but means nothing. Secrets stay hidden."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from core.settings import Settings

_PREFIX = "COUNTERSIGN_"
_OTHERS = frozenset({"CONFIG", "URL", "TOKEN", "SHOP__CALLBACK_TOKEN"})
"""Variables that are no settings: read by clients and by whoever looks for the settings."""


class Told(NamedTuple):
    name: str
    value: str
    where: str


def names(part: type[BaseModel] = Settings, before: str = "") -> Iterator[str]:
    """Each setting, such as `engine.lease_s`."""
    for name, field in part.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from names(kind, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def _open_ended(part: type[BaseModel] = Settings, before: str = "") -> Iterator[str]:
    """The settings that hold more under names of somebody's own, such as `mcp.servers`."""
    for name, field in part.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _open_ended(kind, f"{before}{name}.")
        elif get_origin(kind) is dict:
            yield f"{before}{name}"


def set_by_somebody(settings: Settings) -> list[Told]:
    file = Path(os.environ.get(f"{_PREFIX}CONFIG", "countersign.toml"))
    written = set(_flat(tomllib.loads(file.read_text(encoding="utf-8")))) if file.is_file() else set()
    given = {_name(key) for key in os.environ if key.upper().startswith(_PREFIX)}
    found: list[Told] = []
    for name in names():
        parts = [name, *(name.rsplit(".", n)[0] for n in range(1, name.count(".") + 1))]
        where = (
            "environment" if given & set(parts) else str(file) if name in written else ""
        )  # the environment goes before the file
        if where:
            found.append(Told(name, _shown(settings, name), where))
    return found


def meaning_nothing() -> list[tuple[str, str]]:
    """Variables that begin like settings and are none, with what was meant perhaps."""
    known = {f"{_PREFIX}{name.upper().replace('.', '__')}" for name in names()}
    whole = {f"{_PREFIX}{name.split('.')[0].upper()}" for name in names()}
    inside = tuple(f"{_PREFIX}{name.upper().replace('.', '__')}__" for name in _open_ended())
    found = []
    for key in sorted(os.environ):
        name = key.upper()
        if not name.startswith(_PREFIX) or name in known | whole or name.startswith(inside):
            continue
        rest = name.removeprefix(_PREFIX)
        if rest in _OTHERS or rest.split("_")[0] == "TEST":
            continue
        found.append((key, next(iter(difflib.get_close_matches(name, known, n=1)), "")))
    return found


def address(url: str) -> str:
    """A URL without its password."""
    where = urlsplit(url)
    return url if where.password is None else url.replace(f":{where.password}@", ":***@", 1)


def _name(key: str) -> str:
    return key[len(_PREFIX) :].lower().replace("__", ".")


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"


def _shown(settings: Settings, name: str) -> str:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    if isinstance(value, SecretStr):
        plain = value.get_secret_value()
        return address(plain) if "://" in plain else "***" if plain else ""
    return address(str(value))
