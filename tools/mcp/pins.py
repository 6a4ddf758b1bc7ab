"""What an outside server declared when an operator accepted it, kept as a file: another declaration is another tool.

It is a file that holds no secret, so that a process which never speaks to the server knows its tools' schemas too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from core.actions import JSON
from core.errors import SetupError
from core.mcp_settings import OutsideServerSettings


class Declared(BaseModel):
    """A tool, in its server's words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str = ""
    input: JSON
    output: JSON = None

    @property
    def digest(self) -> str:
        # Not the canonical form: what a stranger declares may hold numbers that it refuses.
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


class Pin(BaseModel):
    """What was accepted of one server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: str
    accepted_at: datetime
    tools: dict[str, Declared]


def where(server: OutsideServerSettings) -> str:
    """What a pin is bound to: an acceptance of one address is none of another."""
    return server.url or json.dumps(list(server.command))


def path_of(folder: Path, name: str) -> Path:
    """In the data folder `folder`."""
    return folder / "mcp" / f"{name}.json"


def pinned(folder: Path, name: str, server: OutsideServerSettings) -> Mapping[str, Declared]:
    """The accepted tools of a server; none, if it was never accepted at this address. Raises `SetupError`."""
    path = path_of(folder, name)
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    try:
        pin = Pin.model_validate_json(text)
    except ValidationError as error:
        raise SetupError(
            f"{path} is not what 'countersign mcp accept' wrote.", hint=f"Run: countersign mcp accept {name}"
        ) from error
    return pin.tools if pin.where == where(server) else {}


def pin(folder: Path, name: str, server: OutsideServerSettings, tools: Mapping[str, Declared], at: datetime) -> None:
    path = path_of(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(Pin(where=where(server), accepted_at=at, tools=dict(tools)).model_dump_json(indent=2) + "\n")
    fresh.replace(path)
